"""The catalogue: whole in every language, and nothing is said that is not in it."""

from __future__ import annotations

import ast
import re
import string
from importlib.resources import files
from pathlib import Path

import pytest

import dizuo.console
from dizuo.access.model import Role
from dizuo.console import sentences
from dizuo.console.frame import NAVIGATION
from dizuo.console.messages import CATALOGUE, Language, Words, catalogue, language_of

ROOM = Path(str(dizuo.console.__file__)).parent
LANGUAGES = {language.value for language in Language}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def marks(text: str) -> set[str]:
    return {mark or "" for _, _, mark, _ in string.Formatter().parse(text)}


@pytest.mark.parametrize("key", sorted(catalogue()))
def test_a_text_is_there_in_every_language_with_the_same_fields(key: str) -> None:
    texts = catalogue()[key]
    assert set(texts) == LANGUAGES
    assert all(text.strip() for text in texts.values())
    if not key.startswith(("errors.", "fault.")):  # a kind may stand for a detailed sentence
        assert len({frozenset(fields(text)) for text in texts.values()}) == 1


def test_no_key_is_there_twice() -> None:
    text = files("dizuo.console").joinpath(CATALOGUE).read_text(encoding="utf-8")
    keys = [line.partition(":")[0] for line in text.splitlines() if line and line[0].isalpha()]
    assert len(keys) == len(set(keys)) == len(catalogue())


def said() -> tuple[set[str], set[str]]:
    """The keys that the code says whole, and the beginnings of those that it puts together."""
    whole: set[str] = set()
    begun: set[str] = set()
    for path in ROOM.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.func.id if isinstance(node.func, ast.Name) else name
            if name != "words":
                continue
            first = node.args[0]
            if isinstance(first, ast.Constant):
                whole.add(str(first.value))
            elif isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
                begun.add(str(first.values[0].value))
    return whole, begun


def test_what_the_pages_say_is_in_the_catalogue() -> None:
    whole, begun = said()
    assert whole
    assert whole <= set(catalogue())
    for beginning in begun:
        assert any(key.startswith(beginning) for key in catalogue()), beginning


def test_what_is_in_the_catalogue_is_said() -> None:
    """Whole, or by a text of the code that its beginning stands in."""
    constants = {
        str(node.value)
        for path in ROOM.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    constants |= {mark for one in sentences.catalogue() for mark in marks(one["en"])}
    beginnings = tuple(one for one in constants if re.fullmatch(r"[a-z_]+\.[a-z_]*", one))
    for key in catalogue():
        assert key in constants or key.startswith(beginnings), key


def test_names_of_parts_and_roles_are_there() -> None:
    for key, *_ in NAVIGATION:
        assert f"nav.{key}" in catalogue()
    for role in Role:
        assert f"role.{role.word}" in catalogue()


def test_an_unknown_key_is_a_fault_of_ours() -> None:
    with pytest.raises(KeyError):
        Words(Language.ENGLISH)("no.such.key")


@pytest.mark.parametrize(
    ("wanted", "accepted", "found"),
    [
        ("zh", "en-GB,en;q=0.9", Language.CHINESE),
        ("en", "zh-CN", Language.ENGLISH),
        ("", "zh-TW,zh;q=0.9,en;q=0.8", Language.CHINESE),
        ("", "fr-FR,fr;q=0.9,en;q=0.8,zh;q=0.7", Language.ENGLISH),
        ("xx", "fr", Language.ENGLISH),
        ("", "", Language.ENGLISH),
    ],
)
def test_a_choice_counts_before_the_browsers_languages(
    wanted: str, accepted: str, found: Language
) -> None:
    assert language_of(wanted, accepted) is found
