"""Let `rolling_out` mean that sites are on their way; what comes before it is `directing` now.

Until now an improvement was done as soon as its rollout had started, so whatever is `rolling_out` has
not started one yet.
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Rename the state that is left by starting the rollout."""
    op.execute("UPDATE improvements SET state = 'directing' WHERE state = 'rolling_out'")
