"""Reading mappings that people wrote: key by key, with everything wrong collected and none raised.

Used for gates here and for whole recipes by `dizuo.stacks`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dizuo.artifacts.reference import require_name
from dizuo.core.errors import InvalidInput
from dizuo.datasets.names import parse_ref
from dizuo.families.base import Problem

Path = tuple[str | int, ...]
"""Where something stands in a recipe: `("gates", 0, "metric")`."""

_MAX_WHOLE_NUMBER = 2**53 - 1


def describe(value: Any) -> str:
    """What a value is, in a person's words: `the text 'x'`, `a list`, `nothing`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, int | float):
        return f"the number {value!r}"[:80]
    return "a mapping" if isinstance(value, Mapping) else "a list"


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """A next step for a word that is none of `known`."""
    close = difflib.get_close_matches(word, known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known) or 'none'}."


class Fields:
    """One mapping. Reading a key that is missing or wrong adds a problem and gives None.

    Args:
        value: what stands there; a problem if it is not a mapping.
        path: where it stands.
        problems: where to put what is wrong.
        thing: what a person calls it (`a recipe`, `a gate`).
        known: the keys it may have; any other is a problem.
    """

    def __init__(
        self,
        value: Any,
        path: Path,
        problems: list[Problem],
        *,
        thing: str,
        known: Sequence[str],
    ) -> None:
        self._path = path
        self._problems = problems
        self._thing = thing
        self._values: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
        self.is_mapping = isinstance(value, Mapping)
        if not self.is_mapping:
            self._say(path, f"{_capital(thing)} must be a mapping, not {describe(value)}.")
        for key in self._values:
            if key not in known:
                self.refuse(key, f"{key!r} is not a key of {thing}.", did_you_mean(str(key), known))

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def _say(self, path: Path, message: str, next_step: str = "") -> None:
        self._problems.append(Problem(path, message, next_step))

    def refuse(self, key: str, message: str, next_step: str = "") -> None:
        """Add a problem with what stands under `key`."""
        self.refuse_at((key,), message, next_step)

    def refuse_at(self, path: Path, message: str, next_step: str = "") -> None:
        """Add a problem with what stands at `path` inside this mapping."""
        self._say((*self._path, *path), message, next_step)

    def value(self, key: str, *, required: bool = True) -> Any:
        """Whatever stands under `key`, or None with a problem if it must be there and is not."""
        if key not in self._values and required and self.is_mapping:
            self._say(self._path, f"{_capital(self._thing)} needs {key!r}.", f"Add {key}.")
        return self._values.get(key)

    def text(self, key: str, *, required: bool = True, max_length: int = 4000) -> str | None:
        """A text."""
        value = self.value(key, required=required)
        if value is None and key not in self._values:
            return None
        if not isinstance(value, str):
            self.refuse(key, f"{key!r} must be a text, not {describe(value)}.")
            return None
        if len(value) > max_length:
            self.refuse(key, f"{key!r} is longer than {max_length} characters.")
            return None
        return value

    def choice(self, key: str, known: Sequence[str], *, required: bool = True) -> str | None:
        """One of `known`."""
        value = self.text(key, required=required)
        if value is None or value in known:
            return value
        self.refuse(key, f"{key!r} cannot be {value[:60]!r}.", did_you_mean(value, known))
        return None

    def name(self, key: str) -> str | None:
        """A name of a recipe or a stack."""
        return self._follows(key, require_name)

    def pin(self, key: str) -> str | None:
        """A dataset version, `name@version`."""
        return self._follows(key, parse_ref)

    def _follows(self, key: str, grammar: Callable[[str], object]) -> str | None:
        value = self.text(key)
        if value is None:
            return None
        try:
            grammar(value)
        except InvalidInput as error:
            self.refuse(key, error.message, error.next_step)
            return None
        return value

    def integer(self, key: str, *, least: int, default: int, most: int = _MAX_WHOLE_NUMBER) -> int:
        """A whole number from `least` to `most`."""
        value = self._values.get(key, default)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if is_whole and least <= value <= most:
            return int(value)
        ends = f"from {least}" if most == _MAX_WHOLE_NUMBER else f"from {least} to {most}"
        self.refuse(key, f"{key!r} must be a whole number {ends}, not {describe(value)}.")
        return default

    def number(self, key: str, *, low: float, high: float, open_ends: bool = False) -> float | None:
        """A finite number from `low` to `high`; with `open_ends`, without these two."""
        value = self.value(key)
        if value is None and key not in self._values:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and _within(value, low, high, open_ends):  # never true of a NaN
            return float(value)
        ends = f"between {low:g} and {high:g}" if open_ends else f"from {low:g} to {high:g}"
        self.refuse(key, f"{key!r} must be a number {ends}, not {describe(value)}.")
        return None


def _within(value: float, low: float, high: float, open_ends: bool) -> bool:
    return low < value < high if open_ends else low <= value <= high


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
