"""What stands in the fields of the labelling desk, and the label that it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dizuo.console.review import jsonform
from dizuo.console.review.asked import Asked
from dizuo.console.review.jsonform import KEPT, Form, Given

LABEL = "label"
"""The name of the field that a class or a text is given in."""
_MAX_FIELDS = 5000
_MAX_CHARACTERS = 2_000_000
Faults = Mapping[str, tuple[str, Mapping[str, object]]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands in the fields now: `classes` to choose from, or a `form`, or neither for text;
    `focus` is the field to begin with, the first one if it is None."""

    given: Given
    classes: Sequence[str] = ()
    form: Form | None = None
    faults: Faults = field(default_factory=dict)
    focus: str | None = None

    @property
    def begins_at(self) -> str:
        """The field that the focus goes to: the first with a fault, or the one that was asked
        for."""
        return next(iter(self.faults), self.focus or "")


@dataclass(frozen=True, slots=True)
class Asking:
    """What the page asks for; `drawn` is the number of the drawing that it was asked on."""

    what: str
    path: str
    drawn: str
    given: Mapping[str, str]

    @classmethod
    def of(cls, sent: Any) -> Asking | None:
        """What a browser sent, if it has that form."""
        sent = sent[0] if isinstance(sent, list) and sent else sent
        if not isinstance(sent, Mapping) or not isinstance(sent.get("given"), Mapping):
            return None
        what, path, drawn = (sent.get(key) for key in ("what", "path", "drawn"))
        given = {key: text for key, text in sent["given"].items() if isinstance(text, str)}
        fits = len(given) <= _MAX_FIELDS and sum(map(len, given.values())) <= _MAX_CHARACTERS
        if isinstance(what, str) and isinstance(path, str) and isinstance(drawn, str) and fits:
            return cls(what, path, drawn, given)
        return None


def entry_for(asked: Asked, answer: Any) -> Entry:
    """The fields for a sample, with an answer in them."""
    if asked.labels:
        return Entry({LABEL: str(answer)}, classes=asked.labels)
    if asked.schema is not None:
        form = Form(asked.schema)
        return Entry(jsonform.spread(form, answer), form=form)
    if isinstance(answer, dict | list):
        form = Form({}, is_raw=True)
        return Entry(jsonform.spread(form, answer), form=form)
    return Entry(_as_text(answer))


def _as_text(answer: Any) -> dict[str, str]:
    """An answer in the one field of a text; whole beside it where what is typed would lose blanks
    at its ends, or the kind of its line ends."""
    text = jsonform.in_field("" if answer is None else str(answer))
    is_said = not isinstance(answer, str) or text.strip() == answer
    return {LABEL: text} if is_said else {LABEL: text, LABEL + KEPT: json.dumps(answer)}


def turned(entry: Entry) -> Entry:
    """The entry with JSON in place of its form, or a form in place of its JSON; as it is, with its
    faults, where something that was typed would be lost."""
    form = entry.form
    if form is None or not form.schema:
        return entry
    reading = jsonform.read(form, entry.given)
    other = Form(form.schema, is_raw=not form.is_raw)
    if reading.is_unreadable or not jsonform.holds(other, reading.value):
        return replace(entry, faults=reading.faults)
    return replace(entry, form=other, given=jsonform.spread(other, reading.value))


def read_entry(entry: Entry) -> tuple[Any, Faults]:
    """The label that the fields make, or what is wrong with them."""
    if entry.form is not None:
        reading = jsonform.read(entry.form, entry.given)
        return reading.value, reading.faults
    text, kept = entry.given.get(LABEL, ""), jsonform.kept_at(entry.given, LABEL)
    label = text.strip()
    if not label:
        return None, {LABEL: ("form.choose" if entry.classes else "form.needed", {})}
    if entry.classes and label not in entry.classes:
        return None, {LABEL: ("form.no_label", {})}
    is_as_it_was = isinstance(kept, str) and jsonform.in_field(kept) == text
    return (kept if is_as_it_was else label), {}
