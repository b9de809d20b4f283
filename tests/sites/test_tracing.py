"""From the sites that run a digest to what it was made from, in one list."""

from __future__ import annotations

import pytest
from tests.releases.stacks import register
from tests.sites.conftest import Caller
from tests.sites.fleet import ACTOR, Fleet

from dizuo.access.model import Role
from dizuo.sites import tracing
from dizuo.stacks import service as stacks
from dizuo.stacks.model import TraceStep


def steps(fleet: Fleet, digest: str) -> list[TraceStep]:
    with fleet.database.reading() as session:
        return tracing.trace(session, stacks.get_by_digest(session, digest))


def test_sites_and_release_come_before_the_stack(fleet: Fleet) -> None:
    fleet.join("b", "a", "c", "d")
    first, second = fleet.release(version=1), fleet.release(version=2)
    fleet.start("meter-reading:1", ["a", "b"])
    fleet.start("meter-reading:1", ["b"], served_as="second-meter")
    fleet.start("meter-reading:2", ["c"])
    fleet.start("meter-reading:1", ["d"])
    for name in ("a", "b", "c"):  # d is directed to it and does not run it yet
        fleet.arrive(name)
    found = steps(fleet, first.digest)
    kinds = ["site", "site", "release", "stack", "gate-report", "run"]
    assert [step.kind for step in found] == kinds
    assert [step.id for step in found[:3]] == ["a", "b", first.id]
    assert {step.digest for step in found[:4]} == {first.digest}
    assert {step.of for step in found[:3]} == {first.digest}
    assert found[1].detail["served_as"] == ["meter-reading", "second-meter"]
    assert found[1].detail["generation"] == fleet.site("b").running.generation
    assert found[2].detail == {"state": "signed", "actor": ACTOR}
    assert [step.id for step in steps(fleet, second.digest)[:2]] == ["c", second.id]


def test_an_outline_counts_the_sites(fleet: Fleet) -> None:
    fleet.join("a", "b")
    made = fleet.release()
    fleet.start("meter-reading:1", "all")
    fleet.arrive("a")
    with fleet.database.reading() as session:
        stack = stacks.get_by_digest(session, made.digest)
        found = tracing.outline(session, stack)
        assert found[1:] == tracing.trace(session, stack)[1:]
    assert (found[0].kind, found[0].detail) == ("sites", {"num_sites": 1})
    assert [step.kind for step in found] == ["sites", "release", "stack", "gate-report", "run"]


def test_what_runs_on_after_its_release_was_withdrawn_says_so(fleet: Fleet) -> None:
    fleet.join("a")
    made = fleet.release()
    fleet.start("meter-reading:1", "all")
    fleet.arrive("a")
    fleet.withdraw(made)
    site, release, *_ = steps(fleet, made.digest)
    assert (site.kind, release.kind, release.detail["state"]) == ("site", "release", "withdrawn")


def test_what_was_never_released_begins_with_itself(fleet: Fleet) -> None:
    fleet.join("a")
    fleet.release(version=1)
    with fleet.database.transaction() as session:
        unreleased = register(session, version=2)
    assert [step.kind for step in steps(fleet, unreleased.digest)] == ["stack", "run"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("meter-reading/9", 404, "stack_not_found"),
        ("nobody/1", 404, "stack_not_found"),
        ("METERS/1", 400, "invalid_reference"),
        ("meter-reading/0", 400, "invalid_input"),
        ("meter-reading/x", 400, "invalid_input"),
    ],
)
def test_what_has_no_trace(
    fleet: Fleet, call_as: Caller, path: str, status: int, code: str
) -> None:
    fleet.release()
    answer = call_as(Role.READER).get(f"/api/v1/stacks/{path}/trace")
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_a_trace_over_http(fleet: Fleet, call_as: Caller) -> None:
    fleet.join("a")
    made = fleet.release()
    fleet.start("meter-reading:1", "all")
    fleet.arrive("a")
    items = call_as(Role.READER).get("/api/v1/stacks/meter-reading/1/trace").json()["items"]
    assert items[0] == {
        "kind": "site",
        "id": "a",
        "digest": made.digest,
        "of": made.digest,
        "served_as": ["meter-reading"],
        "generation": 1,
    }
    assert [item["kind"] for item in items[:3]] == ["site", "release", "stack"]
