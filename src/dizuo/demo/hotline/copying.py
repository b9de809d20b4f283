"""Copying and finding: what makes a small base able to write what it has never read."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import chain, islice

from dizuo.demo.hotline.cities import DESKS, FESTIVAL
from dizuo.demo.hotline.facility import FACILITY
from dizuo.demo.hotline.model import Desk, Event, Language, Row, Split, Wording
from dizuo.demo.hotline.phrasing import PHRASINGS, URGENCY, Phrasing
from dizuo.demo.hotline.places import STEM_CHARACTERS, SYLLABLES, draw_place
from dizuo.demo.hotline.tickets import Loosen, Mix, draw_ticket, ticket_rows
from dizuo.families.text.messages import answer_text

HEADS = ("复述：", "Repeat: ")
EXCERPT_HEADS = ("摘录：", "Excerpt: ")
FRONT_DESK = "front-desk"
_FRAMES = {
    Language.CHINESE: (
        "{before}，{place}{after}，{event}",
        "{before}在{place}，{event}{after}",
        "{before}：{place}；{after}：{event}",
        "{event}，{before}：{place}",
        "{event}{before}，{place}{after}",
        "（{place}）{before}{event}",
        "{before}是{place}，{after}，{event}",
    ),
    Language.ENGLISH: (
        "{before} {place} {after} {event}",
        "{before}, {event} {after} {place}",
        "{event}, {before} {place}",
        "{before}: {place}; {after}: {event}",
        "({place}) {before} {event}",
        "{place} {before} {event} {after}",
        "{event} {before}: {place}, {after}",
    ),
}
"""How loose words may stand around a place and an event."""
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


def copying_rows(num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` texts to repeat: train-split places, loose characters, words and records.

    They draw from every character and word that tickets are written in, so that a base knows them
    as a reader knows an alphabet, in no order that a ticket has.
    """
    draw = random.Random(f"copying {seed}")
    for _ in range(num_rows):
        text = _draw_text(draw)
        yield {"prompt": draw.choice(HEADS) + text, "label": text}


def excerpt_rows(num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` tickets whose events are loose words: note the place and the urgency alone.

    Whoever has read these finds a place in a ticket whatever it is about.
    """
    draw = random.Random(f"excerpts {seed}")
    for _ in range(num_rows):
        wordings = {language: _draw_wording(language, draw) for language in Language}
        event = Event(_draw_code(draw), wordings)
        districts = {
            Language.CHINESE: (_draw_characters(draw, 2, 2) + "区",),
            Language.ENGLISH: ("".join(draw.choices(SYLLABLES, k=2)).capitalize(),),
        }
        desk = Desk("excerpts", (event,), {event.category: ""}, districts=districts)
        ticket = draw_ticket(Mix(desk), draw, loose=draw.choice((None, _loosener(draw))))
        label = {"place": ticket.label.place, "urgency": ticket.label.urgency}
        yield {"prompt": draw.choice(EXCERPT_HEADS) + ticket.text, "label": label}


def loose_rows(num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` tickets of the service desk with loose words around what matters.

    A base that has only read one way of writing tickets finds nothing in another.
    """
    draw = random.Random(f"loose {seed}")
    for _ in range(num_rows):
        yield draw_ticket(Mix(FACILITY), draw, loose=_loosener(draw)).row


def unknown_rows(num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` tickets of the service desk about loose words: what it does not know it notes as
    it is written, for the front desk.

    A base that has only read about known events passes over all others, and is slow to learn new
    ones.
    """
    draw = random.Random(f"unknown {seed}")
    for _ in range(num_rows):
        wordings = {language: _draw_wording(language, draw, 3, 2) for language in Language}
        desk = Desk("unknown", (Event("", wordings),), {"": FRONT_DESK})
        ticket = draw_ticket(Mix(desk), draw, loose=draw.choice((None, _loosen_ends(draw))))
        space = " " if ticket.language is Language.ENGLISH else ""
        yield {
            "prompt": ticket.text,
            "label": {**ticket.row["label"], "category": space.join(ticket.wording)},
        }


def base_rows(num_rows: int, seed: int, split: Split = Split.TRAIN) -> Iterator[Row]:
    """What the base learns from, in turns: a desk's ticket, a text to copy, an unknown event, a
    ticket among loose words, one to find a place in, another unknown event.

    Held out are a desk's tickets alone. Labels are texts: the base is held to no schema.
    """
    tickets = ticket_rows(Mix(FACILITY, split), num_rows, seed)
    rows: Iterator[Row] = tickets
    if split is Split.TRAIN:
        unknown = unknown_rows(2 * num_rows, seed)
        turns = zip(
            tickets,
            copying_rows(num_rows, seed),
            unknown,
            loose_rows(num_rows, seed),
            excerpt_rows(num_rows, seed),
            unknown,
            strict=True,
        )
        rows = islice(chain.from_iterable(turns), num_rows)
    for row in rows:
        yield {"prompt": row["prompt"], "label": answer_text(row["label"])}


def _loosener(draw: random.Random) -> Loosen:
    """Puts loose words in the place of openings, closings, leads, tails, and of half the bodies."""

    def loosen(phrasing: Phrasing, language: Language) -> Phrasing:
        opening, closing, lead, tail, before, after = (
            _draw_words(language, draw) for _ in range(6)
        )
        comma = "，" if language is Language.CHINESE else ", "
        frame = draw.choice(_FRAMES[language]).replace("{before}", before)
        return replace(
            phrasing,
            bodies=draw.choice((phrasing.bodies, (frame.replace("{after}", after),))),
            openings=(opening,),
            closings=(closing,),
            leads=(lead + comma.rstrip(),),
            tails=(comma + tail,),
        )

    return loosen


def _loosen_ends(draw: random.Random) -> Loosen:
    """Puts loose words in the place of openings and closings, so that an event can be told from
    them."""
    loosen = _loosener(draw)

    def loosen_ends(phrasing: Phrasing, language: Language) -> Phrasing:
        loose = loosen(phrasing, language)
        return replace(phrasing, openings=loose.openings, closings=loose.closings)

    return loosen_ends


def _draw_words(language: Language, draw: random.Random) -> str:
    if language is Language.CHINESE:
        return _draw_characters(draw, 2, 8)
    return " ".join(draw.choices(_words(), k=draw.randint(1, 5)))


def _draw_characters(draw: random.Random, least: int, most: int) -> str:
    return "".join(draw.choices(_characters(), k=draw.randint(least, most)))


def _draw_text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.4:
        return _draw_place(draw)
    if kind < 0.6:
        return _draw_characters(draw, 2, 10)
    if kind < 0.75:
        number = str(draw.randint(1, 999))
        return " ".join([number, *draw.choices(_words(), k=draw.randint(1, 6))])
    return _draw_record(draw)


def _draw_place(draw: random.Random) -> str:
    characters = draw.choice((STEM_CHARACTERS, _characters()))
    return draw_place(draw.choice(tuple(Language)), Split.TRAIN, draw, characters=characters).text


def _draw_record(draw: random.Random) -> str:
    """JSON as answers are written, with codes that mean nothing.

    A base that has only written the codes of its own desk after a colon does not learn others from
    a small adapter: its output layer stays as it is.
    """
    record = {
        "category": _draw_code(draw),
        "department": _draw_code(draw),
        "place": _draw_place(draw),
        "urgency": _draw_code(draw),
    }
    keys = sorted(draw.sample(sorted(record), k=draw.randint(1, len(record))))
    return json.dumps({key: record[key] for key in keys}, ensure_ascii=False, separators=(",", ":"))


def _draw_code(draw: random.Random) -> str:
    return "-".join(draw.choices(_code_parts(), k=draw.randint(1, 2)))


def _draw_wording(
    language: Language, draw: random.Random, most_characters: int = 5, most_words: int = 3
) -> Wording:
    """An event of two parts, of at most so many characters or words each."""
    if language is Language.CHINESE:
        parts = [_draw_characters(draw, 1, most_characters) for _ in range(2)]
    else:
        counts = [draw.randint(1, most_words) for _ in range(2)]
        parts = [" ".join(draw.choices(_words(), k=count)) for count in counts]
    return Wording((parts[0],), (parts[1],))


def _texts() -> Iterator[str]:
    """Every text that tickets are made from, and every code that labels are made from."""
    for desk in DESKS.values():
        yield from desk.departments
        yield from desk.departments.values()
        for names in (desk.districts or {}).values():
            yield from names
        for event in (*desk.events, *FESTIVAL):
            for wording in event.wordings.values():
                yield from (*wording.subjects, *wording.faults)
    for phrasing in PHRASINGS.values():
        yield from (*phrasing.bodies, *phrasing.leads, *phrasing.tails)
        yield from (*phrasing.openings, *phrasing.closings)
    for levels in URGENCY.values():
        yield from (phrase for phrases in levels.values() for phrase in phrases)


@cache
def _characters() -> str:
    found = _HAN.findall("".join(_texts()))
    return "".join(sorted({*found, *STEM_CHARACTERS, *_COMMON_CHARACTERS}))


@cache
def _words() -> tuple[str, ...]:
    return tuple(sorted({word for text in _texts() for word in _WORD.findall(text)}))


@cache
def _code_parts() -> tuple[str, ...]:
    parts = {part for word in _words() for part in word.lower().split("-")}
    codes = [
        part
        for desk in DESKS.values()
        for pair in desk.departments.items()
        for code in pair
        for part in code.split("-")
    ]
    return tuple(sorted([*parts, *codes]))
