"""`/runs/compare`: two runs on one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import Query
from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.console.elements.markup import Column, link, panel, table, tag
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.runs.curves import CurveBoard, figure, loss_first, metric_words
from dizuo.console.runs.facts import run_title, short_id, state_badge, took
from dizuo.console.runs.watching import Seen, watching
from dizuo.runs import service
from dizuo.runs.curves import Point
from dizuo.runs.model import Run, RunFilter

_NUM_OFFERED = 200
RunId = Annotated[str, Query(max_length=64)]


@console_page("/runs/compare", "compare.title", "runs")
async def compare(view: View, a: RunId = "", b: RunId = "") -> None:
    """The same figures of two runs, over their steps, and at the end."""
    words = view.words
    offered = await view.read(
        lambda session: service.page(session, RunFilter(view.project_id), limit=_NUM_OFFERED)
    )
    title = tag("h1", words("compare.title"))
    ui.html(title, sanitize=False)
    ui.html(_choice(words, offered, a, b), sanitize=False)
    if not (a and b) or a == b:
        ui.html(tag("p", words("compare.choose"), class_="muted"), sanitize=False)
        return
    first, second = watching(view, a, log_bytes=0), watching(view, b, log_bytes=0)

    def look(session: Session) -> tuple[Seen, Seen]:
        return first(session), second(session)

    seen = await view.read(look)
    ends = ui.html("", sanitize=False)
    with ui.element("section").classes("panel"):
        ui.html(words("curves.title"), sanitize=False, tag="h2")
        board = CurveBoard(words, ui.element("div").classes("curves"))
        nothing = ui.html(tag("p", words("compare.no_curves"), class_="muted"), sanitize=False)

    def show(found: tuple[Seen, Seen]) -> None:
        labelled = {_label(words, one.run): one for one in found}
        ends.set_content(_ends(words, labelled))
        board.show({label: one.story for label, one in labelled.items()})
        nothing.set_visibility(board.is_empty)

    show(seen)
    if not all(one.run.is_final for one in seen):
        view.follow(f"runs {a} {b}", look, show, seconds=1.0)


def _label(words: Words, run: Run) -> str:
    return f"{run_title(words, run)} · {short_id(run)}"


def _choice(words: Words, offered: Sequence[Run], a: str, b: str) -> Markup:
    fields = []
    for name, chosen in (("a", a), ("b", b)):
        known = {run.id: _label(words, run) for run in offered}
        options = known if not chosen or chosen in known else {chosen: chosen, **known}
        drawn = [
            tag("option", text, value=value, selected=value == chosen)
            for value, text in options.items()
        ]
        label = tag("label", words(f"compare.{name}"), for_=name)
        fields.append(tag("div", label, tag("select", *drawn, id=name, name=name)))
    show = tag("button", words("compare.show"), type="submit", class_="button")
    return tag("form", *fields, show, method="get", class_="filters")


def _ends(words: Words, found: Mapping[str, Seen]) -> Markup:
    """What the two came to: states, times, and the last value of every figure."""
    seen = list(found.values())
    last = [{curve.name: curve.last for curve in one.story.curves} for one in seen]
    names = sorted(dict.fromkeys(name for one in last for name in one), key=loss_first)
    links = (link(label, f"/runs/{one.run.id}") for label, one in found.items())
    rows: list[tuple[object, ...]] = [
        (words("column.run"), *links),
        (words("column.state"), *(state_badge(words, one.run) for one in seen)),
        (words("column.took"), *(took(words, one.run) for one in seen)),
        (words("curves.step"), *(_step(one) for one in last)),
        *((metric_words(words, name), *(_value(one, name) for one in last)) for name in names),
        *_outcomes(words, seen),
    ]
    columns = [Column(words(f"compare.{name}")) for name in ("figure", "a", "b")]
    title = words("compare.end")
    return panel(title, table(columns, rows, title))


def _value(last: Mapping[str, Point], name: str) -> str:
    return figure(last[name][1]) if name in last else "–"


def _step(last: Mapping[str, Point]) -> str:
    return f"{max((point[0] for point in last.values()), default=0):g}"


def _outcomes(words: Words, seen: Sequence[Seen]) -> list[tuple[object, ...]]:
    """The figures that runs ended with, beside those that they told on their way."""
    made = [_metrics(one.run) for one in seen]
    names = dict.fromkeys(name for one in made for name in one)
    return [
        (
            words("compare.at_end", figure=metric_words(words, name)),
            *(figure(one[name], name) if name in one else "–" for one in made),
        )
        for name in names
    ]


def _metrics(run: Run) -> Mapping[str, float]:
    found = run.outcome.get("metrics") if run.outcome else None
    if not isinstance(found, Mapping):
        return {}
    return {key: float(value) for key, value in found.items() if isinstance(value, int | float)}
