"""The rooms' own sentences in Chinese: what was refused, what failed, and what to do about it.

Rooms speak English, as their logs and APIs do, and so do the errors and reasons that are kept. A
second catalogue has each of these sentences in Chinese.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import chain, product
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
_MOST_SENTENCES = 12
_DEPTH = 4
"""How deep sentences are looked for in the fields of sentences."""


@dataclass(frozen=True, slots=True)
class Template:
    """A sentence with fields between its literal parts: `literals` has one more than `fields`, each
    of which is a name and its mark."""

    literals: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]
    chinese: str
    place: int = 0
    """In the catalogue; of two that fit as well, the first is taken."""

    @classmethod
    def of(cls, english: str, chinese: str, place: int = 0) -> Template:
        """Both written as `str.format` reads them."""
        literals, fields = [""], []
        for literal, name, mark, _ in Formatter().parse(english):
            literals[-1] += literal
            if name is not None:
                fields.append((name, mark or ""))
                literals.append("")
        return cls(tuple(literals), tuple(fields), chinese, place)

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
def _templates() -> Mapping[tuple[str, str], tuple[Template, ...]]:
    """By the characters that a sentence begins and ends with; none where a field stands there."""
    found: dict[tuple[str, str], list[Template]] = {}
    for place, entry in enumerate(catalogue()):
        one = Template.of(entry["en"], entry["zh"], place)
        found.setdefault((one.literals[0][:1], one.literals[-1][-1:]), []).append(one)
    return {ends: tuple(templates) for ends, templates in found.items()}


def translated(text: str) -> str | None:
    """A sentence, or several, in Chinese; None if one of them is not known."""
    said = _said(text, _DEPTH) if text and len(text) <= MOST_CHARACTERS else None
    return None if said is None else said[0]


@lru_cache(maxsize=4096)
def _said(text: str, depth: int) -> tuple[str, int] | None:
    """A text in Chinese, and how many of its characters stand there as they were: of all ways to
    read it, the one that leaves the fewest."""
    found = [*_as_one(text, depth), *_as_several(text, depth)]
    return min(found, key=lambda said: said[1], default=None)


def _as_one(text: str, depth: int) -> Iterator[tuple[str, int]]:
    ends = product((text[:1], ""), (text[-1:], ""))
    candidates = chain.from_iterable(_templates().get(one, ()) for one in ends)
    for template in sorted(candidates, key=lambda one: one.place):
        values = template.values(text)
        said = None if values is None else _filled(template, values, depth)
        if said is not None:
            yield said


def _as_several(text: str, depth: int) -> Iterator[tuple[str, int]]:
    ends = [found.end() for found in re.finditer(r"\. ", text)]
    for end in ends if len(ends) < _MOST_SENTENCES else ():
        head = _said(text[: end - 1], depth)
        rest = _said(text[end:], depth) if head else None
        if head and rest:
            yield head[0] + rest[0], head[1] + rest[1]


def _filled(template: Template, values: Sequence[str], depth: int) -> tuple[str, int] | None:
    """A template's sentence, if what must be known in it is."""
    inner: dict[str, str] = {}
    num_left = 0
    for (name, mark), value in zip(template.fields, values, strict=True):
        said = _clause(value, depth) if mark in ("", KNOWN) else _word(mark, value)
        if said is None and mark:
            return None
        inner[name], left = said or (value, len(value))
        num_left += left
    # A sentence that stands in another one brings its full stop with it.
    return re.sub(r"。(?=[。，；：）])", "", template.chinese.format(**inner)), num_left


def _clause(value: str, depth: int) -> tuple[str, int] | None:
    """What stands in a field, where it may have lost its full stop, its capital, or both."""
    if depth == 0 or not value:
        return None
    other = value[0].swapcase() + value[1:]
    forms = (value, f"{value}.", other, f"{other}.") if " " in value else (value,)
    found = [said for form in forms if (said := _said(form, depth - 1))]
    text, num_left = min(found, key=lambda said: said[1], default=("", 0))
    return (text if value.endswith(".") else text.removesuffix("。"), num_left) if text else None


def _word(beginning: str, value: str) -> tuple[str, int] | None:
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
