"""The entries about somebody: what they did and what was done to them, newest first, in pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event

from dizuo.audit import service, store
from dizuo.database.engine import Database


def test_entries_about_a_site_are_paged_and_stay_in_their_project(any_database: Database) -> None:
    with any_database.transaction() as session:
        for actor, action, subject, project in (
            ("operator:ann", "site.directed", "site:a", "default"),
            ("site:a", "rollout_site.finished", "rollout:1:a", "default"),
            ("operator:ann", "site.directed", "site:b", "default"),
            ("operator:eve", "site.removed", "site:a", "other"),
            ("site:a", "site.changed", "site:a", "default"),
        ):
            service.record(session, actor, action, subject, project_id=project)
    with any_database.reading() as session:
        found = store.about(session, "default", "site:a", limit=2)
        older = store.about(session, "default", "site:a", before=2, limit=2)
        elsewhere = store.about(session, "other", "site:a", limit=9)
    assert [one.action for one in found] == ["site.changed", "rollout_site.finished"]
    assert [one.action for one in older] == ["site.directed"]
    assert [one.action for one in elsewhere] == ["site.removed"]


def test_what_is_about_somebody_is_found_by_its_indexes(database: Database) -> None:
    asked: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, given, *_more: asked.append((statement, given)),
    )
    with database.reading() as session:
        store.about(session, "default", "site:a", limit=2)
    with database.engine.connect() as connection:
        plans = [
            str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given).all())
            for statement, given in asked
            if statement.startswith("SELECT")
        ]
    assert ["project_id_actor" in plans[0], "project_id_subject" in plans[1]] == [True, True]
