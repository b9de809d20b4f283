"""`dizuo tune` and `dizuo gate`: following, the report, and what status they leave with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.cli.scripted_hub import FAILED, MADE, Ask, ScriptedHub, report

from dizuo.stacks.errors import RecipeProblem, RecipeRefused


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "digits.yaml"
    path.write_text("name: digits # 数字\n")
    return path


def test_tune_makes_gates_and_shows(ask: Ask, recipe: Path) -> None:
    hub = ScriptedHub(ends={"tune": MADE})
    said = ask(hub, "tune", recipe)
    assert said.status == 0
    assert [run["kind"] for run in hub.asked] == ["tune", "gate"]
    assert hub.asked[0] == {"kind": "tune", "recipe": "name: digits # 数字\n", "no_cache": False}
    assert hub.asked[1] == {"kind": "gate", "stack": "digits:1"}
    assert "digits:1 is made." in said.out
    assert "✓ met" in said.out
    assert "0.9512" in said.out
    assert "0.93 to 0.97" in said.out
    assert said.out.rstrip().endswith("digits:1 passed.")
    assert "tune work" in said.err
    assert "10/10 steps" in said.err


@pytest.mark.parametrize(
    ("verdicts", "mark"),
    [(("pass", "fail"), "✗ not met"), (("cannot_tell",), "? cannot tell"), ((), "no gates")],
)
@pytest.mark.parametrize("as_json", [True, False])
def test_gates_that_were_not_met_leave_with_status_1(
    ask: Ask, recipe: Path, verdicts: tuple[str, ...], mark: str, as_json: bool
) -> None:
    hub = ScriptedHub(ends={"tune": MADE}, report=report(*verdicts))
    said = ask(hub, "tune", recipe, *(["--json"] if as_json else []))
    assert said.status == 1
    if as_json:
        assert said.json["report"]["passed"] is False
        assert said.json["run"]["outcome"] == MADE["outcome"]
    else:
        assert mark in said.out
        assert said.out.rstrip().endswith("digits:1 has not passed.")


def test_no_gate_makes_the_stack_only(ask: Ask, recipe: Path) -> None:
    hub = ScriptedHub(ends={"tune": MADE})
    said = ask(hub, "tune", recipe, "--no-gate", "--no-cache", "--json")
    assert said.status == 0
    assert said.json["report"] is None
    assert [(run["kind"], run["no_cache"]) for run in hub.asked] == [("tune", True)]


def test_what_was_made_before_is_not_followed(ask: Ask, recipe: Path) -> None:
    hub = ScriptedHub(ends={"tune": {**MADE, "state": "succeeded", "cached": True}})
    said = ask(hub, "tune", recipe)
    assert "digits:1 was made before from the same inputs." in said.out
    assert "tune work" not in said.err
    assert said.status == 0


def test_detach_returns_at_once(ask: Ask, recipe: Path) -> None:
    hub = ScriptedHub()
    assert "Started run tune." in ask(hub, "tune", recipe, "--detach").out
    pinned = f"digits:1@{MADE['outcome']['digest']}"
    assert ask(hub, "gate", pinned, "--detach", "--json").json["state"] == "queued"
    assert [run["kind"] for run in hub.asked] == ["tune", "gate"]
    assert hub.asked[1]["stack"] == pinned  # the digest goes along, for the hub to hold it to


@pytest.mark.parametrize("broken", ["tune", "gate"])
def test_a_run_that_fails_is_told_in_its_own_words(ask: Ask, recipe: Path, broken: str) -> None:
    ends: dict[str, dict[str, Any]] = {"tune": MADE}
    hub = ScriptedHub(ends={**ends, broken: FAILED})
    said = ask(hub, "tune", recipe)
    assert said.status == 1
    assert said.err.rstrip().splitlines()[-2:] == ["The rows are empty.", "Add some."]
    in_json = ask(hub, "tune", recipe, "--json")
    assert in_json.status == 1
    assert in_json.json["error"]["message"] == "The rows are empty."
    assert in_json.json["error"]["code"] == "run_failed"


def test_a_run_that_gives_no_reason_points_to_its_log(ask: Ask, recipe: Path) -> None:
    said = ask(ScriptedHub(ends={"tune": {"state": "failed"}}), "tune", recipe)
    assert "The tune run ended as failed." in said.err
    assert "dizuo runs log tune" in said.err


def test_a_cancelled_run_has_not_succeeded(ask: Ask, recipe: Path) -> None:
    said = ask(ScriptedHub(ends={"tune": {"state": "cancelled"}}), "tune", recipe)
    assert said.status == 1
    assert "The tune run was cancelled." in said.err


def test_every_problem_of_a_recipe_is_told_with_its_line(ask: Ask, recipe: Path) -> None:
    problems = (
        RecipeProblem(2, 1, ("leval",), "Unknown key leval.", "Did you mean level?"),
        RecipeProblem(7, 3, ("data",), "There is no dataset digits."),
    )
    hub = ScriptedHub(refusal=RecipeRefused("digits.yaml", problems))
    said = ask(hub, "tune", recipe)
    assert said.status == 1
    assert said.err.splitlines() == [
        "digits.yaml, line 2 (and 1 more): Unknown key leval.",
        "line 7: There is no dataset digits.",
        "Did you mean level?",
    ]
    assert [one["line"] for one in ask(hub, "tune", recipe, "--json").json["problems"]] == [2, 7]


def test_check_asks_only(ask: Ask, recipe: Path) -> None:
    hub = ScriptedHub()
    said = ask(hub, "tune", recipe, "--check")
    assert (said.status, said.out.split("/")[-1]) == (0, "digits.yaml would be accepted.\n")
    assert ask(hub, "tune", recipe, "--check", "--json").json == {"ok": True, "name": "digits.yaml"}
    assert hub.asked == []


def test_gate_alone(ask: Ask) -> None:
    hub = ScriptedHub(report=report("fail"))
    said = ask(hub, "gate", "digits:1", "--json")
    assert said.status == 1
    assert said.json == report("fail")


def test_recipes_that_cannot_be_read(tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "large").write_bytes(b"#" * 300_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    hub = ScriptedHub()
    for name, words in (
        ("missing", "cannot be read: No such file or directory."),
        (".", "cannot be read: Is a directory."),
        ("large", "is too large for a recipe."),
        ("binary", "is not a text file in UTF-8."),
    ):
        said = ask(hub, "tune", tmp_path / name)
        assert said.status == 1
        assert words in said.err
    assert hub.asked == []
