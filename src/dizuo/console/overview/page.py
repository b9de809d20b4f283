"""`/`: what is going on, in figures that are true now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console.elements.charts import sparkline
from dizuo.console.elements.markup import (
    EMPTY,
    Column,
    badge,
    figure,
    join,
    link,
    panel,
    table,
    tag,
)
from dizuo.console.elements.places import stack_ref_link
from dizuo.console.elements.telling import number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.overview import history
from dizuo.console.overview.figures import Disk, Figures, disk_of, figures_of
from dizuo.console.overview.health import Health, Signing, health_panel, signing_of
from dizuo.core.clock import now_ms
from dizuo.sites import service as sites
from dizuo.sites.rollout_model import EntryState

_DAY_MS = 24 * 60 * history.MINUTE_MS
_NUM_POINTS = 48
_HISTORIES = (
    *("sites_online", "samples_waiting", "runs_active", "stacks", "approvals", "answers"),
    "disk_free",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the page shows: figures, what they were in the last day, and how the hub is."""

    figures: Figures
    histories: Mapping[str, Sequence[float | None]]
    disk: Disk
    signing: Signing


@console_page("/", "nav.overview", "overview")
async def overview(view: View) -> None:
    """The first page. An empty hub says what to do first."""
    ui.html(tag("h1", view.words("nav.overview")), sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")

    def look(session: Session) -> Seen:
        now = now_ms()
        online_since = sites.online_since_ms(view.parts.poll_seconds, now)
        return Seen(
            figures_of(session, view.project_id, online_since),
            {name: _history(session, view.project_id, name, now) for name in _HISTORIES},
            disk_of(view.parts.home),
            signing_of(view.parts.repository),
        )

    def show(seen: Seen) -> None:
        shown.set_content(_page(view, seen))

    show(await view.read(look))
    view.follow("overview", look, show)


def _history(session: Session, project_id: str, name: str, now: int) -> Sequence[float | None]:
    return history.series(
        session, project_id, name, since_ms=now - _DAY_MS, now_ms=now, num_points=_NUM_POINTS
    )


def _page(view: View, seen: Seen) -> Markup:
    words, figures = view.words, seen.figures
    is_empty = not figures.num_stacks and not figures.sites.num_sites
    return join(
        [
            _first_steps(view) if is_empty else EMPTY,
            tag("div", *_figures(words, seen), class_="figures"),
            tag("div", _running(words, figures), _health(words, seen), class_="grid"),
            tag("div", _rollouts(words, figures), _verdicts(words, figures), class_="grid"),
        ]
    )


def _first_steps(view: View) -> Markup:
    """What to do at an empty hub, each step with its command."""
    words = view.words
    steps = [
        ("keys", "dizuo keys init"),
        ("model", "dizuo model import hf://Qwen/Qwen3-0.6B --name qwen3"),
        ("data", "dizuo data add tickets tickets.jsonl --family text"),
        ("tune", "dizuo tune government.yaml"),
        ("site", "dizuo site token --name first-site"),
    ]
    items = [
        tag("li", tag("p", words(f"overview.first_{name}")), tag("pre", tag("code", command)))
        for name, command in steps
        if name != "site" or view.may(Role.ADMIN)
    ]
    title = tag("h2", words("overview.first"))
    return tag("section", title, tag("ol", *items), class_="panel first-steps")


def _figures(words: Words, seen: Seen) -> list[Markup]:
    figures = seen.figures
    counts = figures.sites
    online = words("word.part_of", part=number(counts.num_online), whole=number(counts.num_sites))
    shown = [
        ("sites_online", online, "/sites"),
        ("samples_waiting", number(figures.num_waiting_samples), "/review"),
        ("runs_active", number(figures.num_active_runs), "/runs"),
        ("stacks", number(figures.num_stacks), "/stacks"),
        ("approvals", number(figures.num_awaiting_approval), "/approvals"),
        ("answers", number(counts.num_answers), "/sites"),
    ]
    return [
        figure(link(words(f"overview.{name}"), href), value, _line(words, name, seen))
        for name, value, href in shown
    ]


def _line(words: Words, name: str, seen: Seen) -> Markup:
    """What a figure was in the last day."""
    title = words("overview.last_day", figure=words(f"overview.{name}"))
    return sparkline(seen.histories[name], title)


def _running(words: Words, figures: Figures) -> Markup:
    """What most sites online run."""
    if not figures.running:
        return _nothing(words, "running")
    rows = [
        (stack_ref_link(ref) if (ref := figures.refs.get(digest)) else "–", number(num_sites))
        for digest, num_sites in figures.running
    ]
    columns = [
        Column(words("column.stack")),
        Column(words("overview.sites_online"), is_number=True),
    ]
    title = words("overview.running")
    return panel(title, table(columns, rows, title))


def _health(words: Words, seen: Seen) -> Markup:
    line = _line(words, "disk_free", seen)
    return health_panel(words, Health(seen.figures.sites, seen.signing, seen.disk, line), now_ms())


def _rollouts(words: Words, figures: Figures) -> Markup:
    if not figures.rollouts:
        return _nothing(words, "rollouts")
    rows = [
        (
            link(f"{one.direction.name}:{one.direction.version}", f"/releases/rollouts/{one.id}"),
            words(
                "word.part_of",
                part=number(states.get(EntryState.DONE, 0)),
                whole=number(sum(states.values())),
            ),
            when(words, one.created_ms, now_ms()),
        )
        for one, states in figures.rollouts
    ]
    columns = [
        Column(words("column.stack")),
        Column(words("column.sites_done"), is_number=True),
        Column(words("column.started")),
    ]
    title = words("overview.rollouts")
    return panel(title, table(columns, rows, title))


def _verdicts(words: Words, figures: Figures) -> Markup:
    if not figures.verdicts:
        return _nothing(words, "verdicts")
    rows = [
        (
            stack_ref_link(ref) if (ref := figures.refs.get(one.stack_digest)) else "–",
            _verdict(words, one.passed),
            when(words, one.created_ms, now_ms()),
        )
        for one in figures.verdicts
    ]
    columns = [Column(words(f"column.{name}")) for name in ("stack", "gates", "measured")]
    title = words("overview.verdicts")
    return panel(title, table(columns, rows, title))


def _nothing(words: Words, name: str) -> Markup:
    return panel(words(f"overview.{name}"), tag("p", words(f"overview.no_{name}"), class_="muted"))


def _verdict(words: Words, passed: bool) -> Markup:
    return badge(words("gate.passed"), "good") if passed else badge(words("gate.failed"), "bad")
