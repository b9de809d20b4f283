"""The desk as markup: what one reviewer sees of a sample, and every key that works now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, badge, facts, join, link, tag
from dizuo.console.elements.pictures import picture_type
from dizuo.console.elements.telling import number
from dizuo.console.messages import Words
from dizuo.console.review import drawing, jsonform
from dizuo.console.review.asked import Asked
from dizuo.console.review.entries import Entry
from dizuo.datasets.desk import Held
from dizuo.datasets.model import Sample

_KEYS = {"skip": "KeyS", "unusable": "KeyU", "undo": "KeyZ", "raw": "KeyJ", "take": "KeyT"}
"""Pressed with Alt; the values are those of `KeyboardEvent.code`."""


@dataclass(frozen=True, slots=True)
class Before:
    """What is before somebody: a sample with its input, and what its answers look like. `row` is
    None where the content is gone."""

    held: Held
    row: Mapping[str, Any] | None
    asked: Asked


@dataclass(frozen=True, slots=True)
class Desk:
    """What one reviewer has before them, if anything, what stands in the fields, and how far they
    are. `num_drawn` tells one drawing from the next."""

    before: Before | None
    entry: Entry
    is_settling: bool
    num_done: int
    num_waiting: int
    num_drawn: int


def desk_of(words: Words, desk: Desk) -> Markup:
    """The desk, with a sample on it or with nothing to do."""
    return _nothing(words, desk) if desk.before is None else _sample(words, desk, desk.before)


def stopped_of(words: Words, desk: Desk) -> Markup:
    """What is told where the sample on a page is before its reviewer there no longer."""
    take = _button(words, desk, "take", "button")
    return tag("div", tag("p", words("desk.stopped")), take, class_="notice")


def _nothing(words: Words, desk: Desk) -> Markup:
    back = link(words("desk.back"), "/review", data_focus=True)
    undo = _button(words, desk, "undo", "button") if not desk.is_settling else EMPTY
    return tag(
        "section",
        tag("p", words("desk.nothing")),
        _progress(words, desk),
        tag("div", back, undo, class_="pager"),
        id="desk",
        class_="panel",
        data_drawn=str(desk.num_drawn),
        data_token="",
    )


def _progress(words: Words, desk: Desk) -> Markup:
    told = {"count": number(desk.num_done), "waiting": number(desk.num_waiting)}
    return tag("p", words("desk.done_here", **told), class_="muted")


def _sample(words: Words, desk: Desk, before: Before) -> Markup:
    sample = before.held.sample
    has_picture = before.row is not None and picture_type(before.row.get("image")) is not None
    picture = f"/review/samples/{sample.id}/image" if has_picture else None
    seen = tag(
        "section",
        tag("h2", words("desk.sample")),
        tag("div", drawing.sample_of(words, before.row, picture), id=drawing.SAMPLE_ID),
        class_="panel seen",
    )
    given = tag(
        "section",
        tag("h2", words("column.answer")),
        _answer(words, before),
        drawing.fields_of(words, desk.entry),
        _buttons(words, desk),
        _progress(words, desk),
        class_="panel given",
    )
    return tag(
        "div",
        tag("div", seen, given, class_="desk"),
        _keys(words, desk),
        id="desk",
        class_="rows",
        data_drawn=str(desk.num_drawn),
        data_token=before.held.token,
    )


def _answer(words: Words, before: Before) -> Markup:
    sample = before.held.sample
    unfit = _unfit(before)
    about = facts(
        [
            (words("column.returned_because"), drawing.reason_of(words, sample.reason)),
            (words("column.site"), sample.site),
            (words("column.stack"), sample.served_as),
        ]
    )
    said = [
        tag("li", words("desk.unusable") if one is None else drawing.answer_of(one))
        for one in before.held.said
    ]
    return join(
        [
            _model_answer(words, sample),
            about,
            tag("p", words("desk.answer_unfit"), class_="notice") if unfit else None,
            join([tag("h3", words("desk.said")), tag("ul", *said)]) if said else None,
        ]
    )


def _model_answer(words: Words, sample: Sample) -> Markup:
    sure = words("desk.sure", share=f"{sample.confidence:.0%}")
    tone = "good" if sample.confidence >= 0.9 else "warn" if sample.confidence >= 0.5 else "bad"
    return tag(
        "div",
        drawing.answer_of(sample.answer),
        badge(sure, tone),
        id=drawing.ANSWER_ID,
        class_="model-answer",
    )


def _unfit(before: Before) -> bool:
    schema = before.asked.schema
    return schema is not None and bool(jsonform.fault_of(before.held.sample.answer, schema))


def _buttons(words: Words, desk: Desk) -> Markup:
    save = tag(
        "button",
        words("desk.save"),
        tag("kbd", "Enter", aria_hidden="true"),
        type="button",
        class_="button primary",
        data_do="save",
    )
    others = [_button(words, desk, one, "button") for one in _shortcuts(desk)]
    return tag("div", save, *others, class_="buttons")


def _shortcuts(desk: Desk) -> list[str]:
    found = ["skip", "unusable"]
    if not desk.is_settling:
        found.append("undo")
    if desk.entry.form is not None and desk.entry.form.schema:
        found.append("raw")
    return found


def _button(words: Words, desk: Desk, do: str, kind: str) -> Markup:
    code = _KEYS[do]
    return tag(
        "button",
        _name(words, desk, do),
        tag("kbd", f"Alt {code[-1]}", aria_hidden="true"),
        type="button",
        class_=kind,
        data_do=do,
        data_key=code,
        aria_keyshortcuts=f"Alt+{code[-1]}",
        lang=words.language.tag,
    )


def _name(words: Words, desk: Desk, do: str) -> str:
    is_raw = do == "raw" and desk.entry.form is not None and desk.entry.form.is_raw
    return words("desk.as_form" if is_raw else f"desk.{do}")


def _keys(words: Words, desk: Desk) -> Markup:
    """Every shortcut that works now."""
    entry = desk.entry
    pairs = [("Enter", words("desk.key_enter"))]
    if entry.classes and len(entry.classes) <= drawing.NUM_KEYS:
        pairs.insert(0, (f"1–{len(entry.classes)}", words("desk.key_digits")))
    elif entry.classes:
        pairs.insert(0, ("↑ ↓", words("desk.key_arrows")))
    else:
        pairs.append(("Shift Enter", words("desk.key_newline")))
    pairs += [(f"Alt {_KEYS[one][-1]}", _name(words, desk, one)) for one in _shortcuts(desk)]
    items = [tag("li", tag("kbd", key), " ", text) for key, text in pairs]
    return tag(
        "section", tag("h2", words("desk.keys")), tag("ul", *items, class_="keys"), class_="panel"
    )
