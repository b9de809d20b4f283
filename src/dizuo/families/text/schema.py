"""The JSON schemas that an `extract` layer may carry: those llama.cpp can enforce. Light."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from dizuo.core.digests import canonical_json

MAX_SCHEMA_BYTES = 200_000
MAX_PROPERTIES = 200
_MAX_DEPTH = 20
_KEYWORDS = {
    "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf",
    "oneOf", "allOf", "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "minimum",
    "maximum", "pattern", "format", "description", "title", "$schema", "default", "examples",
    "exclusiveMinimum", "exclusiveMaximum", "$defs", "$ref", "definitions",
}  # fmt: skip
"""Those that llguidance enforces, or that say nothing about the form."""
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")


def schema_fault(schema: Mapping[str, Any]) -> str:
    """Why a schema cannot be used, without a full stop, or an empty string."""
    if schema.get("type") != "object" or not isinstance(schema.get("properties"), Mapping):
        return "a schema must describe an object with properties"
    if not 0 < len(schema["properties"]) <= MAX_PROPERTIES:
        return f"a schema needs 1 to {MAX_PROPERTIES} properties"
    try:
        size = len(canonical_json(schema))
    except (TypeError, ValueError, RecursionError):
        return "the schema is not plain JSON"
    if size > MAX_SCHEMA_BYTES:
        return f"the schema has more than {MAX_SCHEMA_BYTES:,} bytes"
    return _part_fault(schema, 0)


def _part_fault(part: Any, depth: int) -> str:
    if depth > _MAX_DEPTH:
        return f"the schema is nested more than {_MAX_DEPTH} deep"
    if isinstance(part, bool):
        return ""
    if not isinstance(part, Mapping):
        return "a part of the schema is not a mapping"
    unknown = sorted(str(key) for key in part if key not in _KEYWORDS)
    if unknown:
        return f"the schema's keyword {unknown[0][:40]!r} cannot be enforced by the engine"
    if fault := _value_fault(part):
        return fault
    return next((fault for below in _below(part) if (fault := _part_fault(below, depth + 1))), "")


def _value_fault(part: Mapping[str, Any]) -> str:
    types = part.get("type", [])
    if any(one not in _TYPES for one in ([types] if isinstance(types, str) else types)):
        return f"the schema's type {str(types)[:40]!r} is none of JSON's"
    pattern = part.get("pattern")
    try:
        re.compile(pattern if pattern is not None else "")
    except (re.error, TypeError, RecursionError):
        return f"the schema's pattern {str(pattern)[:40]!r} is no regular expression"
    reference = part.get("$ref", "#/$defs/")
    if not isinstance(reference, str) or not re.match(r"#/(\$defs|definitions)/", reference):
        return "a $ref of the schema does not lead to its own $defs"
    return ""


def _below(part: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for key in ("properties", "$defs", "definitions"):
        value = part.get(key, {})
        found += list(value.values()) if isinstance(value, Mapping) else [value]
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        value = part.get(key, [])
        found += value if isinstance(value, list) else [value]
    for key in ("items", "additionalProperties"):
        if key in part:
            found.append(part[key])
    return found


def key_order(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The properties in the order in which an answer writes them: by name.

    The engine writes them in the order of `properties`, and JSON that was kept in canonical form
    has no other order than by name.
    """
    return tuple(sorted(schema.get("properties", {})))


def grammar(schema: Mapping[str, Any]) -> str:
    """The llguidance grammar that holds an answer to a schema, without spaces between its parts.

    llama.cpp is built with llguidance here; one that it cannot parse is left out silently, so only
    schemas without a `schema_fault` may come.
    """
    compact = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
    held = {**schema, "x-guidance": compact}
    return "%llguidance {}\nstart: %json " + json.dumps(held, ensure_ascii=False, sort_keys=True)


ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
"""What OpenAI's `json_object` asks for."""
