"""The fields of a recipe's form, made from what its family and its gates may say."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dizuo.artifacts.model import Level
from dizuo.families import registry
from dizuo.families.base import RecipeSchema
from dizuo.gates.rules import CONDITION_KEYS, MIN_AGREEMENT

Path = tuple[str | int, ...]
Schema = Mapping[str, Any]
_LONG_TEXT = 1000


class Input(StrEnum):
    """How a value is typed in."""

    TEXT = "text"
    LONG = "long"
    NUMBER = "number"
    CHOICE = "choice"
    TEXTS = "texts"
    NUMBERS = "numbers"
    YAML = "yaml"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which numbers a value lies; an open end does not belong to it."""

    low: float | None = None
    high: float | None = None
    is_low_open: bool = False
    is_high_open: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a recipe.

    `suggestions` names the list that offers values for a text. `inner` are the fields of a group.
    """

    path: Path
    input: Input = Input.TEXT
    is_required: bool = False
    choices: tuple[Any, ...] = ()
    suggestions: str = ""
    default: Any = None
    bounds: Bounds = Bounds()
    inner: tuple[Field, ...] = ()

    @property
    def key(self) -> str:
        """Its own key, the last of its path that is no number."""
        return next(str(step) for step in reversed(self.path) if isinstance(step, str))

    @property
    def constant(self) -> Any:
        """The only value that it can have, or None."""
        return self.choices[0] if self.is_required and len(self.choices) == 1 else None

    def typed(self, text: str) -> Any:
        """The value that somebody typed, as it is if it has not this field's form; None for
        nothing."""
        text = text.strip()
        if not text:
            return None
        if self.choices:
            return next((one for one in self.choices if written(one) == text), text)
        return _READERS.get(self.input, str)(text)


def written(value: Any) -> str:
    """A value as it stands in a field."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    if isinstance(value, Mapping):
        stream = io.StringIO()
        YAML(typ="safe", pure=True).dump(dict(value), stream)
        return stream.getvalue()
    if isinstance(value, list):
        return ", ".join(written(one) for one in value)
    return str(value)


def _parts(text: str) -> list[str]:
    parts = (part.strip() for part in text.replace("，", ",").split(","))
    return [part for part in parts if part]


def _number(text: str) -> int | float | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _structure(text: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return text


_READERS: Mapping[Input, Callable[[str], Any]] = {
    Input.NUMBER: _number,
    Input.TEXTS: _parts,
    Input.NUMBERS: lambda text: [_number(part) for part in _parts(text)],
    Input.YAML: _structure,
}


@lru_cache(maxsize=64)
def schema_of(family: str, level: Level) -> RecipeSchema:
    """What recipes of a family and a level may say.

    Raises:
        UnknownFamily: there is no such family.
    """
    return registry.spec(family).recipe_schema(level)


def schema_fields(path: Path, schema: Schema) -> tuple[Field, ...]:
    """The fields of a mapping with a JSON schema, those first that must be there; `kind` is left
    out, since it says which schema it is."""
    required = set(schema.get("required", ()))
    known = {key: one for key, one in schema["properties"].items() if key != "kind"}
    in_order = sorted(known, key=lambda key: key not in required)
    return tuple(
        _field((*path, key), known[key], schema, is_required=key in required) for key in in_order
    )


def _field(path: Path, node: Schema, root: Schema, *, is_required: bool) -> Field:
    meant = _meant(node, root)
    default = node.get("default")
    if "properties" in meant:
        below = {**meant, "$defs": root.get("$defs", {})}
        inner = schema_fields(path, below)
        return Field(path, Input.GROUP, is_required, inner=inner)
    return Field(
        path,
        _input(meant),
        is_required,
        choices=_choices(meant),
        default=default,
        bounds=_bounds(meant),
    )


def _meant(node: Schema, root: Schema) -> Schema:
    """A schema without references and without the choice to say nothing."""
    if "$ref" in node:
        found: Schema = root["$defs"][node["$ref"].rpartition("/")[2]]
        return _meant(found, root)
    options = [one for one in node.get("anyOf", ()) if one.get("type") != "null"]
    return _meant(options[0], root) if len(options) == 1 else node


def _choices(node: Schema) -> tuple[Any, ...]:
    if "const" in node:
        return (node["const"],)
    return (True, False) if node.get("type") == "boolean" else tuple(node.get("enum", ()))


def _input(node: Schema) -> Input:
    if _choices(node):
        return Input.CHOICE
    match node.get("type"):
        case "integer" | "number":
            return Input.NUMBER
        case "string":
            return Input.LONG if node.get("maxLength", 0) > _LONG_TEXT else Input.TEXT
        case "array":
            of = node.get("items", {}).get("type")
            numbers = Input.NUMBERS if of in ("integer", "number") else Input.YAML
            return Input.TEXTS if of == "string" else numbers
        case _:
            return Input.YAML


def _bounds(node: Schema) -> Bounds:
    is_low_open, is_high_open = "exclusiveMinimum" in node, "exclusiveMaximum" in node
    low = node.get("exclusiveMinimum", node.get("minimum"))
    high = node.get("exclusiveMaximum", node.get("maximum"))
    return Bounds(low, high, is_low_open, is_high_open)


_SHARE = Bounds(0, 1)
_GATE_BOUNDS = {
    "at_least": _SHARE,
    "drop_at_most": _SHARE,
    "margin": _SHARE,
    "confidence": Bounds(0.5, 1, is_low_open=True, is_high_open=True),
    "agreement_with_trained_at_least": Bounds(MIN_AGREEMENT, 1),
    "p95_latency_ms_at_most": Bounds(0, None, is_low_open=True),
}


def gate_fields(
    index: int, condition: str, metrics: Sequence[str], targets: Sequence[str]
) -> tuple[Field, ...]:
    """The fields of a gate with this condition.

    Args:
        index: its place in the list of gates.
        condition: one of `CONDITIONS`.
        metrics: what the family measures.
        targets: what the recipe builds and engines run.
    """
    keys = CONDITION_KEYS[condition]
    is_about_target = "suite" not in keys
    choices = {"metric": tuple(metrics), "target": tuple(targets), "not_worse_than": ("incumbent",)}
    needed = {"suite", "metric", condition} | ({"target"} if is_about_target else set())
    return tuple(
        Field(
            ("gates", index, key),
            _gate_input(key),
            key in needed,
            choices=choices.get(key, ()),
            suggestions="datasets" if key == "suite" else "",
            bounds=_GATE_BOUNDS.get(key, Bounds()),
        )
        for key in keys
    )


def _gate_input(key: str) -> Input:
    if key in _GATE_BOUNDS:
        return Input.NUMBER
    return Input.TEXT if key == "suite" else Input.CHOICE


def every(fields: Sequence[Field]) -> Iterator[Field]:
    """Fields and those within them."""
    for field in fields:
        yield field
        yield from every(field.inner)
