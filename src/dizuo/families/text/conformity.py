"""Whether a label is what a schema says, so that an engine held to it could write the label. Light.

Of the keywords in `schema.py` those are checked that say something about the value; `format` is
left to the engine, and so is `pattern` where nobody says how to compare it. https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dizuo.core.digests import canonical_json

_SHOWN_CHARACTERS = 40
_BOUNDS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "minimum": (operator.ge, "below"),
    "maximum": (operator.le, "above"),
    "exclusiveMinimum": (operator.gt, "not above"),
    "exclusiveMaximum": (operator.lt, "not below"),
}
_KINDS: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
}


PatternFault = Callable[[str, str], str]
"""Why a text, the second, is not taken by a pattern, the first: a clause's end, or nothing."""


def label_fault(
    label: Any,
    schema: Mapping[str, Any],
    *,
    called: str = "the label",
    pattern_fault: PatternFault | None = None,
) -> str:
    """Where a label is not what a schema says, one clause without a full stop, or an empty string.

    The schema has no `schema_fault`. `called` is what the clause calls the label; without
    `pattern_fault` patterns are passed over.
    """
    try:
        return next(_Check(schema, pattern_fault).faults(label, schema, called), "")
    except RecursionError:
        return f"{called} is nested too deep"


@dataclass(frozen=True, slots=True)
class _Check:
    """`root` holds the definitions that a `$ref` leads to."""

    root: Mapping[str, Any]
    pattern_fault: PatternFault | None

    def faults(self, value: Any, part: Any, place: str) -> Iterator[str]:
        """What of a value is not as a part of the schema says."""
        if part is True:
            return
        if "$ref" in part:
            _, where, name = part["$ref"].split("/")
            yield from self.faults(value, self.root[where][name], place)
        types = part.get("type", ())
        types = [types] if isinstance(types, str) else types
        if types and not any(_is(value, one) for one in types):
            yield f"{place} is not {_one_of(types)}"
        yield from _choices(value, part, place)
        yield from _sizes(value, part, place)
        if isinstance(value, str) and "pattern" in part and self.pattern_fault is not None:
            fault = self.pattern_fault(part["pattern"], value)
            if fault:
                yield f"{place} {fault}"
        if isinstance(value, dict):
            yield from self._properties(value, part, place)
        if isinstance(value, list):
            yield from self._items(value, part, place)
        yield from self._alternatives(value, part, place)

    def _properties(
        self, value: Mapping[str, Any], part: Mapping[str, Any], place: str
    ) -> Iterator[str]:
        known, others = part.get("properties", {}), part.get("additionalProperties", True)
        for name in part.get("required", ()):
            if name not in value:
                yield f"{place} lacks {_shown(name)}"
        for name, inside in value.items():
            below = known.get(name, others)
            if below is False:
                yield f"{place} has {_shown(name)}, which the schema does not"
            else:
                yield from self.faults(inside, below, f"{_shown(name)} of {place}")

    def _items(self, value: Sequence[Any], part: Mapping[str, Any], place: str) -> Iterator[str]:
        first = part.get("prefixItems", [])
        for number, inside in enumerate(value):
            below = first[number] if number < len(first) else part.get("items", True)
            yield from self.faults(inside, below, f"item {number + 1} of {place}")

    def _alternatives(self, value: Any, part: Mapping[str, Any], place: str) -> Iterator[str]:
        for below in part.get("allOf", ()):
            yield from self.faults(value, below, place)
        for key in ("anyOf", "oneOf"):
            options = part.get(key, ())
            if options and all(next(self.faults(value, one, place), "") for one in options):
                yield f"{place} is none of the schema's alternatives"


def _is(value: Any, kind: str) -> bool:
    if kind in ("number", "integer"):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and (kind == "number" or value == int(value))
    return isinstance(value, _KINDS[kind])


def _one_of(types: Sequence[str]) -> str:
    return " or ".join("null" if one == "null" else f"of type {one}" for one in types)


def _choices(value: Any, part: Mapping[str, Any], place: str) -> Iterator[str]:
    allowed = [*part.get("enum", ()), *([part["const"]] if "const" in part else ())]
    if allowed and canonical_json(value) not in map(canonical_json, allowed):
        yield f"{place} is {_shown(value)}, which the schema does not list"


def _sizes(value: Any, part: Mapping[str, Any], place: str) -> Iterator[str]:
    if isinstance(value, str):
        yield from _length(len(value), part, "Length", f"characters in {place}")
    if isinstance(value, list):
        yield from _length(len(value), part, "Items", f"items in {place}")
    if _is(value, "number"):
        for key, (holds, word) in _BOUNDS.items():
            if key in part and not holds(value, part[key]):
                yield f"{place} is {_shown(value)}, {word} {part[key]}"


def _length(size: int, part: Mapping[str, Any], of: str, things: str) -> Iterator[str]:
    least, most = part.get(f"min{of}", 0), part.get(f"max{of}", size)
    if not least <= size <= most:
        yield f"there are {size} {things}, and the schema takes {least} to {most}"


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:_SHOWN_CHARACTERS]
