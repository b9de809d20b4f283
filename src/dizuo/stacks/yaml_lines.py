"""YAML as plain values, with the place of every key and item.

Only the part of YAML that people write by hand is read: mappings, lists, texts, numbers, true,
false and null. Aliases, tags and several documents are refused, so nothing a recipe says expands
to more than is written, and everything in it is JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_WHOLE_NUMBER = 2**53
"""The largest integer that every JSON reader keeps exact."""

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the text that cannot be read, and where."""

    place: Place
    path: Path
    message: str
    next_step: str = ""


class YamlRefused(Exception):
    """The text as a whole cannot be read; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True, slots=True)
class MarkedDocument:
    """A document's value, the place of each path in it, and what in it could not be read."""

    value: Any
    places: Mapping[Path, Place]
    faults: tuple[Fault, ...]

    def place(self, path: Path) -> Place:
        """Where `path` stands, or the nearest thing around it that is there."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, 1))


def read_marked(text: str) -> MarkedDocument:
    """Read one document.

    Raises:
        YamlRefused: it is not YAML, too large, too deep, or uses what is refused as a whole.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise _refused(Place(1, 1), f"The text is longer than {MAX_BYTES // 1024} KiB.")
    try:
        _check_events(text)
        root = _loader().compose(text)
    except ReaderError as error:
        place = _place_of_offset(text, error.position)
        raise _refused(place, "The text holds a character that YAML does not allow.") from error
    except MarkedYAMLError as error:
        raise _syntax(error) from error
    except YAMLError as error:
        raise _refused(Place(1, 1), "The text is not YAML.") from error
    if root is None:
        raise _refused(Place(1, 1), "The text is empty.")
    reader = _Reader()
    value = reader.value(root, ())
    reader.places[()] = _place(root.start_mark)
    return MarkedDocument(value, reader.places, tuple(reader.faults))


def _loader() -> Any:
    # A new one each time: it keeps state, such as the %YAML directive of what it read last.
    return YAML(typ="safe", pure=True)


def _refused(place: Place, message: str, next_step: str = "") -> YamlRefused:
    return YamlRefused(Fault(place, (), message, next_step))


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _place_of_offset(text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def _check_events(text: str) -> None:
    """Look at the text without building anything: the parser keeps its own stack, so depth is
    bounded here before the composer, which recurses, sees it."""
    depth = 0
    for event in _loader().parse(text):
        if isinstance(event, AliasEvent):
            step = "Write the value out where it is used."
            raise _refused(_place(event.start_mark), "Aliases are not read in a recipe.", step)
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            depth += 1
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            message = f"The text is nested deeper than {MAX_DEPTH} levels."
            raise _refused(_place(event.start_mark), message)
        is_node = isinstance(event, MappingStartEvent | SequenceStartEvent | ScalarEvent)
        if is_node and event.tag is not None:
            step = "Write the plain value."
            raise _refused(_place(event.start_mark), "Tags are not read in a recipe.", step)


def _syntax(error: MarkedYAMLError) -> YamlRefused:
    problem = str(error.problem or "it cannot be read")
    mark = error.problem_mark or error.context_mark
    place = _place(mark) if mark is not None else Place(1, 1)
    if "'\\t'" in problem:
        step = "Indent with spaces."
        return _refused(place, "A tab stands where YAML allows only spaces.", step)
    if "another document" in problem:
        return _refused(place, "There is a second document after '---'.", "Keep one per file.")
    context = f" {error.context}" if error.context else ""
    step = "See that brackets and quotes are closed, and put texts with ': ' or '#' in quotes."
    return _refused(place, f"This is not YAML:{context} {problem}.", step)


class _Reader:
    """Turns nodes into values, noting places and faults on the way."""

    def __init__(self) -> None:
        self.places: dict[Path, Place] = {}
        self.faults: list[Fault] = []
        self._constructor = _loader().constructor

    def _fault(self, node: Node, path: Path, message: str, next_step: str = "") -> None:
        self.faults.append(Fault(_place(node.start_mark), path, message, next_step))

    def value(self, node: Node, path: Path) -> Any:
        """The plain value of a node; None with a fault where it cannot be had."""
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return self._scalar(node, path)

    def _item(self, node: Node, path: Path) -> Any:
        self.places[path] = _place(node.start_mark)
        return self.value(node, path)

    def _mapping(self, node: MappingNode, path: Path) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            inner = (*path, key)
            if key in values:
                first = self.places[inner].line
                self._fault(
                    key_node, inner, f"{key!r} is given twice; first in line {first}.", "Keep one."
                )
                continue
            self.places[inner] = _place(key_node.start_mark)
            values[key] = self.value(value_node, inner)
        return values

    def _key(self, node: Node, path: Path) -> str | None:
        key = self._scalar(node, path) if isinstance(node, ScalarNode) else None
        if isinstance(key, str):
            return key
        self._fault(node, path, "A key must be a text.", "Put it in quotes.")
        return None

    def _scalar(self, node: ScalarNode, path: Path) -> Any:
        try:
            value = self._constructor.construct_object(node, deep=True)
        except (ValueError, YAMLError):  # an integer of thousands of digits, a day 32
            value = node
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, int) and abs(value) <= MAX_WHOLE_NUMBER:
            return int(value)
        if isinstance(value, float) and math.isfinite(value):
            return float(value)
        shown = str(node.value)[:60]
        self._fault(node, path, f"{shown!r} is not a value that is kept.", "Put it in quotes.")
        return None
