"""A form made from a JSON schema: its fields, what stands in them, and the value that they make.

What stands in a form is a flat mapping of texts by JSON Pointer (RFC 6901), with the number of a
list's items under its pointer and COUNT. So nothing that was typed is lost, right or wrong. What
fields cannot say of a value is kept under the pointer and KEPT, so that a value comes out as it
went in where nobody changed it: whether something is empty or left out, and what has no field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from dizuo.core.digests import canonical_json
from dizuo.families.text.conformity import label_fault
from dizuo.families.text.patterns import pattern_fault

COUNT = "#"
KEPT = "~kept"  # in a pointer's names a tilde is followed by a digit
MAX_ITEMS = 100
_MAX_DEPTH = 5
_LONG_CHARACTERS = 60
_UNREADABLE = ("form.not_json", "form.no_number", "form.no_value")
Given = Mapping[str, str]


class Kind(Enum):
    """How a part of a schema is filled in."""

    CHOICE = "choice"
    TEXT = "text"
    LONG_TEXT = "long_text"
    NUMBER = "number"
    OBJECT = "object"
    LIST = "list"
    RAW = "raw"


class _Absent(Enum):
    ABSENT = 0


ABSENT = _Absent.ABSENT
"""Of an optional property that is left out."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a schema at its place in a value. `kind` RAW is JSON as it is written."""

    path: str
    name: str
    schema: Mapping[str, Any]
    kind: Kind
    is_required: bool = True
    may_be_null: bool = False
    depth: int = 0

    @property
    def choices(self) -> tuple[Any, ...]:
        """What can be chosen, as JSON values."""
        if "const" in self.schema:
            return (self.schema["const"],)
        return tuple(self.schema.get("enum", (True, False)))


@dataclass(frozen=True, slots=True)
class Form:
    """The form of a schema; with `is_raw` it is one field for JSON. Without a schema anything
    goes."""

    schema: Mapping[str, Any]
    is_raw: bool = False

    @property
    def root(self) -> Part:
        """The whole."""
        if self.is_raw:
            return Part("", "", self.schema, Kind.RAW)
        return self._part("", "", self.schema, is_required=True, depth=0)

    def below(self, part: Part, given: Given) -> Iterator[Part]:
        """The parts of an object, or the items that a list has now."""
        if part.kind is Kind.OBJECT:
            required = part.schema.get("required", ())
            for name, schema in part.schema["properties"].items():
                place = f"{part.path}/{_escaped(name)}"
                yield self._part(
                    place, name, schema, is_required=name in required, depth=part.depth + 1
                )
        elif part.kind is Kind.LIST:
            for number in range(num_items(given, part.path)):
                place, schema = f"{part.path}/{number}", part.schema.get("items", True)
                yield self._part(
                    place, str(number + 1), schema, is_required=True, depth=part.depth + 1
                )

    def _part(self, path: str, name: str, schema: Any, *, is_required: bool, depth: int) -> Part:
        whole = self._resolved(schema)
        types = whole.get("type")
        others = [one for one in types if one != "null"] if isinstance(types, list) else []
        may_be_null = len(others) == 1 and "null" in whole["type"]
        if may_be_null:
            whole = {**whole, "type": others[0]}
        kind = _kind(whole, depth)
        return Part(path, name, whole, kind, is_required, may_be_null, depth)

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        if not isinstance(schema, Mapping):
            return {}
        if "$ref" not in schema:
            return schema
        _, where, name = schema["$ref"].split("/")
        found = self.schema[where][name]
        others = {key: value for key, value in schema.items() if key != "$ref"}
        return {**found, **others} if isinstance(found, Mapping) else others

    def whole(self, part: Part) -> Mapping[str, Any]:
        """A part's schema with the definitions that it may refer to."""
        defined = {key: self.schema[key] for key in ("$defs", "definitions") if key in self.schema}
        return {**part.schema, **defined}


def _kind(schema: Mapping[str, Any], depth: int) -> Kind:
    if any(key in schema for key in ("anyOf", "oneOf", "allOf", "prefixItems")):
        return Kind.RAW
    if "enum" in schema or "const" in schema or schema.get("type") == "boolean":
        return Kind.CHOICE
    kind = schema.get("type")
    if kind == "string":
        return Kind.LONG_TEXT if schema.get("maxLength", 0) > _LONG_CHARACTERS * 4 else Kind.TEXT
    if kind in ("number", "integer"):
        return Kind.NUMBER
    return _kind_of_many(schema) if depth < _MAX_DEPTH else Kind.RAW


def _kind_of_many(schema: Mapping[str, Any]) -> Kind:
    if schema.get("type") == "object" and schema.get("properties"):
        return Kind.OBJECT
    return Kind.LIST if schema.get("type") == "array" and "items" in schema else Kind.RAW


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def num_items(given: Given, path: str) -> int:
    """How many items a list of the form has."""
    text = given.get(path + COUNT, "0")
    return min(int(text), MAX_ITEMS) if text.isascii() and text.isdigit() else 0


def is_long(part: Part, text: str) -> bool:
    """Whether a text needs more than one line."""
    return part.kind is Kind.LONG_TEXT or len(text) > _LONG_CHARACTERS or "\n" in text


def spread(form: Form, value: Any) -> dict[str, str]:
    """What stands in a form for a value; what of it does not fit the schema may be left out."""
    given: dict[str, str] = {}
    _spread(form, form.root, value, given)
    return given


def _spread(form: Form, part: Part, value: Any, given: dict[str, str]) -> None:
    if part.kind is Kind.OBJECT:
        inside = value if isinstance(value, Mapping) else {}
        for below in form.below(part, given):
            _spread(form, below, inside.get(below.name, ABSENT), given)
    elif part.kind is Kind.LIST:
        items = value[:MAX_ITEMS] if isinstance(value, list) else []
        given[part.path + COUNT] = str(len(items))
        for below, item in zip(form.below(part, given), items, strict=True):
            _spread(form, below, item, given)
    else:
        given[part.path] = _written(part, value)
    kept = _kept_of(form, part, value, given)
    if kept is not ABSENT:
        given[part.path + KEPT] = json.dumps(kept)


def _kept_of(form: Form, part: Part, value: Any, given: Given) -> Any:
    """What of a value its fields alone would not give back; ABSENT where they say all of it, or
    where it does not fit. Of an object or a list it is what has no field, and may be empty."""
    if value is ABSENT:
        return ABSENT
    is_whole = value is None or part.kind not in (Kind.OBJECT, Kind.LIST)
    kept = value if is_whole else _beside(form, part, value)
    if kept and not is_whole:
        return kept
    found = _read(form, part, given, Reading())
    is_said = found is not ABSENT and canonical_json(found) == canonical_json(value)
    fits = (value is None and part.may_be_null) or not fault_of(value, form.whole(part))
    return kept if fits and not is_said else ABSENT


def _beside(form: Form, part: Part, value: Any) -> Any:
    """What of an object or a list a form has no field for, as far as the schema allows it."""
    if part.kind is Kind.OBJECT and isinstance(value, Mapping):
        schema = {**form.whole(part), "required": ()}
        others = {name: one for name, one in value.items() if name not in schema["properties"]}
        return {name: one for name, one in others.items() if not fault_of({name: one}, schema)}
    if part.kind is Kind.LIST and isinstance(value, list):
        return value[MAX_ITEMS:]
    return None


def kept_at(given: Given, path: str) -> Any:
    """What a form keeps of a part beside its fields, or ABSENT."""
    text = given.get(path + KEPT)
    return ABSENT if text is None else json.loads(text)


def typed_over(given: Given, typed: Given) -> dict[str, str]:
    """What was typed into a form's fields, with what the form keeps beside them."""
    kept = {key: text for key, text in given.items() if key.endswith(KEPT)}
    return {key: text for key, text in typed.items() if not key.endswith(KEPT)} | kept


def in_field(text: str) -> str:
    """A text as a browser's fields give it back: with one kind of line end."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _written(part: Part, value: Any) -> str:
    if value is ABSENT or (value is None and part.kind is not Kind.RAW):
        return ""
    if part.kind is Kind.RAW:
        return json.dumps(value, ensure_ascii=False, indent=2)
    if part.kind in (Kind.TEXT, Kind.LONG_TEXT) and isinstance(value, str):
        return in_field(value)
    return canonical_json(value).decode()


def holds(form: Form, value: Any) -> bool:
    """Whether a form has a place for all of a value: what its schema calls an object is one, and so
    for lists."""
    return _holds(form, form.root, value, spread(form, value))


def _holds(form: Form, part: Part, value: Any, given: Given) -> bool:
    if value is ABSENT or (value is None and part.may_be_null):
        return True
    if part.kind is Kind.OBJECT:
        kept = kept_at(given, part.path)
        known = {*part.schema["properties"], *(kept if isinstance(kept, Mapping) else ())}
        return (
            isinstance(value, Mapping)
            and known.issuperset(value)
            and all(
                _holds(form, below, value.get(below.name, ABSENT), given)
                for below in form.below(part, given)
            )
        )
    if part.kind is Kind.LIST:
        return isinstance(value, list) and all(
            _holds(form, below, item, given)
            for below, item in zip(form.below(part, given), value, strict=False)
        )
    return True


@dataclass(slots=True)
class Reading:
    """What a form makes: a value, or what is wrong at which place; each fault is a message's key
    and its fields."""

    value: Any = None
    faults: dict[str, tuple[str, dict[str, object]]] = field(default_factory=dict)

    @property
    def is_unreadable(self) -> bool:
        """Whether something was typed that is no value at all."""
        return any(key in _UNREADABLE for key, _ in self.faults.values())


def read(form: Form, given: Given) -> Reading:
    """The value that a form's fields make."""
    reading = Reading()
    reading.value = _read(form, form.root, given, reading)
    if not reading.faults:
        _hold_to(form.schema, "", reading.value, reading)
    return reading


def _read(form: Form, part: Part, given: Given, reading: Reading) -> Any:
    if part.kind is Kind.OBJECT:
        return _read_object(form, part, given, reading)
    if part.kind is Kind.LIST:
        return _read_list(form, part, given, reading)
    text, kept = given.get(part.path, ""), kept_at(given, part.path)
    if kept is not ABSENT and text == _written(part, kept):
        return kept
    if not text.strip() and not (part.is_required and _is_text(part) and not part.may_be_null):
        return _read_nothing(part, reading)
    value = _parsed(part, text, reading)
    if part.path not in reading.faults:
        _hold_to(form.whole(part), part.path, value, reading)
    return value


def fault_of(value: Any, schema: Mapping[str, Any]) -> str:
    """Where a value is not what a schema says, a clause, or an empty string."""
    if not schema:
        return ""
    return label_fault(value, schema, called="the value", pattern_fault=pattern_fault)


def _hold_to(schema: Mapping[str, Any], path: str, value: Any, reading: Reading) -> None:
    fault = fault_of(value, schema)
    if fault:
        reading.faults[path] = ("form.not_as_asked", {"fault": fault})


def _is_text(part: Part) -> bool:
    return part.kind in (Kind.TEXT, Kind.LONG_TEXT)


def _read_nothing(part: Part, reading: Reading) -> Any:
    if part.may_be_null and part.is_required:
        return None
    if part.is_required:
        reading.faults[part.path] = ("form.needed", {})
    return ABSENT


def _read_object(form: Form, part: Part, given: Given, reading: Reading) -> Any:
    before, kept = dict(reading.faults), kept_at(given, part.path)
    found = {one.name: _read(form, one, given, reading) for one in form.below(part, given)}
    value = {name: inside for name, inside in found.items() if inside is not ABSENT}
    is_untouched = not any(one not in ("", [], {}) for one in value.values())
    is_nothing = kept is None or (kept is ABSENT and not part.is_required)
    if is_untouched and is_nothing:
        reading.faults = before  # nothing in it is needed where all of it is left out
        return kept
    return {**kept, **value} if isinstance(kept, Mapping) else value


def _read_list(form: Form, part: Part, given: Given, reading: Reading) -> Any:
    kept = kept_at(given, part.path)
    found = [_read(form, below, given, reading) for below in form.below(part, given)]
    items = [None if one is ABSENT else one for one in found]  # each keeps its place
    items += kept if isinstance(kept, list) else []
    if items or (kept is ABSENT and part.is_required):
        return items
    return kept


def _parsed(part: Part, text: str, reading: Reading) -> Any:
    if _is_text(part):
        return text
    try:
        value = json.loads(text, parse_constant=_refuse)
        canonical_json(value)
    except json.JSONDecodeError as error:
        where = {"line": error.lineno, "column": error.colno, "fault": error.msg}
        key = "form.not_json" if part.kind is Kind.RAW else "form.no_number"
        reading.faults[part.path] = (key, where)
        return None
    except (ValueError, RecursionError):
        reading.faults[part.path] = ("form.no_value", {})
        return None
    return value


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def with_item(given: Given, path: str) -> dict[str, str]:
    """The form's texts with an empty item more at the end of a list."""
    return {**given, path + COUNT: str(min(num_items(given, path) + 1, MAX_ITEMS))}


def without_item(given: Given, path: str, number: int) -> dict[str, str]:
    """The form's texts without one item of a list; those after it move up."""
    found = {path + COUNT: str(max(0, num_items(given, path) - 1))}
    for key, text in given.items():
        head, _, rest = key.removeprefix(path + "/").partition("/")
        digits = head.removesuffix(KEPT).removesuffix(COUNT)
        if key == path + COUNT or not key.startswith(path + "/") or not digits.isdigit():
            found.setdefault(key, text)
            continue
        place = int(digits)
        if place == number:
            continue
        moved = str(place - 1 if place > number else place) + head[len(digits) :]
        found[f"{path}/{moved}" + (f"/{rest}" if rest else "")] = text
    return found
