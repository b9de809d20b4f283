"""Progress on disk: every whole line once, from any place on."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress
from dizuo.runs.events import EventWriter, Position, read_events
from dizuo.runs.folder import AttemptPlan, RunFolder


def attempt_with(folder: RunFolder, fence: int, *stages: str) -> None:
    attempt = folder.attempt(fence)
    attempt.open(AttemptPlan(fence, 1, 1, 1))
    writer = EventWriter(attempt.events_path)
    for stage in stages:
        writer(Progress(stage))
    writer.close()


def stages(folder: RunFolder, after: Position = Position()) -> list[str]:  # noqa: B008
    return [event.progress["stage"] for event in read_events(folder, after)]


def test_events_come_back_whole(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.attempt(1).open(AttemptPlan(1, 1, 1, 1))
    writer = EventWriter(folder.attempt(1).events_path)
    event = Progress("训练", 3, 10, "step", "line\nbreak", {"loss": 0.5})
    writer(event)
    writer.close()
    (read,) = read_events(folder, Position())
    assert read.progress == event.as_dict()


def test_events_of_all_attempts_in_order(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for fence in (1, 2, 10):
        attempt_with(folder, fence, f"a{fence}", f"b{fence}")
    assert stages(folder) == ["a1", "b1", "a2", "b2", "a10", "b10"]


def test_reading_on_from_every_place(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    attempt_with(folder, 1, "a", "b")
    attempt_with(folder, 2, "c")
    everything = list(read_events(folder, Position()))
    for index, event in enumerate(everything):
        rest = [later.progress["stage"] for later in everything[index + 1 :]]
        assert stages(folder, Position.parse(str(event.position))) == rest


def test_attempt_without_events_is_passed_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.attempt(1).open(AttemptPlan(1, 1, 1, 1))
    attempt_with(folder, 2, "a")
    assert stages(folder) == ["a"]


def test_cut_line_is_not_there_yet(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    attempt_with(folder, 1, "a", "b")
    path = folder.attempt(1).events_path
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    (first,) = read_events(folder, Position())
    assert first.progress["stage"] == "a"
    path.write_bytes(whole)
    assert stages(folder, first.position) == ["b"]


@given(offset=st.integers(0, 10_000), fence=st.integers(0, 4))
def test_any_position_is_harmless(
    tmp_path_factory: pytest.TempPathFactory, offset: int, fence: int
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("run"))
    attempt_with(folder, 1, "a", "b")
    assert set(stages(folder, Position(fence, offset))) <= {"a", "b"}


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "a:1", "-1:0", "1:2:3", "1:" + "9" * 60])
def test_other_texts_are_no_position(text: str) -> None:
    with pytest.raises(InvalidInput):
        Position.parse(text)


@pytest.mark.parametrize("figure", [math.nan, math.inf])
def test_figure_that_is_not_finite_is_left_out(tmp_path: Path, figure: float) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    writer(Progress("train", metrics={"loss": figure, "rate": 0.1}))
    writer.close()
    assert json.loads((tmp_path / "events.jsonl").read_bytes())["metrics"] == {"rate": 0.1}


def test_figure_of_another_library_is_written_as_a_number(tmp_path: Path) -> None:
    writer = EventWriter(tmp_path / "events.jsonl")
    writer(Progress("train", metrics={"loss": np.float32(0.5)}))  # type: ignore[dict-item]
    writer.close()
    assert json.loads((tmp_path / "events.jsonl").read_bytes())["metrics"] == {"loss": 0.5}


def test_full_disk_does_not_stop_the_work() -> None:
    writer = EventWriter(Path("/dev/full"))
    writer(Progress("train"))
    writer.close()


def test_line_that_is_no_event_is_passed_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    attempt_with(folder, 1, "a")
    with folder.attempt(1).events_path.open("ab") as stream:
        os.write(stream.fileno(), b"[1]\n")
    assert stages(folder) == ["a"]
