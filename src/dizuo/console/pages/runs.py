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
from dizuo.console.frame import View, console_page
from dizuo.console.markup import EMPTY, Column, address, join, link, table, tag
from dizuo.console.messages import Words
from dizuo.console.run_parts import kind_words, run_title, state_badge, took
from dizuo.console.telling import number, when
from dizuo.core.clock import now_ms
from dizuo.runs import service
from dizuo.runs.model import Run, RunFilter, RunState

PAGE_SIZE = 50
_MAX_PAGE = 1_000_000


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the address asks for."""

    wanted: RunFilter
    page: int

    def at(self, page: int) -> str:
        """The address of another page of the same."""
        state = self.wanted.state.value if self.wanted.state else ""
        return address(
            "/runs", q=self.wanted.text, kind=self.wanted.kind, state=state, page=page - 1 and page
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    runs: Sequence[Run]
    num_runs: int
    kinds: Sequence[str]


@console_page("/runs", "runs.title", "runs")
async def runs(
    view: View,
    q: Annotated[str, Query(max_length=200)] = "",
    kind: Annotated[str, Query(max_length=64)] = "",
    state: str = "",
    page: Annotated[int, Query(ge=1, le=_MAX_PAGE)] = 1,
) -> None:
    """The newest first, by pages; a search looks into what runs were asked and what they made."""
    known = {one.value: one for one in RunState}
    asked = _Asked(RunFilter(view.project_id, kind, known.get(state), q.strip()), page)
    new = link(view.words("runs.new"), "/runs/new", class_="button primary")
    title = tag("h1", view.words("runs.title"))
    head = tag("div", title, new if view.may(Role.BUILDER) else EMPTY, class_="head")
    filters = ui.html("", sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")

    def look(session: Session) -> _Seen:
        return _Seen(
            service.page(
                session, asked.wanted, limit=PAGE_SIZE, offset=(asked.page - 1) * PAGE_SIZE
            ),
            service.num_filtered(session, asked.wanted),
            service.kinds(session, project_id=view.project_id),
        )

    def show(seen: _Seen) -> None:
        shown.set_content(_listed(view.words, asked, seen))

    seen = await view.read(look)
    filters.set_content(join([head, _filters(view.words, asked, seen.kinds)]))
    filters.classes("rows")
    show(seen)
    view.follow(f"runs {asked}", look, show)


def _filters(words: Words, asked: _Asked, kinds: Sequence[str]) -> Markup:
    wanted = asked.wanted
    search = tag(
        "div",
        tag("label", words("runs.search"), for_="q"),
        tag("input", id="q", name="q", type="search", value=wanted.text, maxlength="200"),
    )
    kind = _choice(words, "kind", wanted.kind, {one: kind_words(words, one) for one in kinds})
    states = {one.value: words(f"run.state_{one.value}") for one in RunState}
    state = _choice(words, "state", wanted.state.value if wanted.state else "", states)
    show = tag("button", words("runs.show"), type="submit", class_="button")
    all_of_them = link(words("runs.all"), "/runs") if asked.at(1) != "/runs" else EMPTY
    fields = (search, kind, state, show, all_of_them)
    return tag("form", *fields, method="get", role="search", class_="filters")


def _choice(words: Words, name: str, chosen: str, options: dict[str, str]) -> Markup:
    if chosen and chosen not in options:
        options = {**options, chosen: chosen}
    drawn = [
        tag("option", text, value=value, selected=value == chosen)
        for value, text in {"": words("runs.any"), **options}.items()
    ]
    label = tag("label", words(f"column.{name}"), for_=name)
    return tag("div", label, tag("select", *drawn, id=name, name=name))


def _listed(words: Words, asked: _Asked, seen: _Seen) -> Markup:
    if not seen.runs:
        is_filtered = asked.at(1) != "/runs"
        sentence = words("runs.none_such" if is_filtered else "runs.none")
        told = tag("section", tag("p", sentence, class_="muted"), class_="panel")
        return join([told, _back_to_last(words, asked, seen.num_runs)])
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
    whole = tag("section", table(columns, rows, words("runs.title")), class_="panel")
    return join([whole, _pager(words, asked, seen.num_runs)])


def _back_to_last(words: Words, asked: _Asked, num_runs: int) -> Markup | None:
    """From a page behind the last one to that one."""
    last = max(1, -(-num_runs // PAGE_SIZE))
    return link(words("pager.newer"), asked.at(last)) if asked.page > last else None


def _pager(words: Words, asked: _Asked, num_runs: int) -> Markup:
    first = (asked.page - 1) * PAGE_SIZE + 1
    last = min(num_runs, asked.page * PAGE_SIZE)
    told = words("pager.told", first=number(first), last=number(last), whole=number(num_runs))
    newer = link(words("pager.newer"), asked.at(asked.page - 1)) if asked.page > 1 else None
    older = link(words("pager.older"), asked.at(asked.page + 1)) if last < num_runs else None
    return tag("nav", join([newer, tag("span", told), older], " "), class_="pager", aria_label=told)
