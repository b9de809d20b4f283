"""Rests that end by themselves: reviews come in, sites arrive. Looked at by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session
from tests.improvements import scene
from tests.improvements.conftest import Works
from tests.releases import stacks

from dizuo.improvements import service
from dizuo.improvements.model import Improvement, State
from dizuo.improvements.service import Step
from dizuo.releases import service as releases
from dizuo.sites import rollouts
from dizuo.sites import service as sites


def test_it_waits_until_enough_samples_are_reviewed(works: Works) -> None:
    digests = scene.add_returned(works.database, works.home, 3)
    begun = works.start(min_samples=2)
    assert begun.state is State.AWAITING_REVIEW
    assert begun.reason == "It waits for reviewed samples of caller: 0 of 2 are there."
    assert works.read(begun) == begun
    assert not works.improver.advance(begun.id)
    scene.label(works.database, works.home, digests[:1])
    works.improver._watch_all()
    assert works.read(begun).reason == "It waits for reviewed samples of caller: 1 of 2 are there."
    scene.label(works.database, works.home, digests[1:])
    works.improver._watch_all()
    after = works.read(begun)
    assert (after.state, after.reason) == (
        State.COLLECTING,
        "Reviewed samples to learn from: 3.",
    )
    assert [one.actor for one in works.audited("improvement.begin")] == [f"workflow:{begun.id}"]
    works.improver._watch_all()
    assert len(works.entries("improvement.begin")) == 1


def test_enough_reviewed_samples_begin_it_at_once(works: Works) -> None:
    works.review(2)
    assert works.start(min_samples=2).state is State.COLLECTING
    assert [one.actor for one in works.audited("improvement.begin")] == [scene.ANN.actor]


def test_waiting_writes_nothing_while_nothing_happens(works: Works) -> None:
    begun = works.start()
    written: list[str] = []
    event.listen(works.database.engine, "before_cursor_execute", _noting(written))
    works.improver._watch_all()
    assert {" ".join(one.split()[:2]) for one in written if one.startswith("BEGIN")} == {
        "BEGIN DEFERRED"
    }
    assert {one.split()[0] for one in written} == {"BEGIN", "SELECT"}
    assert works.read(begun).state is State.AWAITING_REVIEW


def _noting(written: list[str]) -> Any:
    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        written.append(statement)

    return note


def test_samples_that_another_has_taken_are_waited_for_again(works: Works) -> None:
    works.review()
    first = works.start()
    songs = scene.RECIPE.replace("calls", "songs")
    second = works.start(songs, dataset="songs")
    assert works.improver.advance(first.id)
    assert not works.improver.advance(second.id)
    after = works.read(second)
    assert after.state is State.AWAITING_REVIEW
    assert after.reason == "Another improvement has taken the reviewed samples."
    works.review(start=40)
    works.improver._watch_all()
    assert works.improver.advance(second.id)
    assert works.read(second).dataset_versions[0] == "songs@1"


def shipped(works: Works) -> Improvement:
    """An improvement that rests while its release is on its way to both sites."""
    with works.database.transaction() as session:
        stack = stacks.gated(session)
        releases.release(session, works.parts.repository, stack, "operator:ann")
        rollout = rollouts.start(session, "meter-reading:1", list(scene.SITES), "operator:ann")
        return resting(session, rollout.id)


def resting(session: Session, rollout_id: str) -> Improvement:
    """An improvement that waits for this rollout."""
    begun = service.start(session, scene.wanted(), "operator:ann", needs_approval=False)
    for rule in ("begin", "collect", "tune", "pass_gate", "release"):
        begun = service.move(session, begun, Step(rule, {}), "workflow:1")
    return service.move(session, begun, Step("roll_out", {"rollout_id": rollout_id}), "workflow:1")


def test_it_is_done_once_its_sites_serve_it(works: Works) -> None:
    waiting = shipped(works)
    assert not works.improver.advance(waiting.id)
    works.improver._watch_all()
    assert works.read(waiting).reason == "0 of 2 sites serve it."
    scene.obey(works.database, scene.SITES[:1])
    works.improver._watch_all()
    assert works.read(waiting).reason == "1 of 2 sites serve it."
    scene.obey(works.database)
    works.improver._watch_all()
    assert (works.read(waiting).state, works.read(waiting).reason) == (State.DONE, "")


def test_waiting_for_sites_reads_none_of_them(works: Works) -> None:
    waiting = shipped(works)
    asked: list[str] = []
    event.listen(works.database.engine, "before_cursor_execute", _noting(asked))
    works.improver._watch_all()
    assert works.read(waiting).reason == "0 of 2 sites serve it."
    of_sites = [one for one in asked if "rollout_sites" in one]
    assert of_sites
    assert all("GROUP BY rollout_sites.state" in one for one in of_sites)


def fall_back(works: Works, _rollout_id: str) -> None:
    scene.fall_back(works.database, scene.SITES[0])


def stop(works: Works, rollout_id: str) -> None:
    with works.database.transaction() as session:
        rollouts.stop(session, rollout_id, "operator:bob")


def let_go(works: Works, _rollout_id: str) -> None:
    with works.database.transaction() as session:
        for name in scene.SITES:
            sites.remove(session, name, "operator:bob")


@pytest.mark.parametrize(
    ("happen", "words"),
    [
        (fall_back, "failed: harbour fell back (probe_failed: It choked.)."),
        (stop, "stopped: by operator:bob."),
        (let_go, "superseded: no site got there before it was let go or directed elsewhere."),
    ],
)
def test_a_rollout_that_ends_otherwise_fails_it(
    works: Works, happen: Callable[[Works, str], None], words: str
) -> None:
    waiting = shipped(works)
    happen(works, waiting.rollout_id)
    works.improver._watch_all()
    after = works.read(waiting)
    reason = f"The rollout ended as {words}"
    assert (after.state, after.reason) == (State.FAILED, reason)
    assert works.entries("improvement.fail")[0]["reason"] == reason


def test_one_that_cannot_be_looked_at_holds_up_no_other(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    with works.database.transaction() as session:
        lost = resting(session, "nowhere")
    waiting = shipped(works)
    scene.obey(works.database)
    works.improver._watch_all()
    assert works.read(waiting).state is State.DONE
    assert works.read(lost).state is State.ROLLING_OUT
    assert f"improvement {lost.id} cannot be looked at" in caplog.text
