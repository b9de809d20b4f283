"""Copying and finding: what makes a small base able to write what it has never read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice

from dizuo.demo.hotline.alphabet import (
    Alphabet,
    code_parts,
    everything,
    known,
    of_events,
    of_frames,
)
from dizuo.demo.hotline.facility import FACILITY
from dizuo.demo.hotline.model import Desk, Event, Language, Phrasing, Row, Split, Wording
from dizuo.demo.hotline.places import STEM_CHARACTERS, SYLLABLES, draw_place
from dizuo.demo.hotline.tickets import Loosen, Mix, draw_ticket, ticket_rows
from dizuo.families.text.messages import answer_text

HEADS = ("复述：", "Repeat: ")
EXCERPT_HEADS = ("摘录：", "Excerpt: ")
FRONT_DESK = "front-desk"
LOOSE_SHARE = 0.6
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
        mix = _draw_mix(everything(), 5, 3, draw)
        ticket = draw_ticket(mix, draw, loose=draw.choice((None, _loosener(everything(), draw))))
        label = {"place": ticket.label.place, "urgency": ticket.label.urgency}
        yield {"prompt": draw.choice(EXCERPT_HEADS) + ticket.text, "label": label}


def loose_rows(mix: Mix, num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` tickets with loose words around what matters, as a bad line leaves them.

    Whoever has only read one way of writing tickets finds nothing in another.
    """
    draw = random.Random(f"loose {mix.desk.name} {seed}")
    for _ in range(num_rows):
        yield draw_ticket(mix, draw, loose=_loosener(everything(), draw)).row


def varied_rows(mix: Mix, num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` tickets of `mix`, LOOSE_SHARE of them among loose words, at places of any name.

    Every second time no event is written in these words: an event is what is not written around
    one. A place of any name has to be copied, where one of the usual names may be guessed. What
    only the festival is written in is not among the words; those of held-out phrasings are, one by
    one and in no order that a ticket has, as a model that can read knows them.
    """
    draw = random.Random(f"varied {mix.desk.name} {seed}")
    clear = ticket_rows(mix, num_rows, seed)
    for _ in range(num_rows):
        if draw.random() >= LOOSE_SHARE:
            yield next(clear)
            continue
        loose = _loosener(draw.choice((known, of_frames))(), draw)
        yield draw_ticket(mix, draw, loose=loose, characters=known().characters).row


def unknown_rows(num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` tickets of the service desk about loose words: what it does not know it notes as
    it is written, for the front desk.

    A base that has only read about known events passes over all others, and is slow to learn new
    ones. In the usual phrasings these words may be any; where loose words stand around them, those
    are what no event is written in, so that they can be told from it.
    """
    draw = random.Random(f"unknown {seed}")
    for _ in range(num_rows):
        loosener = draw.choice((None, _loosener(of_frames(), draw)))
        mix = _draw_mix(of_events() if loosener else everything(), 5, 4, draw)
        ticket = draw_ticket(mix, draw, loose=loosener)
        space = " " if ticket.language is Language.ENGLISH else ""
        said = {"category": space.join(ticket.wording), "department": FRONT_DESK}
        yield {"prompt": ticket.text, "label": {**ticket.row["label"], **said}}


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
            loose_rows(Mix(FACILITY), num_rows, seed),
            excerpt_rows(num_rows, seed),
            unknown,
            strict=True,
        )
        rows = islice(chain.from_iterable(turns), num_rows)
    for row in rows:
        yield {"prompt": row["prompt"], "label": answer_text(row["label"])}


def _loosener(alphabet: Alphabet, draw: random.Random) -> Loosen:
    """Puts loose words in the place of openings, closings, leads, tails, and of half the bodies."""

    def loosen(phrasing: Phrasing, language: Language) -> Phrasing:
        opening, closing, lead, tail, before, after = (
            alphabet.draw_clause(language, draw) for _ in range(6)
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


def _draw_mix(
    alphabet: Alphabet, most_characters: int, most_words: int, draw: random.Random
) -> Mix:
    """A desk that knows one loose event, of two parts, in a loose district."""
    wordings = {
        Language.CHINESE: _wording(alphabet.draw_characters, most_characters, draw),
        Language.ENGLISH: _wording(alphabet.draw_words, most_words, draw),
    }
    districts = {
        Language.CHINESE: (everything().draw_characters(draw, 2, 2) + "区",),
        Language.ENGLISH: ("".join(draw.choices(SYLLABLES, k=2)).capitalize(),),
    }
    return Mix(Desk("loose", (Event("", wordings),), {"": ""}, districts=districts))


def _wording(
    draw_text: Callable[[random.Random, int, int], str], most: int, draw: random.Random
) -> Wording:
    return Wording((draw_text(draw, 1, most),), (draw_text(draw, 1, most),))


def _draw_text(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.4:
        return _draw_place(draw)
    if kind < 0.6:
        return everything().draw_characters(draw, 2, 10)
    if kind < 0.75:
        number = str(draw.randint(1, 999))
        return f"{number} {everything().draw_words(draw, 1, 6)}"
    return _draw_record(draw)


def _draw_place(draw: random.Random) -> str:
    characters = draw.choice((STEM_CHARACTERS, everything().characters))
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
    return "-".join(draw.choices(code_parts(), k=draw.randint(1, 2)))
