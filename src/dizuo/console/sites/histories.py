"""The last hours of a site as charts, each with its hours as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui

from dizuo.console.elements.markup import Column, table, tag
from dizuo.console.elements.telling import number
from dizuo.console.messages import Words
from dizuo.console.review.drawing import reason_of
from dizuo.console.sites import hourly
from dizuo.datasets.returned import REASONS, Hour

_UNKNOWN = "–"


@dataclass(frozen=True, slots=True)
class History:
    """One thing by the hour: its chart if there is anything to draw, what its figures are called,
    and the figures of each hour, oldest first. `note` says how to read it."""

    title: str
    picture: Markup | None
    names: Sequence[str]
    hours: Sequence[Sequence[str]]
    note: str = ""


def histories(
    words: Words,
    answers: Sequence[int | None],
    received: Sequence[Hour],
    taken: Sequence[Hour],
) -> list[History]:
    """What a site answered, the samples that came in from it, and those that it took aside."""
    num_received = [hour.num_samples for hour in received]
    return [
        _counts(words, words("site.per_hour"), answers, words("site.per_hour_note")),
        _counts(words, words("site.returned"), num_received if any(num_received) else []),
        _confidence(words, [hour.mean_confidence for hour in taken]),
        _drift(words, [hour.by_reason for hour in taken]),
    ]


def _counts(words: Words, title: str, values: Sequence[int | None], note: str = "") -> History:
    has_any = any(value is not None for value in values)
    picture = hourly.counts(words, values, title) if has_any else None
    hours = [[_UNKNOWN if value is None else number(value)] for value in values]
    return History(title, picture, [title], hours, note)


def _confidence(words: Words, values: Sequence[float | None]) -> History:
    title, note = words("site.confidence"), words("site.confidence_note")
    has_any = any(value is not None for value in values)
    picture = hourly.means(words, values, title) if has_any else None
    hours = [[_UNKNOWN if value is None else f"{value:.2f}"] for value in values]
    return History(title, picture, [title], hours, note)


def _drift(words: Words, found: Sequence[Mapping[str, int]]) -> History:
    title, note = words("site.drift"), words("site.drift_note")
    names = {reason: reason_of(words, reason) for reason in REASONS}
    picture = hourly.shares(words, found, names, title) if any(found) else None
    hours = [[_share(hour, reason) for reason in names] for hour in found]
    return History(title, picture, list(names.values()), hours, note)


def _share(hour: Mapping[str, int], reason: str) -> str:
    whole = sum(hour.values())
    return f"{100 * hour.get(reason, 0) / whole:.0f} %" if whole else _UNKNOWN


def hours_table(words: Words, of: History) -> Markup:
    """The figures of all hours, the newest first."""
    last = len(of.hours) - 1
    rows = [(last - place, *cells) for place, cells in enumerate(of.hours)]
    columns = [Column(words("site.hour")), *(Column(name, is_number=True) for name in of.names)]
    return table(columns, reversed(rows), words("site.by_hour", title=of.title))


class HistoryBoard:
    """Charts beside each other, each with a table that stays unfolded when figures change.

    Args:
        words: the person's language.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._holder = ui.element("div").classes("grid even pairs")
        self._charts: list[_Chart] = []

    def show(self, found: Sequence[History]) -> None:
        """Draw histories, always as many and in the same order."""
        if not self._charts:
            with self._holder:
                self._charts = [_Chart(self._words, one) for one in found]
        for chart, one in zip(self._charts, found, strict=True):
            chart.show(one)


class _Chart:
    """One history's picture and, folded away, its table."""

    def __init__(self, words: Words, of: History) -> None:
        self._words = words
        with ui.element("section").classes("panel"):
            ui.html(of.title, sanitize=False, tag="h3")
            self._picture = ui.html("", sanitize=False)
            if of.note:
                ui.html(of.note, sanitize=False, tag="p").classes("muted small")
            with ui.element("details").classes("more") as self._fold:
                ui.html(words("curves.table"), sanitize=False, tag="summary")
                self._hours = ui.html("", sanitize=False)

    def show(self, of: History) -> None:
        """Draw it as it is now."""
        nothing = tag("p", self._words("site.no_history"), class_="muted")
        self._picture.set_content(of.picture or nothing)
        self._fold.set_visibility(of.picture is not None)
        self._hours.set_content(hours_table(self._words, of))
