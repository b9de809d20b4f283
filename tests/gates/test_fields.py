"""Reading mappings that people wrote."""

from __future__ import annotations

from typing import Any

import pytest

from dizuo.families.base import Problem
from dizuo.gates.fields import Fields, describe, did_you_mean

KNOWN = ("name", "kind", "seed", "pin")


def read(value: Any) -> tuple[Fields, list[Problem]]:
    problems: list[Problem] = []
    return Fields(value, ("here",), problems, thing="a thing", known=KNOWN), problems


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "nothing"),
        (True, "true"),
        ("x", "the text 'x'"),
        (3, "the number 3"),
        (0.5, "the number 0.5"),
        ([], "a list"),
        ({}, "a mapping"),
        ("y" * 100, f"the text {'y' * 60!r}"),
    ],
)
def test_values_are_named_in_a_persons_words(value: Any, words: str) -> None:
    assert describe(value) == words


@pytest.mark.parametrize(
    ("word", "known", "step"),
    [
        ("nmae", KNOWN, "Did you mean 'name'?"),
        ("quite else", KNOWN, "Known: name, kind, seed, pin."),
        ("any", (), "Known: none."),
    ],
)
def test_the_next_step_for_an_unknown_word(word: str, known: tuple[str, ...], step: str) -> None:
    assert did_you_mean(word, known) == step


def test_good_values_are_returned_without_problems() -> None:
    fields, problems = read({"name": "a-b", "kind": "x", "seed": 7, "pin": "a@2"})
    assert fields.name("name") == "a-b"
    assert fields.choice("kind", ("x", "y")) == "x"
    assert fields.integer("seed", least=0, default=1) == 7
    assert fields.pin("pin") == "a@2"
    assert problems == []


def test_what_is_absent_is_none_or_its_default() -> None:
    fields, problems = read({})
    assert fields.text("name", required=False) is None
    assert fields.integer("seed", least=0, default=1) == 1
    assert problems == []
    assert fields.name("name") is None
    assert fields.number("seed", low=0, high=1) is None
    assert fields.value("kind") is None
    assert [problem.message for problem in problems] == [
        "A thing needs 'name'.",
        "A thing needs 'seed'.",
        "A thing needs 'kind'.",
    ]
    assert {problem.path for problem in problems} == {("here",)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Upper", "'Upper' is not a name."),
        ("a" * 64, f"{'a' * 64!r} is not a name."),
        ("", "'' is not a name."),
        (7, "'name' must be a text, not the number 7."),
        (None, "'name' must be a text, not nothing."),
        ("n" * 5000, "'name' is longer than 4000 characters."),
    ],
)
def test_a_name_that_is_none(value: Any, message: str) -> None:
    fields, problems = read({"name": value})
    assert fields.name("name") is None
    assert [problem.message for problem in problems] == [message]
    assert problems[0].path == ("here", "name")


@pytest.mark.parametrize("value", [-1, 1.5, True, "7", None, 2**53])
def test_a_whole_number_that_is_none(value: Any) -> None:
    fields, problems = read({"seed": value})
    assert fields.integer("seed", least=0, default=1) == 1
    assert problems[0].message.startswith("'seed' must be a whole number from 0, not ")


def test_what_is_not_a_mapping_has_one_problem() -> None:
    fields, problems = read(["name"])
    assert fields.name("name") is None
    assert not fields.is_mapping
    assert [problem.message for problem in problems] == ["A thing must be a mapping, not a list."]


def test_keys_that_are_no_text_are_unknown() -> None:
    _, problems = read({3: "x"})
    assert problems[0].message == "3 is not a key of a thing."
