"""What a project says about approval, on both databases."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from tests.improvements import scene
from tests.improvements.conftest import Works, open_works
from tests.releases import stacks

from dizuo.audit import store as audit_store
from dizuo.database.engine import Database
from dizuo.improvements import service
from dizuo.improvements.model import Improvement, Policy, State
from dizuo.improvements.policy import policy, set_policy
from dizuo.improvements.service import Step
from dizuo.runs import service as runs


@pytest.mark.parametrize("default", [True, False])
def test_the_hubs_setting_counts_until_the_project_has_spoken(
    any_database: Database, default: bool
) -> None:
    with any_database.transaction() as session:
        assert policy(session, "default", default=default) == Policy(default)
        set_policy(session, "default", "operator:ann", require_approval=not default)
    with any_database.reading() as session:
        assert policy(session, "default", default=default) == Policy(not default, "operator:ann")
        assert policy(session, "other", default=default) == Policy(default)


def test_saying_the_same_again_changes_nothing(any_database: Database) -> None:
    said = [("ann", True), ("bob", True), ("bob", False)]
    for name, required in said:
        with any_database.transaction() as session:
            found = set_policy(session, "default", f"operator:{name}", require_approval=required)
            assert found.require_approval is required
    with any_database.reading() as session:
        entries = list(audit_store.stream(session))
    assert [(one.actor, one.action, one.subject, one.detail) for one in entries] == [
        (actor, "improvement_policy.set", "project:default", {"require_approval": required})
        for actor, required in (("operator:ann", True), ("operator:bob", False))
    ]


def test_an_improvement_asks_at_its_start(works: Works) -> None:
    assert not works.start().needs_approval
    with works.database.transaction() as session:
        set_policy(session, "default", scene.ANN.actor, require_approval=True)
    assert works.start().needs_approval


def say(database: Database, *, require_approval: bool) -> None:
    with database.transaction() as session:
        set_policy(session, "default", scene.ANN.actor, require_approval=require_approval)


def gating(works: Works, key: str) -> Improvement:
    """An improvement whose stack has passed its gates, which it has not looked at yet."""
    with works.database.transaction() as session:
        needs_approval = works.parts.asks(session, "default")
        begun = service.start(
            session, scene.wanted(), scene.ANN.actor, needs_approval=needs_approval
        )
        run = runs.submit(session, "gate", {}, key, scene.ANN.actor)
        runs.reuse(session, run.id, {"passed": True})
        tuned = Step("tune", {"stack": "meter-reading:1", "gate_run_id": run.id})
        for step in (Step("begin", {}), Step("collect", {}), tuned):
            begun = service.move(session, begun, step, "workflow:1")
    return begun


def test_approval_that_was_asked_for_at_the_start_or_at_the_gate_is_asked_for(
    any_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    with open_works(tmp_path / "home", any_database, supervise=False) as works:
        with any_database.transaction() as session:
            stacks.gated(session)
        for at_start, at_gate in product((True, False), repeat=2):
            say(any_database, require_approval=at_start)
            begun = gating(works, f"{at_start} {at_gate}")
            say(any_database, require_approval=at_gate)
            goes_on = works.improver.advance(begun.id)
            expected = State.AWAITING_APPROVAL if at_start or at_gate else State.RELEASING
            assert works.read(begun).state is expected, (at_start, at_gate)
            assert goes_on == (expected is State.RELEASING)
