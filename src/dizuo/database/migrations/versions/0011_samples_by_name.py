"""The index by which the names that samples were served under are found."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the index."""
    op.create_index(op.f("ix_samples_project_id_served_as"), "samples", ["project_id", "served_as"])
