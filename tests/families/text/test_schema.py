"""Only schemas that the engine enforces are taken."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dizuo.families.text.schema import grammar, key_order, schema_fault

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
        (deep(30), "nested more than 20 deep"),
    ],
)
def test_others_are_refused_with_the_reason(schema: dict[str, Any], says: str) -> None:
    assert re.search(says, schema_fault(schema)), schema_fault(schema)


def test_answers_are_written_in_the_order_of_names() -> None:
    assert key_order(GOOD) == ("a", "b", "list")
    text = grammar(GOOD)
    assert text.startswith("%llguidance {}\nstart: %json {")
    assert '"whitespace_flexible": false' in text
    assert text.index('"a":') < text.index('"b":') < text.index('"list":')
