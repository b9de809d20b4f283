"""What a site has let out, by the hour and in all, as the samples say that came in."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.database.engine import Database
from dizuo.datasets import returned
from dizuo.datasets.returned import HOUR_MS
from dizuo.datasets.store import SampleRow

NOW = 500_000 * HOUR_MS + 20 * 60_000


def _add(session: Session, site: str, received_ms: int, **changes: object) -> None:
    identity = new_id()
    values = {
        "id": identity,
        "project_id": "default",
        "digest": sha256_bytes(identity.encode()),
        "site": site,
        "family": "vision",
        "served_as": "meter",
        "stack_digest": sha256_bytes(b"meter"),
        "answer": {},
        "confidence": 0.5,
        "reason": "uncertain",
        "taken_ms": received_ms,
        "received_ms": received_ms,
        "state": "returned",
        "reviewer": "",
    }
    session.add(SampleRow(**(values | changes)))


def test_samples_are_counted_in_the_hour_they_came_in_and_in_the_one_they_were_taken(
    any_database: Database,
) -> None:
    before = NOW - HOUR_MS
    with any_database.transaction() as session:
        _add(session, "a", NOW, confidence=0.2)
        _add(session, "a", NOW, confidence=0.6, taken_ms=before)
        _add(session, "a", before - HOUR_MS, confidence=0.9, reason="control")
        _add(session, "a", NOW - 3 * HOUR_MS)  # older than what is asked for
        _add(session, "b", NOW)
        _add(session, "a", NOW, project_id="other")
    with any_database.reading() as session:
        came_in = returned.received_by_hour(session, "a", now_ms=NOW, num_hours=3)
        taken = returned.taken_by_hour(session, "a", now_ms=NOW, num_hours=3)
    assert [one.by_reason for one in came_in] == [{"control": 1}, {}, {"uncertain": 2}]
    assert [one.num_samples for one in came_in] == [1, 0, 2]
    assert [one.mean_confidence for one in came_in] == [0.9, None, 0.4]
    assert [one.by_reason for one in taken] == [{"control": 1}, {"uncertain": 1}, {"uncertain": 1}]
    assert [one.mean_confidence for one in taken] == [0.9, 0.6, 0.2]


def test_all_that_a_site_returned_is_summed_by_reason(any_database: Database) -> None:
    with any_database.transaction() as session:
        _add(session, "a", 1000)
        _add(session, "a", 3000, reason="control")
        _add(session, "a", 2000, reason="control")
        _add(session, "b", 9000)
    with any_database.reading() as session:
        total = returned.total(session, "a")
        nothing = returned.total(session, "a", project_id="other")
    assert (total.by_reason, total.last_ms) == ({"uncertain": 1, "control": 2}, 3000)
    assert total.num_samples == 3
    assert (nothing.num_samples, nothing.last_ms) == (0, None)
