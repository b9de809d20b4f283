"""The audit chain: it commits with its cause, stands up to many writers, and shows tampering."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from dizuo.audit import service, store
from dizuo.audit.model import GENESIS, AuditEntry
from dizuo.audit.store import AuditRow
from dizuo.database.engine import Database

DETAILS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.lists(st.integers(0, 9), max_size=3),
    max_size=5,
)


def _fill(database: Database, count: int) -> None:
    for number in range(count):
        with database.transaction() as session:
            service.record(session, "operator:ann", "site.added", f"site:{number}", {"n": number})


def _entries(database: Database) -> list[AuditEntry]:
    with database.reading() as session:
        return list(store.stream(session))


def test_an_empty_log_holds(any_database: Database) -> None:
    with any_database.reading() as session:
        verdict = service.verify(session)
    assert (verdict.ok, verdict.num_entries, verdict.head) == (True, 0, GENESIS)


def test_each_entry_follows_the_one_before_it(any_database: Database) -> None:
    _fill(any_database, 4)
    entries = _entries(any_database)
    assert [entry.sequence for entry in entries] == [1, 2, 3, 4]
    assert [entry.previous for entry in entries] == [GENESIS, *(e.digest for e in entries[:-1])]
    with any_database.reading() as session:
        verdict = service.verify(session)
        assert [entry.sequence for entry in store.stream(session, after=2)] == [3, 4]
    assert (verdict.ok, verdict.num_entries, verdict.head) == (True, 4, entries[-1].digest)


def test_an_entry_goes_with_its_transaction(any_database: Database) -> None:
    _fill(any_database, 1)

    def fail() -> None:
        with any_database.transaction() as session:
            service.record(session, "operator:ann", "site.added", "site:lost")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    _fill(any_database, 1)
    assert [entry.sequence for entry in _entries(any_database)] == [1, 2]
    with any_database.reading() as session:
        assert service.verify(session).ok


def test_many_writers_make_one_chain_without_gaps(any_database: Database) -> None:
    together = threading.Barrier(6)

    def write(name: int) -> None:
        together.wait(timeout=30)
        for number in range(8):
            with any_database.transaction() as session:
                service.record(session, f"operator:{name}", "site.added", f"site:{number}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    entries = _entries(any_database)
    assert [entry.sequence for entry in entries] == list(range(1, 49))
    assert {entry.actor for entry in entries} == {f"operator:{n}" for n in range(6)}
    with any_database.reading() as session:
        assert service.verify(session).ok


@given(details=st.lists(DETAILS, min_size=1, max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_detail_says_the_chain_holds(
    any_database: Database, details: list[dict[str, Any]]
) -> None:
    with any_database.transaction() as session:
        for detail in details:
            service.record(session, "operator:ann", "note", "site:1", detail)
    with any_database.reading() as session:
        assert service.verify(session).ok


def test_a_detail_that_json_would_change_still_holds(any_database: Database) -> None:
    detail: dict[Any, Any] = {"runs": {2: "b", 10: "a"}, "pair": (1, 2), "nul": "a\x00b"}
    with any_database.transaction() as session:
        entry = service.record(session, "operator:ann", "note", "site:1", detail)
    assert entry.detail == {"runs": {"2": "b", "10": "a"}, "pair": [1, 2], "nul": "a\x00b"}
    assert _entries(any_database) == [entry]
    with any_database.reading() as session:
        assert service.verify(session).ok


@pytest.mark.parametrize("detail", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}])
def test_a_detail_that_is_not_json_is_refused(database: Database, detail: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)), database.transaction() as session:
        service.record(session, "operator:ann", "note", "site:1", detail)
    assert _entries(database) == []


def _set(**values: Any) -> Callable[[Session], None]:
    def tamper(session: Session) -> None:
        session.execute(update(AuditRow).where(AuditRow.sequence == 3).values(**values))

    return tamper


def _remove(session: Session) -> None:
    session.execute(delete(AuditRow).where(AuditRow.sequence == 3))


def _remove_first(session: Session) -> None:
    session.execute(delete(AuditRow).where(AuditRow.sequence == 1))


def _swap(session: Session) -> None:
    for old, new in ((3, 99), (4, 3), (99, 4)):
        session.execute(update(AuditRow).where(AuditRow.sequence == old).values(sequence=new))


def _rewrite_with_a_fresh_digest(session: Session) -> None:
    row = session.get_one(AuditRow, 3)
    row.actor = "operator:eve"
    session.flush()
    (entry,) = [e for e in store.stream(session, after=2) if e.sequence == 3]
    row.digest = entry.expected_digest()


CHANGED = "entry 3 was changed after it was written"


@pytest.mark.parametrize(
    ("tamper", "broken_at", "reason"),
    [
        pytest.param(_set(actor="operator:eve"), 3, CHANGED, id="actor"),
        pytest.param(_set(action="site.removed"), 3, CHANGED, id="action"),
        pytest.param(_set(subject="site:9"), 3, CHANGED, id="subject"),
        pytest.param(_set(detail={"n": 9}), 3, CHANGED, id="detail"),
        pytest.param(_set(at_ms=1), 3, CHANGED, id="time"),
        pytest.param(_set(project_id="other"), 3, CHANGED, id="project"),
        pytest.param(_set(digest="sha256:" + "1" * 64), 3, CHANGED, id="digest"),
        pytest.param(
            _set(previous=GENESIS), 3, "entry 3 does not follow the one before it", id="previous"
        ),
        pytest.param(_remove, 4, "entry 3 is missing", id="removed"),
        pytest.param(_remove_first, 2, "entry 1 is missing", id="first removed"),
        pytest.param(_swap, 3, "entry 3 does not follow the one before it", id="swapped"),
        pytest.param(
            _rewrite_with_a_fresh_digest,
            4,
            "entry 4 does not follow the one before it",
            id="rewritten",
        ),
    ],
)
def test_tampering_shows(
    any_database: Database, tamper: Callable[[Session], None], broken_at: int, reason: str
) -> None:
    _fill(any_database, 5)
    with any_database.transaction() as session:
        tamper(session)
    with any_database.reading() as session:
        verdict = service.verify(session)
    assert (verdict.ok, verdict.broken_at, verdict.reason) == (False, broken_at, reason)
    assert verdict.num_entries == broken_at - 1 - reason.endswith("missing")


def test_a_head_that_was_noted_shows_a_cut_off_end(any_database: Database) -> None:
    _fill(any_database, 3)
    heads = [entry.digest for entry in _entries(any_database)]
    with any_database.reading() as session:
        assert all(service.verify(session, expected=head).ok for head in ["", GENESIS, *heads])
    with any_database.transaction() as session:
        session.execute(delete(AuditRow).where(AuditRow.sequence == 3))
    with any_database.reading() as session:
        assert service.verify(session).ok
        assert service.verify(session, expected=heads[1]).ok
        verdict = service.verify(session, expected=heads[2])
    assert (verdict.ok, verdict.broken_at) == (False, 3)
    assert "the end was cut off" in verdict.reason


def test_pages_and_the_newest_entries_of_a_project(any_database: Database) -> None:
    _fill(any_database, 3)
    with any_database.transaction() as session:
        service.record(session, "operator:bob", "note", "site:9", project_id="other")
    _fill(any_database, 1)

    with any_database.reading() as session:
        pages = [
            store.page(session, "default", 1, 2),
            store.page(session, "default", 3, 9),
            store.newest(session, "default", 2),
            store.newest(session, "other", 2),
        ]
    assert [[entry.sequence for entry in page] for page in pages] == [[2, 3], [5], [3, 5], [4]]
