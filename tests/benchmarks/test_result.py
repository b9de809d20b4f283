"""The form in which every measurement says what came out."""

from __future__ import annotations

import json
import math
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
import typer
from benchmarks.rig.machine import machine
from benchmarks.rig.result import Result, publish
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
MEASUREMENTS = sorted(path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py"))
FIELDS = ("name", "aim", "measured", "unit", "met")
RESULT = Result("bytes", "fewer than before", 3.0, "bytes", True, {"before": 4})


def test_the_raw_figures_stand_beside_the_fields() -> None:
    said = json.loads(RESULT.line())
    assert tuple(said)[:5] == FIELDS
    assert said["before"] == 4
    assert "\n" not in RESULT.line()


@pytest.mark.parametrize("taken", FIELDS)
def test_a_raw_figure_cannot_hide_a_field(taken: str) -> None:
    with pytest.raises(ValueError, match=taken):
        Result("bytes", "fewer", 3.0, "bytes", True, {taken: 4}).line()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_json_is_not_written(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        Result("bytes", "fewer", value, "bytes", True).line()


@pytest.mark.parametrize(
    ("met", "verdict"), [(True, ": met."), (False, ": not met."), (None, ": not what this run")]
)
def test_people_read_a_table_and_programs_the_last_line(
    met: bool | None, verdict: str, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(Result("bytes", "fewer", 3.0, "bytes", met), ("side", ">bytes"), [("ours", 3)])
    *table, sentence, line = capsys.readouterr().out.splitlines()
    assert [row.split() for row in table] == [["side", "bytes"], ["ours", "3"]]
    assert verdict in sentence
    assert json.loads(line)["met"] is met


def test_the_machine_is_told_with_its_load() -> None:
    told = machine()
    assert told["cores"] >= 1
    assert told["memory_bytes"] > 0
    assert told["load_before"] >= 0
    assert json.loads(json.dumps(told)) == told


def test_make_bench_runs_every_measurement_and_nothing_else() -> None:
    command = ["make", "--dry-run", "--always-make", "bench"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = [
        line.split("benchmarks.")[1].split()[0] for line in said.splitlines() if " -m bench" in line
    ]
    assert sorted(named) == MEASUREMENTS


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_every_measurement_has_help_with_an_example(name: str) -> None:
    program = typer.Typer()
    program.command()(import_module(f"benchmarks.{name}").main)
    done = CliRunner().invoke(program, ["--help"])
    assert done.exit_code == 0, done.output
    assert f"python -m benchmarks.{name}" in done.output
