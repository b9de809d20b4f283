"""`python -m dizuo.demo.hotline`, and the sample it has made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from dizuo.demo.hotline.__main__ import make
from dizuo.demo.hotline.copying import FRONT_DESK

SAMPLE = Path(__file__).parents[3] / "examples" / "hotline" / "harbin-200.jsonl"


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(make)
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("kind", ["facility", "government", "harbin", "shenzhen"])
def test_it_prints_tickets(kind: str) -> None:
    rows = [json.loads(line) for line in run(kind, "--num", "5").stdout.splitlines()]
    assert len(rows) == 5
    assert all(row["label"]["place"] in row["prompt"] for row in rows)


def test_the_base_mixes_tickets_copies_unknown_events_and_excerpts() -> None:
    rows = [json.loads(line) for line in run("base", "--num", "12").stdout.splitlines()]
    copied = [row["prompt"].endswith(row["label"]) for row in rows]
    unknown = [FRONT_DESK in row["label"] for row in rows]
    excerpts = [row["label"].startswith('{"place"') for row in rows]
    assert copied == [False, True, False, False, False, False] * 2
    assert unknown == [False, False, True, False, False, True] * 2
    assert excerpts == [False, False, False, False, True, False] * 2


def test_the_bases_suite_has_tickets_alone() -> None:
    lines = run("base", "--num", "6", "--split", "heldout").stdout.splitlines()
    assert all('"category"' in json.loads(line)["label"] for line in lines)


@pytest.mark.parametrize(
    "arguments",
    [
        ("shenzhen", "--new-share", "0.5"),
        ("copying", "--new-share", "0.5"),
        ("copying", "--split", "heldout"),
        ("excerpts", "--split", "heldout"),
        ("paris",),
        ("harbin", "--num", "0"),
    ],
)
def test_what_cannot_be_made_is_refused(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_the_sample_is_what_the_command_in_its_readme_prints() -> None:
    readme = SAMPLE.with_name("README.md").read_text(encoding="utf-8")
    (line,) = (line for line in readme.splitlines() if line.endswith(f"> {SAMPLE.name}"))
    arguments = line.removeprefix("python -m dizuo.demo.hotline ").split(" > ")[0]
    printed = run(*arguments.split()).stdout
    assert printed == SAMPLE.read_text(encoding="utf-8")
    assert len(printed.splitlines()) == 200
