"""The indexes by which entries of the audit log are found by action, and improvements by state."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the two indexes."""
    op.create_index(
        op.f("ix_audit_entries_project_id_action"), "audit_entries", ["project_id", "action"]
    )
    op.create_index(
        op.f("ix_improvements_project_id_state"), "improvements", ["project_id", "state"]
    )
