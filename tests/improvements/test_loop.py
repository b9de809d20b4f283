"""The whole loop on real parts: workers in processes of their own, DBOS, signatures, sites."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.improvements import scene
from tests.improvements.conftest import Works, launched, open_home, until

from dizuo.audit import service as audit
from dizuo.core.transitions import TransitionRefused
from dizuo.datasets import service as datasets
from dizuo.improvements.model import State
from dizuo.improvements.policy import set_policy
from dizuo.releases import service as releases
from dizuo.runs import service as runs
from dizuo.sites import rollouts
from dizuo.sites import service as sites
from dizuo.stacks import service as stacks


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """Works that learn from 12 samples; tests go on from there."""
    with open_home(tmp_path_factory.mktemp("loop") / "home") as works, launched(works):
        works.review()
        works.rests(works.start(), State.DONE, State.FAILED)
        yield works


@pytest.fixture(scope="module")
def careful(loop: Works, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """Works where a person must approve."""
    home = tmp_path_factory.mktemp("careful") / "home"
    loop.improver.close()  # DBOS is one in a process
    with open_home(home, require_approval=True) as works, launched(works):
        works.review()
        yield works


def test_reviewed_samples_end_at_the_site(loop: Works) -> None:
    (detail,) = loop.entries("improvement.roll_out")
    with loop.database.reading() as session:
        rollout = rollouts.get(session, detail["rollout_id"])
        site = sites.show(session, scene.SITES[0])
        other = sites.show(session, scene.SITES[1])
        (release,) = releases.listing(session)
        verdict = audit.verify(session)
    assert rollout.direction.digest == release.digest
    assert [one.digest for one in site.desired.stacks] == [release.digest]
    assert other.desired.stacks == ()
    assert loop.parts.repository.targets("default") == {"default/caller/1.json": release.digest}
    assert verdict.ok


def test_every_step_left_its_mark_once(loop: Works) -> None:
    rules = ["begin", "collect", "tune", "pass_gate", "release", "roll_out", "finish"]
    assert [len(loop.entries(f"improvement.{rule}")) for rule in rules] == [1] * len(rules)
    (collected,) = loop.entries("improvement.collect")
    assert collected["dataset_versions"] == ["calls@1", "calls-test@1"]
    used = [d for detail in loop.entries("samples.used") for d in detail["samples"]]
    assert len(used) == len(set(used)) == 12


def test_nothing_new_to_learn_builds_nothing_new(loop: Works) -> None:
    before = loop.ask(lambda session: stacks.log(session, "caller"))
    begun = loop.start(sites=(scene.SITES[1],), min_samples=0)
    done = loop.rests(begun, State.DONE, State.FAILED)
    assert done.state is State.DONE, done.reason
    assert done.stack == "caller:1"
    assert loop.ask(lambda session: stacks.log(session, "caller")) == before
    assert loop.ask(lambda session: runs.get(session, done.tune_run_id)).cached
    assert len(loop.ask(releases.listing)) == 1


def test_a_review_wakes_it_and_new_labels_make_a_new_version(loop: Works) -> None:
    digests = scene.add_returned(loop.database, loop.home, start=40)
    begun = loop.start(min_samples=len(digests))
    assert begun.state is State.AWAITING_REVIEW
    scene.label(loop.database, loop.home, digests[:-1])
    known = f"{len(digests) - 1} of {len(digests)} are there"
    until(lambda: known in loop.read(begun).reason)
    scene.label(loop.database, loop.home, digests[-1:])
    done = loop.rests(begun, State.DONE, State.FAILED)
    assert done.state is State.DONE, done.reason
    assert done.dataset_versions == ("calls@2", "calls-test@2")
    assert "calls@2" in done.recipe_used
    assert "calls-test@2" in done.recipe_used
    assert done.stack == "caller:2"


def test_where_no_person_must_approve_the_loop_itself_signs(loop: Works) -> None:
    for action in ("release.signed", "rollout.started"):
        entry = loop.audited(action)[0]
        assert entry.actor == f"workflow:{entry.detail['improvement']}"
        assert entry.detail["started_by"] == scene.ANN.actor


def test_it_is_not_done_before_the_site_serves_it(loop: Works) -> None:
    loop.review(start=80)
    resting = loop.rests(loop.start(), State.ROLLING_OUT, State.FAILED)
    until(lambda: loop.read(resting).reason == "0 of 1 sites serve it.")
    scene.fall_back(loop.database, scene.SITES[0])
    failed = loop.rests(resting, State.DONE, State.FAILED)
    assert failed.state is State.FAILED
    assert failed.reason.startswith("The rollout ended as failed: harbour fell back")


def test_a_gate_that_is_not_met_ends_it(loop: Works) -> None:
    begun = loop.start(scene.recipe(mute="yes"), min_samples=0)
    failed = loop.rests(begun, State.DONE, State.FAILED)
    assert failed.state is State.FAILED
    assert "1 of 2 gates were met" in failed.reason
    assert "exact_match" in failed.reason
    assert failed.release_id == ""
    assert all(one.stack != failed.stack for one in loop.ask(releases.listing))


def test_a_project_that_asks_for_approval_meanwhile_gets_it(loop: Works) -> None:
    digests = scene.add_returned(loop.database, loop.home, start=120)
    begun = loop.start(min_samples=len(digests))
    assert not begun.needs_approval
    with loop.database.transaction() as session:
        set_policy(session, "default", scene.ANN.actor, require_approval=True)
    scene.label(loop.database, loop.home, digests)
    waiting = loop.rests(begun, State.AWAITING_APPROVAL, State.DONE, State.FAILED)
    with loop.database.transaction() as session:
        set_policy(session, "default", scene.ANN.actor, require_approval=False)
    assert waiting.state is State.AWAITING_APPROVAL, waiting.reason


def test_a_run_that_fails_ends_it(loop: Works) -> None:
    text = scene.RECIPE.replace("scratch", "nobody:7").replace("L0", "L1")
    begun = loop.start(text.replace("name: caller", "name: mimic"), min_samples=0)
    failed = loop.rests(begun, State.DONE, State.FAILED)
    assert failed.state is State.FAILED
    assert "The tune run ended as failed." in failed.reason
    assert "nobody:7" in failed.reason


def test_a_person_approves(careful: Works) -> None:
    waiting = careful.rests(careful.start(), State.AWAITING_APPROVAL, State.FAILED)
    assert waiting.reason == "The gates were passed; a person must approve."
    assert careful.ask(releases.listing) == []
    approved = careful.improver.decide(waiting.id, scene.ANN, approve=True)
    assert approved.state is State.RELEASING
    done = careful.rests(waiting, State.DONE, State.FAILED)
    assert done.state is State.DONE, done.reason
    with pytest.raises(TransitionRefused):
        careful.improver.decide(waiting.id, scene.ANN, approve=False)
    assert careful.entries("improvement.approve")[0]["reason"] == "Approved by operator:ann."
    assert done.approver == scene.ANN.actor


def test_a_person_rejects(careful: Works) -> None:
    before = len(careful.ask(rollouts.listing))
    begun = careful.start(min_samples=0)
    waiting = careful.rests(begun, State.AWAITING_APPROVAL, State.FAILED)
    rejected = careful.improver.decide(waiting.id, scene.ANN, approve=False)
    assert (rejected.state, rejected.release_id) == (State.REJECTED, "")
    assert len(careful.ask(rollouts.listing)) == before


def test_a_project_may_do_without_a_person_where_the_hub_asks_for_one(careful: Works) -> None:
    with careful.database.transaction() as session:
        set_policy(session, "default", scene.ANN.actor, require_approval=False)
    done = careful.rests(careful.start(min_samples=0), State.DONE, State.AWAITING_APPROVAL)
    assert (done.state, done.approver) == (State.DONE, "")


def test_datasets_are_where_the_hub_keeps_them(loop: Works) -> None:
    pin = loop.ask(lambda session: datasets.pin(session, "calls@1"))
    assert pin.uri.startswith(str(datasets.root_of(loop.home)))
