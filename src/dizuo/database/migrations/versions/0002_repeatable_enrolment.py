"""Let a used join token know whom it let in, so that a site whose answer was lost can ask again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the site and the digest of its enrolment."""
    with op.batch_alter_table("join_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("site_id", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("enrolment_digest", sa.String(length=71), nullable=True))
