"""The tables of `docs/asking.md` against what a text model takes and refuses."""

from __future__ import annotations

import json
import re

from tests.docs.reference import DOCS

from dizuo.families.text.llama import DEFAULTS
from dizuo.families.text.parameters import NEUTRAL, PASSED_OVER, REFUSED, TAKEN

PAGE = (DOCS / "asking.md").read_text("utf-8")


def tables() -> list[list[list[str]]]:
    """Every table's rows, and their cells."""
    blocks = re.findall(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", PAGE, re.M)
    return [[line.strip("|").split("|") for line in block.splitlines()] for block in blocks]


def named(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def keys(table: list[list[str]]) -> list[str]:
    return [key for row in table for key in named(row[0])]


def test_each_parameter_stands_in_its_table() -> None:
    taken, passed_over, refused = tables()
    assert sorted(keys(taken)) == sorted(TAKEN)
    assert sorted(keys(passed_over)) == sorted(PASSED_OVER)
    assert sorted(keys(refused)) == sorted(REFUSED)


def test_what_a_refused_parameter_may_say_stands_beside_it() -> None:
    _, _, refused = tables()
    said = {
        key: [json.loads(value) for value in named(row[1])]
        for row in refused
        for key in named(row[0])
    }
    for key, values in said.items():
        known = NEUTRAL.get(key, ())
        assert values == [one for place, one in enumerate(known) if one not in known[:place]], key


def test_defaults_are_those_of_the_engine() -> None:
    taken, _, _ = tables()
    told = {key: row[-1].strip() for row in taken for key in named(row[0])}
    assert {key: float(told[key]) for key in DEFAULTS} == DEFAULTS
