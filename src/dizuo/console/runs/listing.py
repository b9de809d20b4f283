"""`/runs`: what has run, what runs, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console.elements.lists import MAX_TYPED, Chosen, Place, Typed, narrowing, pager
from dizuo.console.elements.markup import EMPTY, Column, join, link, table, tag
from dizuo.console.elements.telling import when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.runs.facts import kind_words, run_title, state_badge, took
from dizuo.core.clock import now_ms
from dizuo.runs import service
from dizuo.runs.model import Run, RunFilter, RunState


@dataclass(frozen=True, slots=True)
class _Seen:
    runs: Sequence[Run]
    num_runs: int
    kinds: Sequence[str]


@console_page("/runs", "nav.runs", "runs")
async def runs(
    view: View,
    q: Annotated[str, Query(max_length=MAX_TYPED)] = "",
    kind: Annotated[str, Query(max_length=64)] = "",
    state: str = "",
    page: int = 1,
) -> None:
    """The newest first, by pages; a search looks into what runs were asked and what they made."""
    known = {one.value: one for one in RunState}
    wanted = RunFilter(view.project_id, kind, known.get(state), q.strip())
    query = {"q": wanted.text, "kind": kind, "state": state if state in known else ""}
    place = Place("/runs", page, query)
    new = link(view.words("runs.new"), "/runs/new", class_="button primary")
    title = tag("h1", view.words("nav.runs"))
    head = tag("div", title, new if view.may(Role.BUILDER) else EMPTY, class_="head")
    filters = ui.html("", sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")

    def look(session: Session) -> _Seen:
        return _Seen(
            service.page(session, wanted, limit=place.size, offset=place.offset),
            service.num_filtered(session, wanted),
            service.kinds(session, project_id=view.project_id),
        )

    def show(seen: _Seen) -> None:
        shown.set_content(_listed(view.words, place, seen))

    seen = await view.read(look)
    filters.set_content(join([head, _filters(view.words, place, seen.kinds)]))
    filters.classes("rows")
    show(seen)
    view.follow(place.key, look, show)


def _filters(words: Words, place: Place, kinds: Sequence[str]) -> Markup:
    every = ("", words("runs.any"))
    known = [(one, kind_words(words, one)) for one in kinds]
    states = [(one.value, words(f"run.state_{one.value}")) for one in RunState]
    return narrowing(
        words,
        place,
        Typed("q", words("runs.search")),
        Chosen("kind", words("column.kind"), [every, *known]),
        Chosen("state", words("column.state"), [every, *states]),
    )


def _listed(words: Words, place: Place, seen: _Seen) -> Markup:
    pages = pager(words, place, seen.num_runs, words("nav.runs"))
    if not seen.runs:
        sentence = words("runs.none" if place.is_whole else "runs.none_such")
        told = tag("section", tag("p", sentence, class_="muted"), class_="panel")
        return join([told, pages])
    names = ("run", "state", "actor", "submitted", "took", "attempts")
    columns = [
        Column(words(f"column.{name}"), is_number=name in ("took", "attempts")) for name in names
    ]
    now = now_ms()
    rows = [
        (
            link(run_title(words, run), f"/runs/{run.id}"),
            state_badge(words, run),
            run.actor,
            when(words, run.created_ms, now),
            took(words, run),
            run.fence,
        )
        for run in seen.runs
    ]
    whole = tag("section", table(columns, rows, words("nav.runs")), class_="panel")
    return join([whole, pages])
