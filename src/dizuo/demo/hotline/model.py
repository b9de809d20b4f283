"""What a hotline is made of: events and their wordings, desks, tickets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

Row = dict[str, Any]
"""`prompt`, a text that comes in, and `label`, its answer: a mapping for a ticket, else a text."""


class Split(StrEnum):
    """Two worlds that share no place, template, wording or mix of event and urgency."""

    TRAIN = "train"
    HELDOUT = "heldout"


class Language(StrEnum):
    """The languages that a ticket is written in."""

    CHINESE = "zh"
    ENGLISH = "en"


@dataclass(frozen=True, slots=True)
class Wording:
    """How one language says that something is wrong: any of `subjects` with any of `faults`."""

    subjects: tuple[str, ...]
    faults: tuple[str, ...]

    def pairs(self, split: Split) -> tuple[tuple[str, str], ...]:
        """The (subject, fault) pairs of `split`: the held-out ones are one in four.

        Each subject and each fault is in both splits, always with other partners.
        """
        return tuple(
            (subject, fault)
            for i, subject in enumerate(self.subjects)
            for j, fault in enumerate(self.faults)
            if ((i + j) % 4 == 3) == (split is Split.HELDOUT)
        )


@dataclass(frozen=True, slots=True)
class Event:
    """A kind of event, by the code that a ticket's `category` gets."""

    category: str
    wordings: Mapping[Language, Wording]


@dataclass(frozen=True, slots=True)
class Desk:
    """Who receives tickets, and the department that each event goes to there.

    `new_events` are those that nobody had thought of when the desk was set up.
    """

    name: str
    events: tuple[Event, ...]
    departments: Mapping[str, str]
    new_events: tuple[Event, ...] = ()
    districts: Mapping[Language, tuple[str, ...]] | None = None


class Label(NamedTuple):
    """What a clerk notes of a ticket."""

    category: str
    department: str
    urgency: str
    place: str


class Template(NamedTuple):
    """What a ticket was written around, and the order of its clauses."""

    body: str
    lead: str
    tail: str
    opening: str
    closing: str
    order: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket, its label, and what it was made of."""

    text: str
    label: Label
    language: Language
    place_stem: str
    template: Template
    wording: tuple[str, str]
    urgency_phrase: str

    @property
    def row(self) -> Row:
        """As a dataset's row."""
        return {"prompt": self.text, "label": self.label._asdict()}


@dataclass(frozen=True, slots=True)
class Phrasing:
    """What a split may write around place, event and urgency.

    `bodies` have the fields {place}, {event} and sometimes {days}; one of `leads` may stand before
    a body and one of `tails` after it; `orders` list clauses among opening, body, urgency and
    closing.
    """

    bodies: tuple[str, ...]
    leads: tuple[str, ...]
    tails: tuple[str, ...]
    openings: tuple[str, ...]
    closings: tuple[str, ...]
    orders: tuple[str, ...]


ORDERS: Mapping[Split, tuple[str, ...]] = MappingProxyType(
    {
        Split.TRAIN: (
            "body urgency",
            "urgency body",
            "opening body urgency",
            "opening urgency body",
            "body urgency closing",
            "opening body urgency closing",
            "body closing urgency",
        ),
        Split.HELDOUT: (
            "urgency body closing",
            "opening body closing urgency",
            "opening urgency body closing",
        ),
    }
)
"""In what order a split puts the clauses of a ticket."""
