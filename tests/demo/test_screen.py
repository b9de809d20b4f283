"""What people see while the demo works: a line for each stage, with a bar, a count and a note."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.improvements.conftest import until

from dizuo.cli.progress import Lines
from dizuo.core.progress import Progress
from dizuo.demo.screen import Bars, Screen


def drawn(*events: Progress, width: int = 120) -> list[str]:
    """The lines of a step's bars after these events."""
    console = Console(width=width, record=True, force_terminal=True)
    bars = Bars(Lines(console))
    for event in events:
        bars.report(event)
    console.print(bars.progress)
    return console.export_text().splitlines()


def test_steps_are_numbered() -> None:
    console = Console(width=120, record=True)
    screen = Screen(console, 2)
    for title in ("First", "Second"):
        with screen.step(title) as bars:
            bars.summary = "done"
    text = console.export_text()
    assert "[1/2] First done" in text
    assert "[2/2] Second done" in text


def test_words_from_elsewhere_are_no_markup() -> None:
    console = Console(width=120, record=True)
    with Screen(console, 1).step("Read [b]this[/b]") as bars:
        bars.summary = "[red]that[/]"
    assert "[1/1] Read [b]this[/b] [red]that[/]" in console.export_text()


def test_in_a_file_a_step_says_every_half_minute_how_far_it_is() -> None:
    now, said = 0.0, io.StringIO()
    screen = Screen(Console(file=said, width=120), 1, lambda: now)
    with screen.step("Train") as bars:
        bars.report(Progress("train", 3, 10))
        now = 29.0
        bars.report(Progress("train", 4, 10))
        assert said.getvalue() == ""
        now = 30.0
        until(said.getvalue)  # though no event arrives
        now = 59.0
        bars.report(Progress("export"))
        now = 60.0
        until(lambda: "export" in said.getvalue())
    assert said.getvalue().splitlines() == [
        "[1/1] Train: train: 4/10 steps",
        "[1/1] Train: export",
        "✓ [1/1] Train  60.0 s",
    ]


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Progress("upload", 500_000, 1_000_000, "byte", "shapes"), "500 kB of 1 MB shapes"),
        (Progress("train", 3, 10, metrics={"loss": 0.5}), "3/10 steps loss 0.5"),
        (Progress("roll out", 1, 3, "site", "site1 done, site2 pending"), "1/3 sites site1 done"),
        (Progress("read", 7, 457, "image"), "7/457 images"),
    ],
)
def test_every_stage_has_a_bar_and_says_how_far_it_is(event: Progress, words: str) -> None:
    (line,) = drawn(event)
    assert event.stage in line
    assert "━" in line
    assert words in line


def test_a_stage_that_begins_ends_those_before_it() -> None:
    lines = drawn(Progress("prepare"), Progress("train", 9, 10), Progress("export", 0, 2, "target"))
    assert ["✓" in line for line in lines] == [True, True, False]


def test_long_words_give_way_to_the_bar_in_a_narrow_terminal() -> None:
    (line,) = drawn(Progress("roll out", 1, 3, "site", "site1 done, " * 9), width=80)
    assert len(line) <= 80
    assert line.count("━") + line.count("╸") + line.count("╺") == 24
    assert "…" in line
