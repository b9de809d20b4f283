"""Remember which roots of trust the audit log knows of."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table; the hub's next start notes every root that is there."""
    op.create_table(
        "noted_roots",
        sa.Column("digest", sa.String(length=71), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("noted_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_noted_roots")),
    )
    with op.batch_alter_table("noted_roots", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_noted_roots_project_id"), ["project_id"], unique=False)
