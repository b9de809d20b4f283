"""Which sites run a version, counted and listed by the database, on both of them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dizuo.core.ids import new_id
from dizuo.database.engine import Database
from dizuo.edge.wire import DesiredState, Direction
from dizuo.sites import running, store
from dizuo.sites.model import Site

A, B, C = (f"sha256:{digit * 64}" for digit in "abc")


def direction(digest: str, served_as: str = "meter") -> Direction:
    return Direction(
        served_as=served_as,
        name="meter",
        version=1,
        digest=digest,
        family="vision",
        target="onnx",
    )


def join(
    session: Session,
    name: str,
    *stacks: Direction,
    project_id: str = "default",
    last_seen_ms: int = 2,
) -> None:
    """A site that says it runs these."""
    site = Site(
        id=new_id(),
        project_id=project_id,
        name=name,
        state="serving",
        desired=DesiredState(generation=9),
        told_generation=9,
        running=DesiredState(generation=3, stacks=stacks),
        error=None,
        egress_policy="metrics",
        inference_url="",
        agent_version="1.0",
        bytes_first_install=0,
        bytes_last_update=0,
        samples_waiting=0,
        answers=0,
        joined_ms=1,
        last_seen_ms=last_seen_ms,
    )
    store.add(session, site)


def fill(database: Database) -> None:
    with database.transaction() as session:
        join(session, "two", direction(A), direction(A, "second"), direction(B, "third"))
        join(session, "one", direction(A))
        join(session, "none")
        join(session, "foreign", direction(A), project_id="other")


def test_a_site_counts_once_for_each_version(any_database: Database) -> None:
    fill(any_database)
    with any_database.reading() as session:
        assert running.num_sites(session, [A, B, C]) == {A: 2, B: 1}
        assert running.num_sites(session, [A], project_id="other") == {A: 1}
        assert running.num_sites(session, []) == {}


def test_what_most_sites_run_comes_first(any_database: Database) -> None:
    fill(any_database)
    with any_database.reading() as session:
        assert running.most(session, 0, 5) == [(A, 2), (B, 1)]
        assert running.most(session, 0, 1) == [(A, 2)]
        assert running.most(session, 0, 5, project_id="other") == [(A, 1)]
        assert running.most(session, 0, 5, project_id="empty") == []


def test_what_silent_sites_run_does_not_count(any_database: Database) -> None:
    with any_database.transaction() as session:
        join(session, "one", direction(A), last_seen_ms=9)
        join(session, "two", direction(A), direction(B, "second"), last_seen_ms=10)
        join(session, "three", direction(B), last_seen_ms=11)
    with any_database.reading() as session:
        assert running.most(session, 10, 5) == [(B, 2), (A, 1)]
        assert running.most(session, 12, 5) == []


def test_sites_come_by_name_in_pages(any_database: Database) -> None:
    fill(any_database)
    with any_database.reading() as session:
        found = running.sites(session, A)
        assert [(one.name, one.served_as) for one in found] == [
            ("one", ("meter",)),
            ("two", ("meter", "second")),
        ]
        assert (found[0].state, found[0].generation, found[0].last_seen_ms) == ("serving", 3, 2)
        assert [one.name for one in running.sites(session, A, limit=1, offset=1)] == ["two"]
        assert [one.name for one in running.sites(session, A, project_id="other")] == ["foreign"]
        assert running.sites(session, C) == []


def test_sites_that_serve_something_under_a_name_come_by_name(any_database: Database) -> None:
    fill(any_database)
    with any_database.reading() as session:
        assert running.serving(session, "meter") == ["one", "two"]
        assert running.serving(session, "second") == ["two"]
        assert running.serving(session, "meter", project_id="other") == ["foreign"]
        assert running.serving(session, "nothing") == []
        assert running.num_serving(session, "meter") == 2
        assert running.num_serving(session, "nothing") == 0
