"""The JSON schemas that an `extract` layer may carry: those llama.cpp can enforce. Light.

What is wrong with one part is told here. That parts contradict each other (`allOf`), or could both
hold (`oneOf`), only the engine finds out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from dizuo.core.digests import canonical_json
from dizuo.families.text import excerpts

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
_ALTERNATIVES = ("anyOf", "oneOf", "allOf", "prefixItems")
_COUNTS = ("minItems", "minLength")
_RANGES = (
    ("minItems", "maxItems"),
    ("minLength", "maxLength"),
    ("minimum", "maximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
)
_FORMATS = (
    *("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"),
)
_LOOKS_AROUND = re.compile(r"\(\?<?[=!]|\(\?\(|\(\?P=|\\[1-9]")
_COMPACT = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":"}
_QUOTE = json.dumps('"')
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
    return excerpts.excerpts_fault(schema) or _part_fault(_without_excerpts(schema), schema, 0)


def _without_excerpts(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    quoted = excerpts.excerpts_of(schema)
    if not quoted:
        return schema
    others = {name: part for name, part in schema["properties"].items() if name not in quoted}
    return {**schema, "properties": others, "required": list(others)}


def _part_fault(part: Any, root: Mapping[str, Any], depth: int) -> str:
    if depth > _MAX_DEPTH:
        return f"the schema is nested more than {_MAX_DEPTH} deep"
    if part is True:
        return ""
    if not isinstance(part, Mapping):
        return "a part of the schema is not a mapping"
    unknown = sorted(str(key) for key in part if key not in _KEYWORDS)
    if unknown:
        return f"the schema's keyword {unknown[0][:40]!r} cannot be enforced by the engine"
    faults = (
        _type_fault(part),
        _text_fault(part),
        _range_fault(part),
        _choice_fault(part),
        _object_fault(part),
        _reference_fault(part, root),
        *(_part_fault(below, root, depth + 1) for below in _below(part)),
    )
    return next((fault for fault in faults if fault), "")


def _type_fault(part: Mapping[str, Any]) -> str:
    types = part.get("type", _TYPES)
    types = [types] if isinstance(types, str) else types
    if not isinstance(types, Sequence) or not types or any(one not in _TYPES for one in types):
        return f"the schema's type {str(part['type'])[:40]!r} is none of JSON's"
    return ""


def _text_fault(part: Mapping[str, Any]) -> str:
    pattern, form = part.get("pattern", ""), part.get("format", _FORMATS[0])
    try:
        re.compile(pattern)
    except (re.error, TypeError, RecursionError):
        return f"the schema's pattern {str(pattern)[:40]!r} is no regular expression"
    if _LOOKS_AROUND.search(pattern):
        return f"the schema's pattern {pattern[:40]!r} looks around or back; the engine cannot"
    if form not in _FORMATS:
        return f"the schema's format {str(form)[:40]!r} cannot be enforced by the engine"
    return ""


def _range_fault(part: Mapping[str, Any]) -> str:
    for low, high in _RANGES:
        counts = low in _COUNTS
        for key in (low, high):
            value = part.get(key, 0)
            whole = type(value) is int and value >= 0
            if not (whole if counts else type(value) in (int, float)):
                return (
                    f"the schema's {key} is not a {'whole number from 0' if counts else 'number'}"
                )
        if low in part and high in part and part[low] > part[high]:
            return f"the schema's {low} is above its {high}"
    return ""


def _choice_fault(part: Mapping[str, Any]) -> str:
    for key in ("enum", *_ALTERNATIVES):
        if key in part and not (isinstance(part[key], list) and part[key]):
            return f"the schema's {key} is not a list of at least one"
    return ""


def _object_fault(part: Mapping[str, Any]) -> str:
    properties, required = part.get("properties", {}), part.get("required", [])
    if not isinstance(properties, Mapping):
        return "the schema's properties are not a mapping"
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return "the schema's required is not a list of names"
    missing = sorted(set(required) - set(properties))
    if missing and part.get("additionalProperties") is False:
        return f"the schema requires {missing[0][:40]!r} and does not allow it"
    return ""


def _reference_fault(part: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    reference = part.get("$ref")
    if reference is None:
        return ""
    found = re.fullmatch(r"#/(\$defs|definitions)/([^/]+)", str(reference))
    known = root.get(found[1]) if found else None
    if found is None or not isinstance(known, Mapping) or found[2] not in known:
        return "a $ref of the schema does not lead to its own $defs"
    if isinstance(known[found[2]], Mapping) and "$ref" in known[found[2]]:
        return "a $ref of the schema leads to another $ref"
    return ""


def _below(part: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for key in ("properties", "$defs", "definitions"):
        value = part.get(key, {})
        found += list(value.values()) if isinstance(value, Mapping) else [value]
    for key in _ALTERNATIVES:
        value = part.get(key, [])
        found += value if isinstance(value, list) else [value]
    if "items" in part:
        found.append(part["items"])
    if part.get("additionalProperties", False) is not False:
        found.append(part["additionalProperties"])
    return found


def by_name(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema with its keys in the order of their names, those of its parts too: as a layer has
    it, whose JSON is kept in canonical form."""
    return cast("Mapping[str, Any]", json.loads(canonical_json(schema)))


def key_order(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The properties in the order in which an answer to a layer's schema writes them."""
    return tuple(sorted(schema.get("properties", {})))


def grammar(schema: Mapping[str, Any], said: str) -> str:
    """The llguidance grammar that holds an answer to a schema, without spaces between its parts.

    An answer has its keys in the order of the schema's properties, and its excerpts are of `said`.
    llama.cpp is built with llguidance here; a grammar that it cannot
    parse is left out silently, so only schemas without a `schema_fault` may come, and
    `Llama.enforces` tries them.
    """
    quoted = excerpts.excerpts_of(schema)
    if not quoted:
        return f"%llguidance {{}}\nstart: {_json(schema)}"
    parts, rules = [], []
    for number, name in enumerate(schema["properties"]):
        key = ("," if number else "{") + json.dumps(name, ensure_ascii=False) + ":"
        parts.append(json.dumps(key, ensure_ascii=False))
        if name in quoted:
            parts += [_QUOTE, "EXCERPT", _QUOTE]
            continue
        parts.append(f"part{number}")
        defined = {key: schema[key] for key in ("$defs", "definitions") if key in schema}
        rules.append(f"part{number}: {_json({**schema['properties'][name], **defined})}")
    start = f'start: {" ".join(parts)} "}}"'
    return "\n".join(["%llguidance {}", start, *rules, f"EXCERPT: {excerpts.grammar_of(said)}", ""])


def _json(schema: Mapping[str, Any]) -> str:
    held = {**schema, "x-guidance": _COMPACT}
    return "%json " + json.dumps(held, ensure_ascii=False)


ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
"""What OpenAI's `json_object` asks for."""
