"""What people see while the demo works: a line for each stage, with a bar, a count and a note."""

from __future__ import annotations

import pytest
from rich.console import Console

from dizuo.core.progress import Progress
from dizuo.demo.screen import Bars, Screen


def drawn(*events: Progress, width: int = 120) -> list[str]:
    """The lines of a step's bars after these events."""
    bars, console = Bars(), Console(width=width, record=True, force_terminal=True)
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
