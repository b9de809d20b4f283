"""Sites' answers by the hour, and the indexes by which what is about one site is found."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table, which begins empty, and indexes of samples and audit entries."""
    op.create_table(
        "site_hours",
        sa.Column("site_id", sa.String(length=36), nullable=False),
        sa.Column("hour_ms", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("site_id", "hour_ms", name=op.f("pk_site_hours")),
    )
    with op.batch_alter_table("site_hours", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_site_hours_hour_ms"), ["hour_ms"], unique=False)
    op.create_index(
        "ix_samples_of_site",
        "samples",
        ["project_id", "site", "received_ms", "taken_ms", "reason", "confidence"],
    )
    op.create_index(
        op.f("ix_audit_entries_project_id_subject"), "audit_entries", ["project_id", "subject"]
    )
    op.create_index(
        op.f("ix_audit_entries_project_id_actor"), "audit_entries", ["project_id", "actor"]
    )
