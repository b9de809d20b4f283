"""The loop with everything in one PostgreSQL database: the hub's rows and DBOS's workflows."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import column, func, select, table
from sqlalchemy.orm import Session
from tests.improvements import scene
from tests.improvements.conftest import launched, open_works

from dizuo.audit import service as audit
from dizuo.database.engine import Database
from dizuo.database.tables import Row
from dizuo.improvements.model import State


def test_everything_on_postgresql(postgres_url: str, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    database = Database(postgres_url)
    Row.metadata.create_all(database.engine)
    try:
        scene.add_sites(database)
        with open_works(home, database) as works, launched(works, postgres_url):
            works.review()
            done = works.rests(works.start(), State.DONE, State.FAILED)
            assert done.state is State.DONE, done.reason
            assert works.ask(audit.verify).ok
            assert works.ask(_num_dbos_workflows) == 1
    finally:
        Row.metadata.drop_all(database.engine)
        database.close()


def _num_dbos_workflows(session: Session) -> int:
    workflows = table("workflow_status", column("status"), schema="dbos")
    query = select(func.count()).select_from(workflows).where(column("status") == "SUCCESS")
    return session.scalar(query) or 0
