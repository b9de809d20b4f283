"""Only schemas that the engine enforces are taken."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dizuo.families.text.schema import by_name, grammar, key_order, schema_fault

GOOD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "b": {"type": "string", "maxLength": 9, "pattern": "[a-z]+"},
        "a": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/x"}]},
        "list": {"type": "array", "items": {"enum": ["p", "q"]}, "maxItems": 2},
    },
    "required": ["b"],
    "additionalProperties": False,
    "$defs": {"x": {"type": "null"}},
}


def deep(levels: int) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "null"}}}
    for _ in range(levels):
        part = {"type": "object", "properties": {"x": part}}
    return part


def with_part(part: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": part}}


def test_a_schema_of_what_is_enforced_is_taken() -> None:
    assert schema_fault(GOOD) == ""


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "string"}, "an object with properties"),
        ({"type": "object"}, "an object with properties"),
        ({"type": "object", "properties": {}}, "needs 1 to 200 properties"),
        (with_part({"zork": 1}), "'zork' cannot be enforced"),
        (with_part({"type": "strung"}), "'strung' is none of JSON's"),
        (with_part({"type": ["string", "no"]}), "is none of JSON's"),
        (with_part({"type": "string", "pattern": "((("}), "no regular expression"),
        (with_part({"pattern": 5}), "no regular expression"),
        (with_part({"$ref": "https://elsewhere/x"}), "its own \\$defs"),
        (with_part({"$ref": 5}), "its own \\$defs"),
        (with_part(5), "not a mapping"),
        (with_part({"anyOf": [5]}), "not a mapping"),
        (with_part({"type": "string", "title": "x" * 300_000}), "more than 200,000 bytes"),
        (with_part({"const": float("nan")}), "not plain JSON"),
        (with_part(False), "not a mapping"),
        (with_part({"type": []}), "none of JSON's"),
        (with_part({"pattern": "(?=x)y"}), "looks around or back"),
        (with_part({"pattern": r"(a)\1"}), "looks around or back"),
        (with_part({"format": "smell"}), "format 'smell' cannot be enforced"),
        (with_part({"minItems": 1.5}), "minItems is not a whole number from 0"),
        (with_part({"minLength": -1}), "minLength is not a whole number from 0"),
        (with_part({"maximum": "x"}), "maximum is not a number"),
        (with_part({"minLength": 3, "maxLength": 2}), "minLength is above its maxLength"),
        (with_part({"minimum": 3, "maximum": 2.5}), "minimum is above its maximum"),
        (with_part({"enum": []}), "enum is not a list of at least one"),
        (with_part({"anyOf": {"type": "null"}}), "anyOf is not a list of at least one"),
        (with_part({"properties": []}), "properties are not a mapping"),
        (with_part({"required": "x"}), "required is not a list of names"),
        (
            {**with_part({}), "required": ["y"], "additionalProperties": False},
            "requires 'y' and does not allow it",
        ),
        (with_part({"$ref": "#/$defs/none"}), "its own \\$defs"),
        (
            {**with_part({"$ref": "#/$defs/a"}), "$defs": {"a": {"$ref": "#/$defs/a"}}},
            "leads to another \\$ref",
        ),
        (deep(30), "nested more than 20 deep"),
    ],
)
def test_others_are_refused_with_the_reason(schema: dict[str, Any], says: str) -> None:
    assert re.search(says, schema_fault(schema)), schema_fault(schema)


def test_answers_to_a_layers_schema_are_written_in_the_order_of_names() -> None:
    assert key_order(GOOD) == ("a", "b", "list")
    text = grammar(by_name(GOOD), "")
    assert text.startswith("%llguidance {}\nstart: %json {")
    assert '"whitespace_flexible": false' in text
    assert text.index('"a":') < text.index('"b":') < text.index('"list":')


def test_answers_to_a_callers_schema_are_written_in_its_order() -> None:
    schema = {"type": "object", "properties": {"why": {"type": "string"}, "is": {"const": 1}}}
    text = grammar(schema, "")
    assert text.index('"why":') < text.index('"is":')
