"""Let each project say whether a person must approve its improvements."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table; no row means that the hub's setting counts."""
    op.create_table(
        "improvement_policies",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("require_approval", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_improvement_policies")),
    )
