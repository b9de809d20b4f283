"""What a run has said as stages and curves: whole, small, and read on."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.progress import Progress
from dizuo.runs.curves import MAX_POINTS, Curve, Listener, Stage, Story, _Line
from dizuo.runs.events import EventWriter
from dizuo.runs.folder import AttemptPlan, RunFolder


def say(folder: RunFolder, fence: int, *events: Progress) -> None:
    attempt = folder.attempt(fence)
    if not attempt.path.exists():
        attempt.open(AttemptPlan(fence, 1, 1, 1))
    writer = EventWriter(attempt.events_path)
    for event in events:
        writer(event)
    writer.close()


def step(done: int, loss: float) -> Progress:
    return Progress("train", done, 10, metrics={"loss": loss})


def test_a_run_that_has_said_nothing_has_no_story(tmp_path: Path) -> None:
    assert Listener(RunFolder(tmp_path)).listen() == Story()


def test_stages_keep_their_order_and_tell_how_far_they_are(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    say(folder, 1, Progress("read", 3, 3, "row", "bars@1"), step(1, 0.5), step(2, 0.25))
    story = Listener(folder).listen()
    assert story.stages == (
        Stage("read", 3, 3, "row", "bars@1"),
        Stage("train", 2, 10, "step", ""),
    )
    assert story.curves == (Curve("loss", ((1.0, 0.5), (2.0, 0.25))),)
    assert story.curves[0].last == (2.0, 0.25)


def test_listening_goes_on_where_it_stopped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    listener = Listener(folder)
    say(folder, 1, step(1, 0.5))
    first = listener.listen()
    assert listener.listen() == first
    say(folder, 1, step(2, 0.25))
    assert listener.listen() == Listener(folder).listen() != first


def test_an_attempt_that_goes_on_from_a_checkpoint_replaces_what_did_not_count(
    tmp_path: Path,
) -> None:
    folder = RunFolder(tmp_path)
    say(folder, 1, step(1, 0.9), step(2, 0.8), step(3, 0.7))
    say(folder, 2, step(2, 0.6), step(3, 0.5))
    (curve,) = Listener(folder).listen().curves
    assert curve.points == ((1.0, 0.9), (2.0, 0.6), (3.0, 0.5))


@given(st.integers(1, 20 * MAX_POINTS))
def test_long_curves_stay_small_even_and_whole(num_steps: int) -> None:
    line = _Line()
    for done in range(1, num_steps + 1):
        line.add((float(done), 1 / done))
    points = line.points()
    steps = [point[0] for point in points]
    assert len(points) <= 2 * MAX_POINTS + 1
    assert (steps[0], steps[-1]) == (1, num_steps)
    gaps = {after - before for before, after in pairwise(steps[:-1])}
    assert len(gaps) <= 1
    assert len(points) >= min(num_steps, MAX_POINTS)
