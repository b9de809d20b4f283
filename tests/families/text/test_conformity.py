"""Labels against schemas."""

from __future__ import annotations

from typing import Any

import pytest

from dizuo.families.text.conformity import label_fault
from dizuo.families.text.patterns import pattern_fault

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["drain", "light", 1]},
        "place": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"},
        "count": {"type": "integer", "minimum": 1, "exclusiveMaximum": 9},
        "share": {"type": ["number", "null"], "maximum": 1, "exclusiveMinimum": 0},
        "sure": {"const": True},
        "names": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        "pair": {"prefixItems": [{"type": "string"}, {"type": "boolean"}]},
        "either": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/point"}]},
        "both": {"allOf": [{"type": "integer"}, {"minimum": 3}]},
        "whatever": {},
        "free": {"type": "object", "additionalProperties": {"type": "integer"}},
        "tree": {"$ref": "#/$defs/tree"},
    },
    "required": ["kind"],
    "additionalProperties": False,
    "$defs": {
        "point": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        "tree": {"type": "object", "properties": {"tree": {"$ref": "#/$defs/tree"}}},
    },
}


@pytest.mark.parametrize(
    "label",
    [
        {"kind": "drain"},
        {"kind": 1, "place": "abc", "count": 8, "share": None, "sure": True},
        {"kind": "light", "share": 1.0, "names": [], "pair": ["a", False, 7]},
        {"kind": "light", "names": ["a", "b"], "either": "x", "both": 3, "count": 4.0},
        {"kind": "light", "either": {"x": 1.5}, "whatever": [{}], "free": {"a": 1}},
        {"kind": "light", "tree": {"tree": {"tree": {}}}},
    ],
)
def test_what_the_schema_says(label: Any) -> None:
    assert label_fault(label, SCHEMA, pattern_fault=pattern_fault) == ""


@pytest.mark.parametrize(
    ("label", "says"),
    [
        ("drain", "the label is not of type object"),
        ([], "the label is not of type object"),
        ({}, 'the label lacks "kind"'),
        ({"kind": "gas"}, '"kind" of the label is "gas", which the schema does not list'),
        ({"kind": True}, '"kind" of the label is true, which the schema does not list'),
        ({"kind": 1, "mood": 1}, 'the label has "mood", which the schema does not'),
        ({"kind": 1, "place": 5}, '"place" of the label is not of type string'),
        ({"kind": 1, "place": "a"}, "there are 1 characters in"),
        ({"kind": 1, "place": "abcdef"}, "the schema takes 2 to 5"),
        ({"kind": 1, "place": "A1"}, "does not match the schema's pattern"),
        ({"kind": 1, "count": 0}, "is 0, below 1"),
        ({"kind": 1, "count": 9}, "is 9, not below 9"),
        ({"kind": 1, "count": 1.5}, "is not of type integer"),
        ({"kind": 1, "count": True}, "is not of type integer"),
        ({"kind": 1, "share": "1"}, "is not of type number or null"),
        ({"kind": 1, "share": 2}, "is 2, above 1"),
        ({"kind": 1, "share": 0}, "is 0, not above 0"),
        ({"kind": 1, "sure": 1}, "which the schema does not list"),
        ({"kind": 1, "names": ["a", 5]}, 'item 2 of "names" of the label is not of type string'),
        ({"kind": 1, "names": ["a"] * 3}, "there are 3 items in"),
        ({"kind": 1, "pair": ["a", "b"]}, 'item 2 of "pair" of the label is not of type boolean'),
        ({"kind": 1, "either": {"y": 1}}, "is none of the schema's alternatives"),
        ({"kind": 1, "both": 2}, "is 2, below 3"),
        ({"kind": 1, "free": {"a": "x"}}, '"a" of "free" of the label is not of type integer'),
        ({"kind": 1, "tree": {"tree": 5}}, '"tree" of "tree" of the label is not of type object'),
    ],
)
def test_what_it_does_not_say(label: Any, says: str) -> None:
    fault = label_fault(label, SCHEMA, pattern_fault=pattern_fault)
    assert says in fault, fault


def test_patterns_are_passed_over_where_nobody_compares_them() -> None:
    assert label_fault({"kind": 1, "place": "A1"}, SCHEMA) == ""


@pytest.mark.timeout(60)
def test_a_pattern_without_end_is_given_up() -> None:
    assert pattern_fault("^(a|aa)+$", "a" * 100) == ""
    assert pattern_fault("(x+x+)+y", "x" * 10_000).startswith("takes too long")


def test_a_label_without_end() -> None:
    label: dict[str, Any] = {}
    for _ in range(5000):
        label = {"tree": label}
    assert label_fault({"kind": 1, "tree": label}, SCHEMA) == "the label is nested too deep"
