"""A recipe while it is written: one text, which a form changes key by key.

The text is the truth, comments and order included; a form is one way to look at it. What was typed
is kept as it is, right or wrong, and only reading the whole recipe says what is wrong with it.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from dizuo.stacks.errors import RecipeProblem, RecipeRefused
from dizuo.stacks.recipe import DEFAULT_SOURCE_NAME, KEYS
from dizuo.stacks.yaml_lines import YamlRefused, read_marked

Path = tuple[str | int, ...]


class RecipeDraft:
    """A recipe's text. Values are read from it and written into it by their path.

    Reading takes long, about a millisecond a line; a text is read once.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._read: tuple[str, Mapping[str, Any]] | None = None

    def values(self) -> Mapping[str, Any]:
        """What the text says, as plain values.

        Raises:
            RecipeRefused: it is no YAML of which a form could be made.
        """
        text = self.text
        if self._read is None or self._read[0] != text:
            self._read = text, _values(text)
        return self._read[1]

    def value(self, path: Path) -> Any:
        """What stands at a path, or None."""
        found: Any = self.values()
        for step in path:
            found = _step(found, step)
        return found

    def put(self, path: Path, value: Any) -> None:
        """Write a value at a path; mappings on the way are made. At the end of a list it is added.

        Args:
            path: through mappings and lists, at least one step.
            value: plain; None removes what is there.
        """
        document = self._document()
        if value is None:
            _remove(document, path)
        else:
            _put(document, path, value)
        self.text = _written(document)

    def _document(self) -> CommentedMap:
        self.values()  # refuses what is no mapping
        return _yaml().load(self.text) or CommentedMap()


def _values(text: str) -> Mapping[str, Any]:
    if not text.strip():
        return {}
    try:
        value = read_marked(text).value
    except YamlRefused as error:
        place, fault = error.fault.place, error.fault
        problem = RecipeProblem(place.line, place.column, (), fault.message, fault.next_step)
        raise RecipeRefused(DEFAULT_SOURCE_NAME, (problem,)) from error
    if not isinstance(value, Mapping):
        problem = RecipeProblem(1, 1, (), "A recipe is a mapping: keys with their values.")
        raise RecipeRefused(DEFAULT_SOURCE_NAME, (problem,))
    return value


def _yaml() -> Any:
    yaml = YAML(typ="rt")
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 96
    yaml.preserve_quotes = True
    return yaml


def _written(document: CommentedMap) -> str:
    stream = io.StringIO()
    _yaml().dump(document, stream)
    return stream.getvalue()


def _step(found: Any, step: str | int) -> Any:
    if isinstance(found, Mapping):
        return found.get(step)
    if isinstance(found, list) and isinstance(step, int) and step < len(found):
        return found[step]
    return None


def _put(document: CommentedMap, path: Path, value: Any) -> None:
    inner: Any = document
    for step, following in pairwise(path):
        known = _step(inner, step)
        if not isinstance(known, list if isinstance(following, int) else Mapping):
            known = [] if isinstance(following, int) else CommentedMap()
            _set(inner, step, known)
        inner = _step(inner, step)
    _set(inner, path[-1], value)


def _set(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(holder, list):
        assert isinstance(step, int)
        if step < len(holder):
            holder[step] = value
        else:
            holder.append(value)
    elif step in holder or step not in KEYS:
        holder[step] = value
    else:
        before = [key for key in holder if key in KEYS and KEYS.index(key) < KEYS.index(step)]
        place = list(holder).index(before[-1]) + 1 if before else 0
        holder.insert(place, step, value)


def _remove(document: CommentedMap, path: Path) -> None:
    holder: Any = document
    for step in path[:-1]:
        holder = _step(holder, step)
    if isinstance(holder, Mapping):
        holder.pop(path[-1], None)  # type: ignore[attr-defined]
        if not holder and len(path) > 2:  # an empty group says nothing
            _remove(document, path[:-1])
    elif _step(holder, path[-1]) is not None:
        del holder[path[-1]]
