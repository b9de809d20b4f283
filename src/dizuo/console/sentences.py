"""The rooms' own sentences in Chinese: what was refused, what failed, and what to do about it.

Rooms speak English, as their logs and APIs do, and so do the errors and reasons that are kept. A
second catalogue has each of these sentences in Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain
from string import Formatter

from ruamel.yaml import YAML

from dizuo.console import messages
from dizuo.console.messages import Language, Words
from dizuo.core.errors import DizuoError

CATALOGUE = "sentences.yaml"
KNOWN = "known"
"""Marks a field in which only what is in the catalogue itself may stand."""
MOST_CHARACTERS = 4000
"""A longer text is left as it is."""
MOST_PARTS = 1000
"""A text in which more may be a sentence is left as it is, as pages wait while it is read."""
_MOST_SENTENCES = 12
_DEPTH = 20
"""How deep sentences are looked for in the fields of sentences."""

Said = tuple[str, int]
"""A text in Chinese, and how many of its characters stand there as they were."""


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence with fields between its literal parts: `literals` has one more than `fields`, each
    of which is a name and its mark."""

    literals: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    chinese: str

    @classmethod
    def of(cls, english: str, chinese: str) -> Template:
        """Both written as `str.format` reads them."""
        literals, fields = [""], []
        for literal, name, mark, _ in Formatter().parse(english):
            literals[-1] += literal
            if name is not None:
                fields.append((name, mark or ""))
                literals.append("")
        return cls(tuple(literals), tuple(fields), chinese)

    @property
    def longest(self) -> str:
        """The longest literal part, less the capital and the full stop that may be lost where the
        sentence stands in another one."""
        first, *others = self.literals
        *inner, last = [first[1:], *others]
        return max(*inner, last.removesuffix("."), "", key=len)

    def values(self, text: str) -> list[str] | None:
        """What stands in the fields; None if the text is not this sentence.

        A field ends where the literal after it first stands. That finds a fit where there is one,
        in a time that grows with the length of the text alone.
        """
        first, *others = self.literals
        if not others:
            return [] if text == first else None
        if not text.startswith(first) or not text.endswith(others[-1]):
            return None
        place, end, found = len(first), len(text) - len(others[-1]), []
        for literal in others[:-1]:
            after = text.find(literal, place, end)
            if after < 0:
                return None
            found.append(text[place:after])
            place = after + len(literal)
        return None if place > end else [*found, text[place:end]]


@cache
def catalogue() -> tuple[Mapping[str, str], ...]:
    """Every sentence, in English and in Chinese."""
    text = files("dizuo.console").joinpath(CATALOGUE).read_text(encoding="utf-8")
    return tuple(YAML(typ="safe").load(text))


@cache
def _templates() -> Sequence[tuple[str, Template]]:
    """In the catalogue's order, each after its longest literal part."""
    each = [Template.of(entry["en"], entry["zh"]) for entry in catalogue()]
    return [(one.longest, one) for one in each]


def translated(text: str) -> str | None:
    """A sentence, or several, in Chinese; None if one of them is not known, or too much in the text
    may be a sentence."""
    return _translated(text) if text and len(text) <= MOST_CHARACTERS else None


@lru_cache(maxsize=512)
def _translated(text: str) -> str | None:
    try:
        said = Reader(text).said(Part(text))
    except _TooManyPartsError:
        return None
    return None if said is None else said[0]


class _TooManyPartsError(Exception):
    """A text has more than `MOST_PARTS`."""


@dataclass(frozen=True, slots=True)
class Part:
    """What may be a sentence, or several. In another sentence's field it may have lost its capital,
    which `any_case` allows for, and its full stop (`any_end`)."""

    text: str
    any_case: bool = False
    any_end: bool = False

    @classmethod
    def of_field(cls, value: str) -> Part:
        """What stands in a field; a single word has lost nothing."""
        return cls(value, " " in value, " " in value and not value.endswith("."))

    def split(self, end: int) -> tuple[Part, Part]:
        """What stands before and after the space that ends here."""
        head = Part(self.text[: end - 1], self.any_case)
        return head, Part(self.text[end:], any_end=self.any_end)

    def as_in(self, template: Template) -> str:
        """As it is in the catalogue, if it is this sentence. Where a field begins that, the change
        of the first letter is left to what stands in the field."""
        text, begin = self.text, template.literals[0][:1]
        if self.any_case and begin == text[:1].swapcase():
            text = begin + text[1:]
        return f"{text}." if self.any_end and template.literals[-1].endswith(".") else text


class Reader:
    """Reads a text, and once each part of it that may be a sentence: these begin and end where the
    literal parts of sentences stand, so their number grows with the square of the text's length at
    most. Of sentences that fit as well, the first in the catalogue is taken.

    Args:
        text: of which each part is.
    """

    def __init__(self, text: str) -> None:
        self._templates = [one for longest, one in _templates() if longest in text]
        self._read: dict[Part, Said | None] = {}

    @property
    def num_parts(self) -> int:
        """How many parts were read."""
        return len(self._read)

    def said(self, part: Part, depth: int = _DEPTH) -> Said | None:
        """Of all ways to read a part, the one that leaves the fewest characters as they were; None
        if there is none.

        Raises:
            _TooManyPartsError: more would be read than `MOST_PARTS`.
        """
        if part not in self._read:
            if self.num_parts == MOST_PARTS:
                raise _TooManyPartsError
            self._read[part] = None  # counts from here on, and is not read in itself
            readings = chain(self._as_several(part, depth), self._as_one(part, depth))
            self._read[part] = _with_fewest_left(readings)
        return self._read[part]

    def _as_several(self, part: Part, depth: int) -> Iterator[Said]:
        ends = [found.end() for found in re.finditer(r"\. ", part.text)]
        for end in ends if len(ends) < _MOST_SENTENCES else ():
            first, others = part.split(end)
            head = self.said(first, depth)
            rest = self.said(others, depth) if head else None
            if head and rest:
                yield head[0] + rest[0], head[1] + rest[1]

    def _as_one(self, part: Part, depth: int) -> Iterator[Said]:
        for template in self._templates:
            values = template.values(part.as_in(template))
            said = None if values is None else self._filled(template, values, depth)
            if said is not None:
                yield said

    def _filled(self, template: Template, values: Sequence[str], depth: int) -> Said | None:
        """A template's sentence, if what must be known in it is; that is looked at first."""
        inner: dict[str, str] = {}
        num_left = 0
        fields = zip(template.fields, values, template.literals[1:], strict=True)
        for (name, mark), value, after in sorted(fields, key=lambda field: not field[0][1]):
            is_clause = mark in ("", KNOWN)
            said = self._clause(value, after, depth) if is_clause else _word(mark, value)
            if said is None and mark:
                return None
            inner[name], left = said or (value, len(value))
            num_left += left
        # A sentence that stands in another one brings its full stop with it.
        return re.sub(r"。(?=[。，；：）])", "", template.chinese.format(**inner)), num_left

    def _clause(self, value: str, after: str, depth: int) -> Said | None:
        """What stands in a field, without a full stop that it does not have there. Nothing where
        words come `after` it, but a sentence ends in it."""
        is_across = after.startswith(" ") and ". " in value
        if not value or not depth or is_across:
            return None
        said = self.said(Part.of_field(value), depth - 1)
        if said is None or value.endswith("."):
            return said
        return said[0].removesuffix("。"), said[1]


def _with_fewest_left(readings: Iterable[Said]) -> Said | None:
    """The first of those; what leaves nothing ends the search."""
    best = None
    for said in readings:
        if best is None or said[1] < best[1]:
            best = said
        if not best[1]:
            break
    return best


def _word(beginning: str, value: str) -> Said | None:
    texts = messages.catalogue().get(f"{beginning}{value}")
    return None if texts is None else (texts[Language.CHINESE.value], 0)


def spoken(words: Words, *texts: str) -> str:
    """What a room said, in one or several sentences, as a person reads it: in their language, or as
    the room said it where that is not known."""
    if words.language is Language.ENGLISH:
        return " ".join(filter(None, texts))
    said = [translated(text) or f"{text} " for text in texts if text]
    return "".join(said).strip()


def error_sentence(words: Words, error: DizuoError) -> str:
    """What was refused and what to do about it, in a person's language; what kind of error it is,
    where its own sentence is not known in that language."""
    if words.language is Language.ENGLISH or translated(error.message) is not None:
        return spoken(words, error.message, error.next_step)
    key = f"errors.{error.code}"
    kind = words(key if words.knows(key) else "errors.other")
    return words("errors.told", kind=kind, message=error)
