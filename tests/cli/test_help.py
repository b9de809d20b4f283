"""Every command explains itself, by an example that works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cli.door import dizuo
from typer.core import TyperGroup
from typer.main import get_command

from dizuo.cli.main import app


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name in command.commands:
            yield from _walk(command.commands[name], (*path, name))


EVERY = dict(_walk(get_command(app)))
LEAVES = {path: one for path, one in EVERY.items() if not isinstance(one, TyperGroup)}


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts}


def test_the_commands_of_the_door_are_there() -> None:
    wanted = """up; demo; keys init; model import; model ls; model show; model log; data add;
        data ls; data show; data diff; tune; gate; release; rollout start; rollout status;
        rollout stop; site ls; site show; site token; agent join; agent run; agent status;
        review ls; review label; review dataset; improve start; improve status; improve approve;
        improve reject; runs ls; runs show; runs log; runs cancel; trace; audit verify; audit log;
        token create; token ls; token revoke; account ls; account create; account password;
        account role; account disable; account enable"""
    assert {tuple(one.split()) for one in wanted.split(";")} <= set(LEAVES)


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_help_has_an_example(path: tuple[str, ...]) -> None:
    said = dizuo(*path, "--help")
    assert said.status == 0
    assert said.err == ""
    assert "Example: " in said.out
    assert "Not installed" not in said.out


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_can_answer_in_json(path: tuple[str, ...]) -> None:
    assert "--json" in _options(LEAVES[path])


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_examples_name_commands_and_options_that_exist(path: tuple[str, ...]) -> None:
    examples = re.findall(r"^\s*Example: (.+)$", EVERY[path].help or "", re.MULTILINE)
    assert examples
    for example in examples:
        program, *words = shlex.split(example)
        assert program == "dizuo"
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        (leaf,) = [one for one in LEAVES if one[: len(path)] == path and _has(words, one)]
        assert given <= _options(LEAVES[leaf]) | _options(EVERY[()]), example


def _has(words: list[str], path: tuple[str, ...]) -> bool:
    return any(tuple(words[at : at + len(path)]) == path for at in range(len(words)))


def test_no_arguments_at_all_is_a_call_for_help() -> None:
    said = dizuo()
    assert said.status == 2
    assert "Example: " in said.out + said.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tkoen",), "Did you mean 'token'?"),
        (("token", "creat"), "Did you mean 'create'?"),
        (("token", "create"), "Missing argument"),
        (("token", "create", "ann", "--rule", "x"), "No such option"),
        (("runs", "ls", "--limit", "many"), "--limit"),
        (("runs", "ls", "--limit", "0"), "--limit"),
        (("rollout", "start", "m:1"), "name sites with --site, or take --all"),
        (("rollout", "start", "m:1", "--all", "--site", "a"), "name sites with --site"),
        (("review", "label", "s"), "give a label or --unusable"),
        (("review", "label", "s", "7", "--unusable"), "give a label or --unusable"),
        (("review", "label", "s", "--label-json", "{"), "this is not JSON"),
        (("--url", "http://127.0.0.1:1"), "dizuo --help lists them"),
    ],
)
def test_a_wrong_call_is_told_what_is_wrong(arguments: tuple[str, ...], words: str) -> None:
    said = dizuo(*arguments)
    assert (said.status, said.out) == (2, "")
    assert words in " ".join(said.err.replace("│", " ").split())
