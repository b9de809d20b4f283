"""Bring a database to the schema of this version. Migrations only go forward."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from dizuo.database.engine import Database

_MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Run every migration that has not run yet, in one transaction where the engine allows it."""
    with database.engine.connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
