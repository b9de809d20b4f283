"""Sizes, ages and tables; nothing from outside reaches the terminal as a command to it."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.improvements.conftest import until

from dizuo.cli import output
from dizuo.cli.progress import Bars, Lines
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (None, ""),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (12_345_678, "12.3 MB"),
        (7_000_000_000, "7 GB"),
        (500_000_000_000_000, "500 TB"),
    ],
)
def test_sizes(num_bytes: int | None, text: str) -> None:
    assert output.size(num_bytes) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, ""),
        (0, ""),
        (10_000_000_000, "just now"),
        (10_000_500_000, "just now"),
        (9_999_955_000, "45 s ago"),
        (9_999_700_000, "5 min ago"),
        (9_990_000_000, "2 h ago"),
        (9_000_000_000, "11 d ago"),
    ],
)
def test_ages(milliseconds: int | None, text: str) -> None:
    assert output.age(milliseconds, now=10_000_000_000) == text


def test_moments() -> None:
    assert output.moment(None) == ""
    assert output.moment(1_795_326_538_999) == "2026-11-22T05:48:58Z"


@given(st.text())
def test_text_from_outside_is_only_text(text: str) -> None:
    said = output.plain(text).plain
    assert "\x1b" not in said
    assert all(c.isprintable() or c == "\n" for c in said)


def _printed(columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    with redirect_stdout(io.StringIO()) as out:
        output.print_table(columns, rows, empty="Nothing here.")
    return out.getvalue()


def test_a_table_for_a_pipe_breaks_no_id_in_two() -> None:
    digest = "sha256:" + "ab" * 32
    text = _printed(("name", ">size"), [(digest, 7), ("[bold]x[/]", None), ("a\x1b[31m", 1234)])
    assert digest in text
    assert "[bold]x[/]" in text
    assert "\x1b" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[1].endswith("   7")
    assert lines[3].endswith("1234")


def test_a_table_without_rows_is_a_sentence() -> None:
    assert _printed(("name",), []) == "Nothing here.\n"


def test_empty_fields_are_left_out() -> None:
    with redirect_stdout(io.StringIO()) as out:
        output.print_fields([("a", 1), ("b", None), ("c", ""), ("d", []), ("e", 0)])
    assert [line.split() for line in out.getvalue().splitlines()] == [["a", "1"], ["e", "0"]]


def test_an_error_with_its_further_problems() -> None:
    problems = [{"line": line, "message": f"Wrong {line}."} for line in (2, 5)]
    with redirect_stderr(io.StringIO()) as err:
        output.print_error(InvalidInput("Line 2: Wrong 2.", next_step="Mend it."), problems)
    assert err.getvalue().splitlines() == ["Line 2: Wrong 2.", "line 5: Wrong 5.", "Mend it."]


def test_json_is_one_value_and_keeps_every_script() -> None:
    with redirect_stdout(io.StringIO()) as out:
        output.print_json({"name": "底座"})
    assert out.getvalue() == '{\n  "name": "底座"\n}\n'


def test_bars_show_each_stage_and_its_last_figures() -> None:
    with redirect_stderr(io.StringIO()) as err, Bars() as bars:
        bars.report(Progress("upload", 0, 2_000_000, "byte", "rows[1].csv"))
        bars.report(Progress("upload", 2_000_000, 2_000_000, "byte", "rows[1].csv"))
        bars.report(Progress("train", 3, 10, "step", "epoch 1\n", {"loss": 0.123456}))
        bars.report(Progress("export"))
    upload, train, export = (line for line in err.getvalue().splitlines() if line.strip())
    assert "upload" in upload
    assert "2 MB of 2 MB" in upload
    assert "rows[1].csv" in upload
    assert "3/10 steps" in train
    assert "loss 0.1235 epoch 1" in train
    assert "export" in export


def test_in_a_pipe_a_line_every_half_minute_says_how_far_the_work_is() -> None:
    now = 0.0
    with redirect_stderr(io.StringIO()) as err:
        lines = Lines(output.console(stderr=True), clock=lambda: now)
        for step in range(1, 64):
            lines.report(Progress("train", step, 100, "step", "", {"loss": 0.5}))
            now += 1.0
    told = ["train: 31/100 steps loss 0.5", "train: 61/100 steps loss 0.5"]
    assert err.getvalue().splitlines() == told


def test_in_a_pipe_a_line_comes_though_no_event_does() -> None:
    now = 0.0
    with redirect_stderr(io.StringIO()) as err, Bars(clock=lambda: now) as bars:
        bars.report(Progress("train", 3, 10))
        now = 29.0
        bars.report(Progress("export"))
        assert err.getvalue() == ""
        now = 30.0
        until(err.getvalue)
        assert err.getvalue() == "export\n"


def test_bars_of_work_that_failed_are_not_filled() -> None:
    def fail() -> None:
        with Bars() as bars:
            bars.report(Progress("train", 3, 10))
            raise InvalidInput("No.")

    with redirect_stderr(io.StringIO()) as err, pytest.raises(InvalidInput):
        fail()
    assert "✓" not in err.getvalue()
