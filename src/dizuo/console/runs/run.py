"""`/runs/{id}`: one run, live."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.elements.buttons import Act, Question, button, is_sure
from dizuo.console.elements.markup import EMPTY, join, link, panel, tag
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.runs.curves import CurveBoard
from dizuo.console.runs.facts import (
    outcome,
    run_facts,
    run_title,
    short_id,
    stage_bars,
    state_badge,
)
from dizuo.console.runs.recipe_markup import listing
from dizuo.console.runs.starting import start_run
from dizuo.console.runs.watching import Seen, watching
from dizuo.core.digests import sha256_json
from dizuo.runs import service
from dizuo.runs.about import recipe_of
from dizuo.runs.model import Run, RunFilter

_NUM_OTHERS = 100


@console_page("/runs/{run_id}", "runs.one", "runs")
async def run(view: View, run_id: str) -> None:
    """What it does, how far it is, what came of it."""
    look = watching(view, run_id)
    seen = await view.read(look)
    page = _RunPage(view, seen.run, await _others(view, seen.run))
    page.show(seen)
    if not seen.run.is_final:
        view.follow(f"run {run_id}", look, page.show, seconds=1.0)


async def _others(view: View, run: Run) -> Sequence[Run]:
    """The newest runs of the same kind, to compare it with."""
    wanted = RunFilter(view.project_id, run.kind)
    found = await view.read(lambda session: service.page(session, wanted, limit=_NUM_OTHERS))
    return [one for one in found if one.id != run.id]


class _RunPage:
    """The page's parts, in their order; those that change are filled by `show`."""

    def __init__(self, view: View, run: Run, others: Sequence[Run]) -> None:
        self._view, words = view, view.words
        self._drawn: dict[ui.html, Markup] = {}
        with ui.element("div").classes("head"):
            self._head = ui.html("", sanitize=False)
            self._actions = ui.element("div").classes("buttons")
        self._result = ui.html("", sanitize=False).classes("rows")
        self._told = ui.html("", sanitize=False).classes("grid")
        with ui.element("section").classes("panel") as self._curves:
            ui.html(words("curves.title"), sanitize=False, tag="h2")
            self._board = CurveBoard(words, ui.element("div").classes("curves"))
            if others:
                ui.html(_compare(words, run, others), sanitize=False)
        self._log = ui.html("", sanitize=False)
        if text := recipe_of(run):
            recipe = panel(words("run.recipe"), listing(text, words("run.recipe")))
            ui.html(recipe, sanitize=False)
        self._offered: tuple[bool, ...] | None = None

    def show(self, seen: Seen) -> None:
        """Draw what has changed."""
        words, run = self._view.words, seen.run
        self._board.show({run_title(words, run): seen.story})
        self._curves.set_visibility(not self._board.is_empty)
        title = tag("h1", run_title(words, run), " ", state_badge(words, run))
        self._draw(self._head, title)
        self._draw(self._result, outcome(words, run))
        bars = panel(words("run.progress"), stage_bars(words, seen.story.stages))
        self._draw(self._told, join([run_facts(words, run), bars]))
        self._draw(self._log, _log(words, seen.log))
        self._offer(run)

    def _draw(self, place: ui.html, content: Markup) -> None:
        if self._drawn.get(place) != content:
            self._drawn[place] = content
            place.set_content(content)

    def _offer(self, run: Run) -> None:
        """The actions that fit a run's state, for those who may."""
        view, words = self._view, self._view.words
        is_stopping = run.cancel_ms is not None
        made = run.outcome.get("stack") if run.outcome else None
        can_measure = run.kind in ("tune", "import") and isinstance(made, str)
        offered = (not run.is_final and not is_stopping, can_measure)
        if offered == self._offered:
            return
        self._offered = offered
        self._actions.clear()
        if not view.may(Role.BUILDER):
            return
        with self._actions:
            if offered[0]:
                button(words("run.cancel"), view.doing(self._cancel(run)), "danger")
            if can_measure:
                button(words("run.measure"), view.doing(self._measure(str(made))))
            if recipe_of(run):
                again = link(words("run.again"), f"/runs/new?run={run.id}", class_="button")
                ui.html(again, sanitize=False)

    def _cancel(self, run: Run) -> Act:
        view, words = self._view, self._view.words
        question = Question(
            words("run.cancel_title", run=run_title(words, run)),
            words("run.cancel_means"),
            words("run.cancel_yes"),
            words("run.cancel_no"),
            is_dangerous=True,
        )

        def cancel(session: Session, principal: Principal) -> Run:
            return service.cancel(session, run.id, principal.actor, project_id=principal.project_id)

        async def act() -> None:
            if not await is_sure(view, question):
                return
            await view.act(Role.BUILDER, cancel)
            view.parts.supervisor.wake()
            view.done(words("run.cancel_asked"))

        return act

    def _measure(self, stack: str) -> Act:
        view = self._view

        async def act() -> None:
            key = sha256_json({"page": view.client.id, "stack": stack})
            measuring = await start_run(view, "gate", {"stack": stack}, key)
            ui.navigate.to(f"/runs/{measuring.id}")

        return act


def _compare(words: Words, run: Run, others: Sequence[Run]) -> Markup:
    options = [
        tag("option", f"{run_title(words, one)} · {short_id(one)}", value=one.id) for one in others
    ]
    return tag(
        "form",
        tag("input", type="hidden", name="a", value=run.id),
        tag(
            "div",
            tag("label", words("compare.with"), for_="b"),
            tag("select", *options, id="b", name="b"),
        ),
        tag("button", words("compare.show"), type="submit", class_="button"),
        method="get",
        action="/runs/compare",
        class_="filters",
    )


def _log(words: Words, log: str) -> Markup:
    if not log:
        return EMPTY
    shown = tag(
        "pre",
        log,
        class_="log",
        tabindex="0",
        role="region",
        aria_label=words("run.log"),
    )
    return panel(words("run.log"), shown)
