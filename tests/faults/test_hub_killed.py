"""The hub killed by SIGKILL at every place of the loop: all of it happens, and happens once."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from tests.faults.conftest import ROOT, Story
from tests.improvements.conftest import until

from dizuo.improvements.model import State

BEFORE_WORK = "dizuo.improvements.steps:Steps.before before"
IN_TRANSACTION = "dizuo.improvements.service:move after"
AFTER_COMMIT = "dizuo.improvements.improver:Improver._change after 1"
BETWEEN_STEPS = "dbos._sys_db:SystemDatabase.record_operation_result after 1"
INSIDE_STEPS = [
    "dizuo.datasets.adding:write_version after 1",
    "dizuo.datasets.review:_Batch.settle after 1",
    "dizuo.improvements.steps:collect after 1",
    "dizuo.runs.service:submit after 1",
    "dizuo.runs.process:spawn_worker after 1",
    "dizuo.stacks.service:register after 1",
    "dizuo.runs.service:succeed after 1",
    "dizuo.gates.service:save_report after 1",
    "dizuo.releases.repository:Repository._write_project after 1",
    "dizuo.releases.repository:Repository._write_timestamp before 1",
    "dizuo.releases.repository:Repository.add_target after 1",
    "dizuo.sites.rollouts:start after 1",
]
"""In the order in which one improvement gets there."""


@pytest.mark.timeout(600)  # it starts ten hubs, one after the other
def test_killed_inside_steps_between_them_and_after_a_commit(story: Story) -> None:
    early, late = (INSIDE_STEPS[1], INSIDE_STEPS[3]), (INSIDE_STEPS[7], *INSIDE_STEPS[10:])
    begin, finish = f"{IN_TRANSACTION} 1", f"{IN_TRANSACTION} 2"
    for place in (begin, AFTER_COMMIT, *early, BETWEEN_STEPS, *late, finish):
        story.dies(place)
    story.ends()
    story.assert_done_once()


def test_killed_with_the_trainer_alive_and_restarted_with_other_source(
    held_story: Story, tmp_path: Path
) -> None:
    with held_story.hub() as hub:
        until(held_story.lines)
        hub.kill()
        hub.wait()
    (begun,) = held_story.lines()
    os.kill(int(begun.split()[2]), 0)  # the trainer lives
    assert held_story.read().state is State.TUNING
    (tmp_path / "go").touch()
    held_story.ends(source=[changed_source(tmp_path)])
    held_story.assert_done_once()
    assert [line.split()[0] for line in held_story.lines()] == ["begin", "end"]
    assert "the new source" in held_story.log()


def changed_source(folder: Path) -> Path:
    """A copy of the package in which every step says something, and the workflow has one more."""
    source = folder / "src"
    shutil.copytree(
        ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    room = source / "dizuo" / "improvements"
    replace(
        room / "steps.py",
        "        return self._work[state]\n",
        '        print("the new source", state)\n        return self._work[state]\n',
    )
    replace(
        room / "workflow.py",
        "                while advance(improvement_id):\n",
        '                DBOS.step(name="greet")(lambda: print("the new source"))()\n'
        "                while advance(improvement_id):\n",
    )
    return source


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


@pytest.mark.slow
@pytest.mark.timeout(900)  # up to thirteen hubs, one after the other
@pytest.mark.parametrize(
    "places", [[BETWEEN_STEPS] * 5, INSIDE_STEPS], ids=["between steps", "inside steps"]
)
def test_killed_at_every(story: Story, places: list[str]) -> None:
    for place in places:
        story.dies(place)
    story.ends()
    story.assert_done_once()


WORKED = (State.COLLECTING, State.TUNING, State.GATING, State.RELEASING, State.DIRECTING)
"""States that are left by work; the others by what is waited for."""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("places", "states"),
    [
        ([f"{BEFORE_WORK} {number}" for number in (1, 2, 2, 2, 2)], WORKED),
        (
            [f"{IN_TRANSACTION} {number}" for number in (1, 2, 2, 2, 2, 2, 2)],
            (State.AWAITING_REVIEW, *WORKED, State.ROLLING_OUT),
        ),
        (
            [AFTER_COMMIT] * 8,  # those of RULES, and the note that the site is not there yet
            (*WORKED, State.ROLLING_OUT, State.ROLLING_OUT, State.DONE),
        ),
    ],
    ids=["before work", "in transactions", "after commits"],
)
def test_killed_in_every_state(story: Story, places: list[str], states: tuple[State, ...]) -> None:
    for place, state in zip(places, states, strict=True):
        story.dies(place)
        assert story.read().state is state
    story.ends()
    story.assert_done_once()


@pytest.mark.slow
def test_hub_and_trainer_killed_together(held_story: Story, tmp_path: Path) -> None:
    with held_story.hub() as hub:
        until(held_story.lines)
        hub.kill()
        hub.wait()
    os.kill(int(held_story.lines()[0].split()[2]), signal.SIGKILL)
    (tmp_path / "go").touch()
    held_story.ends()
    held_story.assert_done_once()
    assert [line.split()[0] for line in held_story.lines()] == ["begin", "begin", "end"]
