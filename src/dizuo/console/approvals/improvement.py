"""`/approvals/{id}`: one improvement, step by step, with its evidence and what people said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.audit.model import AuditEntry
from dizuo.console.approvals.deciding import Deciding
from dizuo.console.approvals.evidence import Evidence, evidence_of
from dizuo.console.approvals.progressing import state_badge, steps, steps_seen
from dizuo.console.approvals.weighing import evidence, who
from dizuo.console.audit.entries import history
from dizuo.console.elements.markup import EMPTY, facts, join, link, panel, tag
from dizuo.console.elements.telling import number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.sentences import spoken
from dizuo.core.clock import now_ms
from dizuo.improvements import finding, service
from dizuo.improvements.model import IMPROVEMENT_MACHINE, Improvement


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page shows."""

    evidence: Evidence
    entries: Sequence[AuditEntry]


@console_page("/approvals/{improvement_id}", "improvement.title", "approvals")
async def improvement(view: View, improvement_id: str) -> None:
    """Its steps, and beside the evidence the buttons where it waits for a person."""

    def look(session: Session) -> Seen:
        found = service.get(session, improvement_id, project_id=view.project_id)
        return Seen(evidence_of(session, found), finding.steps(session, found))

    seen = await view.read(look)
    page = _Page(view)
    page.show(seen)
    view.follow(f"improvement {improvement_id}", look, page.show)


class _Page:
    """The drawn page. Buttons are drawn anew only when the improvement has moved."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._deciding = Deciding(view)
        self._head = ui.html("", sanitize=False).classes("rows")
        self._buttons = ui.element("div").classes("buttons")
        self._body = ui.html("", sanitize=False).classes("rows")
        self._drawn: Improvement | None = None

    def show(self, seen: Seen) -> None:
        """Draw what was seen."""
        words, found = self._view.words, seen.evidence.improvement
        self._head.set_content(_head(words, found))
        self._body.set_content(_body(words, seen))
        if self._drawn is None or self._drawn.state is not found.state:
            self._drawn = found
            self._buttons.clear()
            waits = "reject" in IMPROVEMENT_MACHINE.allowed(found.state)
            self._buttons.set_visibility(waits)
            if waits:
                with self._buttons:
                    self._deciding.buttons(found)


def _head(words: Words, found: Improvement) -> Markup:
    back = tag("p", link(words("nav.approvals"), "/approvals"), class_="trail")
    name = found.stack or found.request.served_as
    title = tag("h1", words("improvement.of", name=name))
    line = tag("div", title, state_badge(words, found.state), class_="head")
    reason = tag("p", spoken(words, found.reason)) if found.reason else EMPTY
    return join([tag("div", back, line, reason, class_="titled")])


def _body(words: Words, seen: Seen) -> Markup:
    found = seen.evidence.improvement
    seen_steps = steps_seen(found, seen.entries)
    parts = [
        tag(
            "div",
            panel(words("improvement.steps"), steps(words, found, seen_steps, now_ms())),
            panel(words("improvement.asked"), facts(_facts(words, found))),
            class_="grid",
        )
    ]
    if seen.evidence.stack is not None:
        parts.append(panel(words("improvement.evidence"), evidence(words, seen.evidence)))
    parts.append(panel(words("improvement.history"), history(words, seen.entries)))
    if found.recipe_used or found.request.recipe:
        parts.append(_recipe(words, found))
    return join(parts)


def _facts(words: Words, found: Improvement) -> Iterator[tuple[object, object]]:
    request = found.request
    yield words("improvement.by"), who(found.actor)
    yield words("improvement.started"), when(words, found.created_ms, now_ms())
    yield words("column.served_as"), request.served_as
    yield words("column.dataset"), request.dataset
    yield words("improvement.min_samples"), number(request.min_samples)
    yield words("improvement.holdout"), f"{request.holdout:.0%}"
    if request.from_site:
        yield words("improvement.from_site"), request.from_site
    yield words("improvement.num_sites"), number(len(request.sites))
    yield (
        words("improvement.approval"),
        words("improvement.needs_approval")
        if found.needs_approval
        else words("improvement.needs_none"),
    )
    if found.approver:
        yield words("improvement.approver"), who(found.approver)


def _recipe(words: Words, found: Improvement) -> Markup:
    text = tag("pre", tag("code", found.recipe_used or found.request.recipe), tabindex="0")
    return tag("details", tag("summary", words("run.recipe")), text, class_="panel")
