"""Draw tickets: a desk's events, at made-up places, in the phrasing of one split."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dizuo.demo.hotline.model import (
    Desk,
    Event,
    Label,
    Language,
    Phrasing,
    Row,
    Split,
    Template,
    Ticket,
)
from dizuo.demo.hotline.phrasing import PHRASINGS, URGENCY, urgency_phrases
from dizuo.demo.hotline.places import STEM_CHARACTERS, Place, draw_place

Loosen = Callable[[Phrasing, Language], Phrasing]

_FOREIGN_PLACE_SHARE = 0.1
_SPACED_MARKS = re.compile(r" ?([，。：；（）]) ?")


@dataclass(frozen=True, slots=True)
class Mix:
    """Which tickets to draw: `new_share` of them are about the desk's new events."""

    desk: Desk
    split: Split = Split.TRAIN
    new_share: float = 0.0

    def draw_event(self, draw: random.Random) -> Event:
        """One event, old or new."""
        new = draw.random() < self.new_share
        return draw.choice(self.desk.new_events if new else self.desk.events)


def tickets(mix: Mix, seed: int) -> Iterator[Ticket]:
    """Tickets without end, no two with the same text; the same for the same `mix` and `seed`."""
    draw = random.Random(f"{mix.desk.name} {mix.split} {mix.new_share} {seed}")
    seen: set[str] = set()
    while True:
        ticket = draw_ticket(mix, draw)
        if ticket.text not in seen:
            seen.add(ticket.text)
            yield ticket


def ticket_rows(mix: Mix, num_rows: int, seed: int) -> Iterator[Row]:
    """`num_rows` tickets as rows of a dataset; more rows begin with the same ones."""
    for ticket, _ in zip(tickets(mix, seed), range(num_rows), strict=False):
        yield ticket.row


def draw_ticket(
    mix: Mix,
    draw: random.Random,
    *,
    loose: Loosen | None = None,
    characters: str = STEM_CHARACTERS,
) -> Ticket:
    """One ticket of `mix`; `loose` may change what is written around place, event and urgency.
    Chinese places are named by two of `characters`."""
    language = draw.choice(tuple(Language))
    phrasing = PHRASINGS[language, mix.split]
    if loose is not None:
        phrasing = loose(phrasing, language)
    event = mix.draw_event(draw)
    wording = draw.choice(event.wordings[language].pairs(mix.split))
    level = draw.choice(tuple(URGENCY[language]))
    urgency = draw.choice(urgency_phrases(language, level, event.category, mix.split))
    place = _draw_place(language, mix, characters, draw)
    template = _draw_template(phrasing, draw)
    clauses = {"opening": template.opening, "closing": template.closing, "urgency": urgency}
    clauses["body"] = _fill(template, language, place, wording, draw)
    texts = [clauses[name] for name in template.order.split() if clauses[name]]
    return Ticket(
        text=_join(language, texts, draw),
        label=Label(event.category, mix.desk.departments[event.category], level, place.text),
        language=language,
        place_stem=place.stem,
        template=template,
        wording=wording,
        urgency_phrase=urgency,
    )


def _draw_template(phrasing: Phrasing, draw: random.Random) -> Template:
    """One of each part; a lead and a tail every second time."""
    return Template(
        body=draw.choice(phrasing.bodies),
        lead=draw.choice(("", draw.choice(phrasing.leads))),
        tail=draw.choice(("", draw.choice(phrasing.tails))),
        opening=draw.choice(phrasing.openings),
        closing=draw.choice(phrasing.closings),
        order=draw.choice(phrasing.orders),
    )


def _draw_place(language: Language, mix: Mix, characters: str, draw: random.Random) -> Place:
    """A place, now and then one written in the other language."""
    if draw.random() < _FOREIGN_PLACE_SHARE:
        (language,) = set(Language) - {language}
    districts = mix.desk.districts
    return draw_place(language, mix.split, draw, districts=districts, characters=characters)


def _fill(
    template: Template,
    language: Language,
    place: Place,
    wording: tuple[str, str],
    draw: random.Random,
) -> str:
    days = draw.randint(2, 9)
    if language is Language.ENGLISH:
        body = template.body.format(place=place.text, event=" ".join(wording), days=days)
        return f"{template.lead} {body}{template.tail}".strip()
    spaced = f" {place.text} " if place.text.isascii() else place.text
    body = template.body.format(place=spaced, event="".join(wording), days=days)
    return _SPACED_MARKS.sub(r"\1", f"{template.lead}{body}{template.tail}").strip()


def _join(language: Language, clauses: Sequence[str], draw: random.Random) -> str:
    if language is Language.ENGLISH:
        return " ".join(f"{clause[0].upper()}{clause[1:]}." for clause in clauses)
    mark = draw.choice(("，", "。"))
    return mark.join(clauses) + draw.choice(("。", ""))
