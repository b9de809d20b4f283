"""Entries of the audit log as markup: who did what to what, and the details as readable facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from dizuo.audit.model import AuditEntry
from dizuo.console.elements.markup import EMPTY, Column, facts, join, link, table, tag
from dizuo.console.elements.places import entry_address, subject_address
from dizuo.console.elements.telling import exactly, num_bytes, number, when
from dizuo.console.messages import Words, catalogue
from dizuo.console.sentences import spoken
from dizuo.core.clock import now_ms
from dizuo.core.digests import DIGEST_PATTERN, short

_NUM_IN_ROW = 3
"""So many facts of an entry stand in its row; its page has all."""
_NUM_LISTED = 20
_LONGEST_IN_ROW = 90
_SENTENCES = ("message", "reason")
"""Facts that rooms tell in words."""


def action(words: Words, name: str) -> str:
    """What happened, in words; as the log has it where there are none."""
    return words(f"action.{name}") if f"action.{name}" in catalogue() else name


def moment(words: Words, entry: AuditEntry) -> Markup:
    """When it happened: how long ago, and exactly."""
    exact = tag("span", exactly(entry.at_ms), class_="under")
    return join([when(words, entry.at_ms, now_ms()), tag("br"), exact])


def subject(entry: AuditEntry) -> object:
    """To what it happened, leading to its page where it has one."""
    where = subject_address(entry.subject)
    return link(entry.subject, where) if where else entry.subject


def history(words: Words, entries: Sequence[AuditEntry]) -> Markup:
    """What happened to one thing, in the order given."""
    keys = ("audit.number", "column.at", "audit.actor", "column.action", "audit.detail")
    columns = [Column(words(key)) for key in keys]
    rows = [
        (
            link(str(entry.sequence), entry_address(entry.sequence)),
            moment(words, entry),
            entry.actor,
            action(words, entry.action),
            in_row(words, entry),
        )
        for entry in entries
    ]
    return table(columns, rows, words("audit.history"))


def in_row(words: Words, entry: AuditEntry) -> Markup:
    """The first of an entry's facts, in one line each."""
    told = _told(entry.detail)
    lines = [
        tag(
            "span", tag("span", f"{_name(words, key)}: ", class_="muted"), _brief(words, key, value)
        )
        for key, value in told[:_NUM_IN_ROW]
    ]
    if len(told) > _NUM_IN_ROW:
        more = words("audit.more_facts", count=len(told) - _NUM_IN_ROW)
        lines.append(link(more, entry_address(entry.sequence)))
    return tag("div", *lines, class_="brief") if lines else EMPTY


def details(words: Words, detail: Mapping[str, Any]) -> Markup:
    """All of an entry's facts."""
    if not detail:
        return tag("p", words("audit.no_detail"), class_="muted")
    return facts((_name(words, key), _value(words, key, value)) for key, value in detail.items())


def _told(detail: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(key, value) for key, value in detail.items() if value not in ("", None, [], {})]


def _name(words: Words, key: str) -> str:
    return words(f"fact.{key}") if f"fact.{key}" in catalogue() else key.replace("_", " ")


def _brief(words: Words, key: str, value: object) -> object:
    if isinstance(value, Mapping | list):
        return words("audit.num_parts", count=len(value))
    if isinstance(value, str) and DIGEST_PATTERN.fullmatch(value):
        return tag("code", short(value), title=value)
    shown = _value(words, key, value)
    if isinstance(shown, str) and len(shown) > _LONGEST_IN_ROW:
        return f"{shown[: _LONGEST_IN_ROW - 1]}…"
    return shown


def _value(words: Words, key: str, value: object) -> object:
    if isinstance(value, Mapping):
        return details(words, value) if value else "–"
    if isinstance(value, list):
        return _list(words, key, value)
    if isinstance(value, bool):
        return words("word.yes") if value else words("word.no")
    if isinstance(value, int):
        return _whole_number(key, value)
    text = "" if value is None else str(value)
    text = spoken(words, text) if key in _SENTENCES else text
    return tag("code", text) if DIGEST_PATTERN.fullmatch(text) else text or "–"


def _whole_number(key: str, value: int) -> object:
    if key.endswith("_ms"):
        return exactly(value)
    return num_bytes(value) if "bytes" in key else number(value)


def _list(words: Words, key: str, values: list[Any]) -> object:
    if not values:
        return "–"
    return tag("ul", *_items(words, key, values), class_="listed")


def _items(words: Words, key: str, values: list[Any]) -> Iterator[Markup]:
    for value in values[:_NUM_LISTED]:
        yield tag("li", _value(words, key, value))
    if len(values) > _NUM_LISTED:
        yield tag("li", words("audit.more_parts", count=number(len(values) - _NUM_LISTED)))
