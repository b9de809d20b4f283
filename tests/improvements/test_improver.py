"""What an improvement does when things go wrong, advanced by hand."""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session
from tests.improvements import scene
from tests.improvements.conftest import Works, launched, open_home, until

from dizuo.core.errors import DizuoError, Unavailable
from dizuo.datasets import review, samples
from dizuo.datasets.review import Verdict
from dizuo.improvements import improver as improver_module
from dizuo.improvements import service, steps
from dizuo.improvements.errors import ImprovementNotFound, ImprovementRefused
from dizuo.improvements.model import RESTING_STATES, Improvement, State
from dizuo.improvements.service import Step
from dizuo.improvements.workflow import HubStopping
from dizuo.releases.errors import KeysMissing
from dizuo.releases.repository import Repository
from dizuo.runs import service as runs
from dizuo.sites.errors import SiteNotFound
from dizuo.stacks.errors import RecipeRefused


class Failing:
    """Work of a state that raises what it is given, in turn, and then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def __call__(self, _session: Session, _improvement: Improvement) -> Step:
        if self.errors:
            raise self.errors.pop(0)
        return Step("collect", {"tune_run_id": "none"})


@pytest.fixture
def failing(works: Works, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the first state's work fail with these errors."""

    def install(*errors: Exception) -> Failing:
        work = Failing(*errors)
        monkeypatch.setattr(works.improver._steps, "work", lambda _state: work)
        monkeypatch.setattr(works.improver._steps, "before", lambda _improvement: None)
        return work

    return install


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("The disk is full."),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EMFILE, "Too many open files"),
    ],
)
def test_what_passes_is_tried_again(works: Works, failing: Any, error: Exception) -> None:
    improvement = works.start(min_samples=0)
    work = failing(error, error, error)
    assert works.improver.advance(improvement.id)
    assert work.errors == []
    after = works.read(improvement)
    assert (after.state, after.reason) == (State.TUNING, "")
    assert len(works.entries("improvement.collect")) == 1


def test_meanwhile_it_says_why_it_waits(works: Works, failing: Any) -> None:
    improvement = works.start(min_samples=0)
    failing(*[Unavailable("The disk is full.")] * 1000)
    advancing = threading.Thread(target=_advance_until_stopped, args=(works, improvement))
    advancing.start()
    until(lambda: works.read(improvement).reason != improvement.reason)
    assert works.read(improvement).reason == "This is tried again: The disk is full."
    assert works.read(improvement).state is State.COLLECTING
    works.improver.interrupt()
    advancing.join()


def _advance_until_stopped(works: Works, improvement: Improvement) -> None:
    with pytest.raises(HubStopping):
        works.improver.advance(improvement.id)


def test_what_is_expected_ends_it_with_its_sentence(works: Works, failing: Any) -> None:
    improvement = works.start(min_samples=0)
    failing(DizuoError("It cannot be.", next_step="Do something else."))
    assert not works.improver.advance(improvement.id)
    after = works.read(improvement)
    assert (after.state, after.reason) == (State.FAILED, "It cannot be. Do something else.")
    assert works.entries("improvement.fail")[0]["reason"] == after.reason


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("a defect"), OSError(errno.ENOENT, "No such file or directory")]
)
def test_what_nobody_foresaw_ends_it_and_is_logged(
    works: Works, failing: Any, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    improvement = works.start(min_samples=0)
    failing(error)
    with caplog.at_level(logging.ERROR):
        assert not works.improver.advance(improvement.id)
    after = works.read(improvement)
    assert after.state is State.FAILED
    assert type(error).__name__ in after.reason
    assert after.reason.endswith("See the hub's log.")
    assert any(entry.exc_info and entry.exc_info[1] is error for entry in caplog.records)


def test_failing_is_tried_again_too(
    works: Works, failing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    improvement = works.start(min_samples=0)
    failing(DizuoError("It cannot be."))
    busy = [Unavailable("The database is locked.")] * 2
    move = service.move

    def move_later(session: Session, one: Improvement, step: Step, actor: str) -> Improvement:
        if busy:
            raise busy.pop()
        return move(session, one, step, actor)

    monkeypatch.setattr(service, "move", move_later)
    assert not works.improver.advance(improvement.id)
    assert works.read(improvement).state is State.FAILED


def test_what_somebody_else_has_moved_is_left_alone(
    works: Works, failing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    improvement = works.start(min_samples=0)
    work = failing()

    def overtake(one: Improvement) -> None:
        monkeypatch.setattr(works.improver._steps, "before", lambda _one: None)
        assert works.improver.advance(one.id)

    monkeypatch.setattr(works.improver._steps, "before", overtake)
    assert works.improver.advance(improvement.id)
    assert work.errors == []
    assert works.read(improvement).state is State.TUNING
    assert len(works.entries("improvement.collect")) == 1


def test_resting_improvements_are_left_alone(works: Works, failing: Any) -> None:
    improvement = works.start(min_samples=0)
    failing(DizuoError("It cannot be."))
    assert not works.improver.advance(improvement.id)
    work = failing(ZeroDivisionError())
    assert not works.improver.advance(improvement.id)
    assert len(work.errors) == 1
    assert works.read(improvement).reason == "It cannot be."


def test_stopping_decides_nothing(works: Works) -> None:
    improvement = works.start(min_samples=0)
    works.improver.interrupt()
    with pytest.raises(HubStopping):
        works.improver.advance(improvement.id)
    assert works.read(improvement).state is State.COLLECTING


def test_waiting_for_a_run_ends_when_the_hub_stops(works: Works) -> None:
    works.review()
    improvement = works.start(min_samples=0)
    assert works.improver.advance(improvement.id)
    waiting = threading.Thread(target=_advance_until_stopped, args=(works, improvement))
    waiting.start()
    works.improver.interrupt()
    works.parts.supervisor.stop()
    waiting.join(30)
    assert not waiting.is_alive()
    after = works.read(improvement)
    assert (after.state, after.reason) == (State.TUNING, "")


def test_nothing_reviewed_ends_what_would_not_wait(works: Works) -> None:
    improvement = works.start(min_samples=0)
    assert not works.improver.advance(improvement.id)
    after = works.read(improvement)
    assert after.state is State.FAILED
    assert after.reason.startswith("No sample was reviewed yet")
    assert works.ask(runs.listing) == []


def test_a_label_corrected_while_samples_are_collected_is_taken_as_it_is(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, *_ = scene.add_reviewed(works.database, works.home)
    improvement = works.start(min_samples=0)
    select_all = samples.select_all
    calls: list[int] = []

    def correct_after(session: Session, wanted: Any) -> Any:
        chosen = select_all(session, wanted)
        if not calls:
            calls.append(1)
            threading.Thread(target=correct).run()
        return chosen

    def correct() -> None:
        with works.database.transaction() as session:
            verdict = Verdict("hello", correct=True)
            review.judge(session, works.home, digest, verdict, "operator:bob")

    monkeypatch.setattr(samples, "select_all", correct_after)
    assert works.improver.advance(improvement.id)
    after = works.read(improvement)
    assert (after.state, after.dataset_versions[0]) == (State.TUNING, "calls@1")


def test_only_samples_of_the_named_site_are_taken(works: Works) -> None:
    works.review(site=scene.SITES[1])
    assert works.start(from_site=scene.SITES[0]).state is State.AWAITING_REVIEW
    other = works.start(from_site=scene.SITES[1])
    assert works.improver.advance(other.id)


@pytest.mark.parametrize("asked", ["", scene.NAME])
def test_only_samples_of_its_own_name_count_and_are_taken(works: Works, *, asked: str) -> None:
    own = works.review(10)
    others = works.review(30, start=40, served_as="singer")
    waiting = works.start(served_as=asked, min_samples=12)
    assert waiting.state is State.AWAITING_REVIEW
    assert waiting.reason == "It waits for reviewed samples of caller: 10 of 12 are there."
    own += works.review(2, start=100)
    works.improver._watch_all()
    assert works.read(waiting).reason == "Reviewed samples to learn from: 12."
    assert works.improver.advance(waiting.id)
    assert used(works) == set(own)
    other = works.start(served_as="singer", min_samples=len(others))
    assert works.improver.advance(other.id)
    assert used(works) == {*own, *others}


def used(works: Works) -> set[str]:
    """The digests of the samples that were taken so far."""
    return {digest for entry in works.entries("samples.used") for digest in entry["samples"]}


REFUSED: list[tuple[dict[str, Any], type[DizuoError], str]] = [
    ({"text": "name: ["}, RecipeRefused, "line"),
    ({"text": scene.RECIPE.replace("listen", "shout")}, RecipeRefused, "only listen"),
    ({"family": "words"}, ImprovementRefused, "parrot"),
    ({"dataset": "songs"}, ImprovementRefused, "learn nothing from songs"),
    ({"text": scene.RECIPE.replace("calls@1", "other/calls@1", 1)}, ImprovementRefused, "other"),
    ({"sites": ()}, ImprovementRefused, "No site"),
    ({"sites": ("atlantis",)}, SiteNotFound, "atlantis"),
    ({"holdout": 0.0}, ImprovementRefused, "holdout"),
    ({"holdout": 0.51}, ImprovementRefused, "holdout"),
    ({"min_samples": -1}, ImprovementRefused, "-1"),
]


@pytest.mark.parametrize(("changes", "error", "words"), REFUSED)
def test_what_could_not_end_well_is_refused_at_once(
    works: Works, changes: dict[str, Any], error: type[DizuoError], words: str
) -> None:
    text = changes.pop("text", scene.RECIPE)
    with pytest.raises(error) as refused:
        works.start(text, **changes)
    assert words in str(refused.value)
    assert works.entries("improvement.started") == []


def test_the_family_is_the_recipes_where_it_is_not_said(works: Works) -> None:
    assert works.start(family="").request.family == "parrot"


def test_a_recipe_is_called_by_its_name(works: Works) -> None:
    with pytest.raises(RecipeRefused, match=r"^valves\.yaml, line 1"):
        works.improver.start(scene.wanted("name: ["), scene.ANN, source_name="valves.yaml")


def test_a_recipe_without_gates_is_refused(works: Works) -> None:
    head, _, rest = scene.RECIPE.partition("gates:")
    without = head + rest[rest.index("targets:") :]
    with pytest.raises(ImprovementRefused, match="no gates"):
        works.start(without)


def test_without_keys_nothing_is_started(works: Works, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    with (
        open_home(
            tmp_path / "bare", supervise=False, repository=Repository(tmp_path / "nothing")
        ) as bare,
        pytest.raises(KeysMissing),
    ):
        bare.start()


def test_deciding_needs_one_that_waits_in_ones_own_project(works: Works) -> None:
    with pytest.raises(ImprovementNotFound, match="nothing"):
        works.improver.decide("nothing", scene.ANN, approve=True)


# Workflows that died


@pytest.fixture
def broken_once(works: Works, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first call of `advance` dies in a way that DBOS writes down as the workflow's end."""
    calls: list[str] = []
    advance = improver_module.Improver.advance

    def die_first(self: improver_module.Improver, improvement_id: str) -> bool:
        calls.append(improvement_id)
        if len(calls) == 1:
            raise RuntimeError("the durable side broke")
        return advance(self, improvement_id)

    monkeypatch.setattr(works.improver._workflows, "_advance", die_first.__get__(works.improver))
    return calls


def test_another_workflow_takes_over_from_one_that_broke(
    works: Works, broken_once: list[str]
) -> None:
    with launched(works):
        improvement = works.start(min_samples=0)
        failed = works.rests(improvement, State.FAILED)
    assert failed.reason.startswith("No sample was reviewed yet")
    assert broken_once == [improvement.id] * 2


def test_a_workflow_whose_thread_died_is_replaced(
    works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    advance = works.improver.advance

    def vanish_first(improvement_id: str) -> bool:
        calls.append(improvement_id)
        if len(calls) == 1:
            raise HubStopping
        return advance(improvement_id)

    monkeypatch.setattr(works.improver._workflows, "_advance", vanish_first)
    with launched(works):
        improvement = works.start(min_samples=0)
        works.rests(improvement, State.FAILED)
    assert calls == [improvement.id] * 2


def test_a_look_that_fails_is_repeated(
    works: Works, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ensure = works.improver._ensure_all
    errors: Iterator[Exception] = iter([Unavailable("Not now."), ZeroDivisionError()])

    def fail_first() -> None:
        for error in errors:
            raise error
        ensure()

    monkeypatch.setattr(works.improver, "_ensure_all", fail_first)
    with launched(works):
        works.rests(works.start(min_samples=0), State.FAILED)
    assert "looking at the improvements failed" in caplog.text


def test_steps_know_every_state_with_work(works: Works) -> None:
    known = steps.Steps(works.parts)
    for state in set(State) - RESTING_STATES:
        assert callable(known.work(state))
