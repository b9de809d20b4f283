"""Bring a database to the schema of this version. Migrations only go forward."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from dizuo.database.engine import Database

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database, revision: str = "head") -> None:
    """Run every migration that has not run yet, in one transaction where the engine allows it.

    Only tests go to an earlier `revision`, to see what becomes of its rows.
    """
    with database.engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
