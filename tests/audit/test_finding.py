"""Pages of the log, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from dizuo.audit import finding
from dizuo.audit import service as audit
from dizuo.audit.errors import EntryNotFound
from dizuo.audit.finding import EntryFilter, EntryPage
from dizuo.core.progress import Progress
from dizuo.database.engine import Database


def fill(database: Database) -> None:
    """Twelve entries, numbers 1 to 12; every third is of another project."""
    with database.transaction() as session:
        for number in range(1, 13):
            audit.record(
                session,
                ("person:mei", "site:mill", "operator:mei")[number % 3],
                ("stack.gated", "run.started")[number % 2],
                ("stack:meter:1", "site:mei", "run:7", "stack:meter:2")[number % 4],
                project_id="other" if number % 3 == 0 else "default",
            )


def page(database: Database, wanted: EntryFilter | None = None, **where: int) -> EntryPage:
    with database.reading() as session:
        return finding.page(session, "default", wanted or EntryFilter(), **where)


def numbers(found: EntryPage) -> list[int]:
    return [entry.sequence for entry in found.entries]


def test_pages_lead_from_the_newest_to_the_oldest_and_back(any_database: Database) -> None:
    fill(any_database)
    first = page(any_database, limit=3)
    assert (numbers(first), first.has_newer, first.has_older) == ([11, 10, 8], False, True)
    second = page(any_database, before=8, limit=3)
    assert (numbers(second), second.has_newer, second.has_older) == ([7, 5, 4], True, True)
    last = page(any_database, before=4, limit=3)
    assert (numbers(last), last.has_newer, last.has_older) == ([2, 1], True, False)
    back = page(any_database, after=2, limit=3)
    assert (numbers(back), back.has_newer, back.has_older) == ([7, 5, 4], True, True)
    top = page(any_database, after=7, limit=3)
    assert (numbers(top), top.has_newer, top.has_older) == ([11, 10, 8], False, True)


def test_nothing_is_an_empty_page(any_database: Database) -> None:
    assert page(any_database) == EntryPage((), has_newer=False, has_older=False)
    fill(any_database)
    assert page(any_database, after=12) == EntryPage((), has_newer=False, has_older=False)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EntryFilter(actor="site:mill"), [10, 7, 4, 1]),
        (EntryFilter(actor="mill"), [10, 7, 4, 1]),
        (EntryFilter(actor="mei"), [11, 8, 5, 2]),
        (EntryFilter(actor="person:mei"), []),
        (EntryFilter(actor="me"), []),
        (EntryFilter(actions=("run.started",)), [11, 7, 5, 1]),
        (EntryFilter(actions=("run.started", "stack.gated"), actor="mill"), [10, 7, 4, 1]),
        (EntryFilter(subject="stack:meter:1"), [8, 4]),
        (EntryFilter(subject="meter:2"), [11, 7]),
        (EntryFilter(subject="mei"), [5, 1]),
        (EntryFilter(subject="7", actor="mei"), [2]),
        (EntryFilter(subject="%"), []),
    ],
)
def test_entries_are_found_by_who_what_and_to_what(
    any_database: Database, wanted: EntryFilter, found: list[int]
) -> None:
    fill(any_database)
    assert numbers(page(any_database, wanted)) == found


def test_one_entry_of_the_own_project(any_database: Database) -> None:
    fill(any_database)
    with any_database.reading() as session:
        assert finding.get(session, "default", 4).subject == "stack:meter:1"
        for missing in (3, 13):
            with pytest.raises(EntryNotFound):
                finding.get(session, "default", missing)


def test_actions_are_those_of_the_own_project(any_database: Database) -> None:
    fill(any_database)
    with any_database.transaction() as session:
        audit.record(session, "hub", "hub.freed", "hub", project_id="other")
    with any_database.reading() as session:
        assert finding.actions(session, "default") == ["run.started", "stack.gated"]
        assert finding.actions(session, "nobody's") == []


def test_an_action_is_found_by_its_index(database: Database) -> None:
    statements: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_more: statements.append(statement),
    )
    page(database, EntryFilter(actions=("run.started",)))
    with database.engine.connect() as connection:
        query = f"EXPLAIN QUERY PLAN {statements[-1]}"
        plan = connection.exec_driver_sql(query, ("default", "run.started", 51, 0)).all()
    assert "ix_audit_entries_project_id_action" in str(plan)


def test_verifying_tells_how_far_it_is(database: Database) -> None:
    with database.transaction() as session:
        for number in range(1200):
            audit.record(session, "hub", "hub.freed", f"hub:{number}")
    heard: list[Progress] = []
    with database.reading() as session:
        assert audit.verify(session, report=heard.append).num_entries == 1200
    assert [(one.done, one.total, one.unit) for one in heard] == [
        (500, 1200, "entry"),
        (1000, 1200, "entry"),
    ]
