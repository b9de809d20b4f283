"""The JSON schemas that an `extract` layer may carry: those llama.cpp can enforce. Light."""

from __future__ import annotations

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
"""Those that llama.cpp's grammar takes, or that say nothing about the form."""


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
    return next((fault for below in _below(part) if (fault := _part_fault(below, depth + 1))), "")


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
    """The properties in the order in which an answer writes them: those required by name, then the
    others by name.

    llama.cpp's grammar wants required properties first and keeps the order of `properties`; by
    name, since JSON that was kept in canonical form has no other.
    """
    required = schema.get("required", [])
    return tuple(
        sorted(schema.get("properties", {}), key=lambda name: (name not in required, name))
    )
