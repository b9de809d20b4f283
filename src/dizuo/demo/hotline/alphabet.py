"""The characters and words that loose texts are made of."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from dizuo.demo.hotline.cities import DESKS, FESTIVAL
from dizuo.demo.hotline.model import Event, Language
from dizuo.demo.hotline.phrasing import PHRASINGS, URGENCY
from dizuo.demo.hotline.places import STEM_CHARACTERS

_COMMON_CHARACTERS = (
    "的一是不了在人有我他这个们来到时大地为子中你说生国年着就那和要出也得里后自以会家可下而过天去能"
    "对小多然于心学之都好看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行"
    "意动方期它头经长儿回位分爱老因很给名法间斯知世什两次使身者被高已亲其进此话常与活正感见明问力理尔"
    "点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打太新比才便夫再书部水像眼等体"
    "却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记处让母父应直"
    "字场平报友关放至张认接告入笑内英军候民岁往何度山觉路带万男边风解叫任金快原吃妈变通师立象数四失满"
)
_HAN = re.compile(r"[\u4e00-\u9fff]")
_WORD = re.compile(r"[A-Za-z][a-z-]*[a-z]")


@dataclass(frozen=True, slots=True)
class Alphabet:
    """What loose texts of either language are drawn from, in no order that a ticket has."""

    characters: str
    words: tuple[str, ...]

    def draw_characters(self, draw: random.Random, least: int, most: int) -> str:
        """From `least` to `most` Chinese characters."""
        return "".join(draw.choices(self.characters, k=draw.randint(least, most)))

    def draw_words(self, draw: random.Random, least: int, most: int) -> str:
        """From `least` to `most` English words."""
        return " ".join(draw.choices(self.words, k=draw.randint(least, most)))

    def draw_clause(self, language: Language, draw: random.Random) -> str:
        """Two to eight characters, or up to five words."""
        if language is Language.CHINESE:
            return self.draw_characters(draw, 2, 8)
        return self.draw_words(draw, 1, 5)


@cache
def everything() -> Alphabet:
    """All that tickets and labels are written in, and common characters."""
    return _alphabet([*_event_texts(), *_frame_texts(), *_desk_texts()], common=True)


@cache
def of_events() -> Alphabet:
    """What is written of events and nowhere else in a ticket."""
    return _without(_alphabet(_event_texts()), _alphabet(_frame_texts()))


@cache
def of_frames() -> Alphabet:
    """What is written around events and never of one."""
    return _without(_alphabet(_frame_texts(), common=True), _alphabet(_event_texts()))


@cache
def known() -> Alphabet:
    """All that tickets are written in but for the festival."""
    return _alphabet([*_event_texts(()), *_frame_texts(), *_desk_texts()], common=True)


def _alphabet(texts: Iterable[str], *, common: bool = False) -> Alphabet:
    found = list(texts)
    more = (*STEM_CHARACTERS, *_COMMON_CHARACTERS) if common else ()
    return Alphabet(
        "".join(sorted({*_HAN.findall("".join(found)), *more})),
        tuple(sorted({word for text in found for word in _WORD.findall(text)})),
    )


def _without(one: Alphabet, other: Alphabet) -> Alphabet:
    characters, words = set(other.characters), set(other.words)
    return Alphabet(
        "".join(character for character in one.characters if character not in characters),
        tuple(word for word in one.words if word not in words),
    )


def _event_texts(new: Sequence[Event] = FESTIVAL) -> Iterator[str]:
    for desk in DESKS.values():
        for event in (*desk.events, *new):
            for wording in event.wordings.values():
                yield from (*wording.subjects, *wording.faults)


def _frame_texts() -> Iterator[str]:
    for phrasing in PHRASINGS.values():
        yield from (*phrasing.bodies, *phrasing.leads, *phrasing.tails)
        yield from (*phrasing.openings, *phrasing.closings)
    for levels in URGENCY.values():
        yield from (phrase for phrases in levels.values() for phrase in phrases)


def _desk_texts() -> Iterator[str]:
    for desk in DESKS.values():
        yield from desk.departments
        yield from desk.departments.values()
        for names in (desk.districts or {}).values():
            yield from names


@cache
def code_parts() -> tuple[str, ...]:
    """What codes are made of: every word, and the parts of every code as often as they occur."""
    parts = {part for word in everything().words for part in word.lower().split("-")}
    codes = [
        part
        for desk in DESKS.values()
        for pair in desk.departments.items()
        for code in pair
        for part in code.split("-")
    ]
    return tuple(sorted([*parts, *codes]))
