"""`/stacks/NAME/VERSION`: what a version is, how it did at the gates, and where it comes from."""

from __future__ import annotations

from functools import partial

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.artifacts.reference import Reference
from dizuo.console.approvals import improvement_links
from dizuo.console.elements.lists import Place, pager
from dizuo.console.elements.markup import (
    EMPTY,
    Column,
    address,
    badge,
    facts,
    join,
    link,
    table,
    tag,
)
from dizuo.console.elements.places import stack_address, stack_link
from dizuo.console.elements.telling import num_bytes, number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.sentences import error_sentence
from dizuo.console.sites.standing import site_state
from dizuo.console.stacks.diff import diff_panel
from dizuo.console.stacks.examples import furthest_panel, worst_panel
from dizuo.console.stacks.gate_panel import report_panel
from dizuo.console.stacks.layers import layers_table, recipe_text
from dizuo.console.stacks.reading import PARENT, PREDECESSOR, Wanted, Whole, read_whole
from dizuo.console.stacks.states import (
    States,
    gates_badge,
    level_word,
    num_sites,
    release_badge,
    states_of,
)
from dizuo.console.stacks.trace import trace_chain
from dizuo.core.clock import now_ms
from dizuo.core.numbers import VersionNumber
from dizuo.releases import service as releases
from dizuo.releases.model import Release, ReleaseState

_SITES_PER_PAGE = 20
_SECONDS = 5.0
_SECTIONS = ("layers", "gates", "diff", "trace", "sites", "recipe")


@console_page("/stacks/{name}/{version}", "nav.stacks", "stacks")
async def stack(
    view: View, name: str, version: VersionNumber, against: str = "", sites: int = 1
) -> None:
    """One version of a stack."""
    reference = Reference(view.project_id, name, version)
    here = stack_address(name, version)
    query = {"against": against}
    sites_place = Place(here, sites, query, _SITES_PER_PAGE, turning="sites", anchor="sites")
    wanted = Wanted(reference, against, sites_place)
    layout = view.parts.layout
    whole = await view.read(lambda session: read_whole(session, layout, wanted))
    words = view.words
    ui.page_title(f"{whole.stack.ref} · dizuo")
    head = join([_head(words, whole), improvement_links.of_stack(view, whole.stack)])
    ui.html(head, sanitize=False).classes("rows")
    state = ui.html("", sanitize=False)

    def show(seen: tuple[States, Release | None]) -> None:
        state.set_content(_state(words, whole, *seen))

    show((whole.states, whole.release))
    look = partial(_look, view.project_id, whole.stack.digest)
    view.follow(f"stack:{whole.stack.digest}", look, show, seconds=_SECONDS)
    ui.html(_content(view, whole, wanted), sanitize=False).classes("rows")


def _look(project_id: str, digest: str, session: Session) -> tuple[States, Release | None]:
    return (
        states_of(session, project_id, [digest]),
        releases.of_digest(session, digest, project_id=project_id),
    )


def _head(words: Words, whole: Whole) -> Markup:
    found = whole.stack
    trail = tag(
        "p",
        link(words("nav.stacks"), "/stacks"),
        " / ",
        link(found.name, f"/stacks/{found.name}"),
        f" / {found.version}",
        class_="trail muted",
    )
    beside = [
        link(words(f"stack.{key}", stack=card.ref), stack_address(card.name, card.version))
        for key, card in (("earlier", whole.earlier), ("later", whole.later))
        if card
    ]
    title = tag("h1", found.ref)
    around = tag("nav", *beside, aria_label=words("stack.beside"), class_="beside")
    return join([trail, tag("div", title, around if beside else EMPTY, class_="head")])


def _state(words: Words, whole: Whole, states: States, release: Release | None) -> Markup:
    """How it is now, in badges."""
    digest = whole.stack.digest
    is_signed = release is not None and release.state is ReleaseState.SIGNED
    released = release_badge(words, release.created_ms if release and is_signed else None)
    if release is not None and not is_signed:
        released = badge(words("stack.withdrawn"), "warn")
    count = states.sites_of(digest)
    gates = join([words("column.gates"), ": ", gates_badge(words, states, digest)])
    running = link(num_sites(words, count), "#sites")
    told = [level_word(words, whole.stack.level), whole.stack.family, released, gates, running]
    return tag("ul", *(tag("li", one) for one in told), class_="states")


def _content(view: View, whole: Whole, wanted: Wanted) -> Markup:
    words = view.words
    index = tag(
        "nav",
        *(link(words(f"stack.{key}"), f"#{key}") for key in _SECTIONS),
        aria_label=words("stack.sections"),
        class_="sections",
    )
    found = whole.stack
    return join(
        [
            index,
            _section(words, "what", _facts(words, whole)),
            _section(words, "layers", _layers(view, whole)),
            _section(words, "gates", _gates(words, whole)),
            _section(words, "diff", _diff(words, whole)),
            _section(words, "trace", _trace(view, whole)),
            _section(words, "sites", _sites(words, whole, wanted)),
            _section(words, "recipe", recipe_text(words, found.recipe)),
        ]
    )


def _section(words: Words, key: str, content: Markup) -> Markup:
    return tag("section", tag("h2", words(f"stack.{key}")), content, class_="panel", id=key)


def _facts(words: Words, whole: Whole) -> Markup:
    found, parent = whole.stack, whole.parent
    datasets = [
        tag("li", words(f"use.{one.use}"), " ", link(one.ref, f"/data/{one.name}/{one.version}"))
        for one in found.datasets
        if one.project == found.project_id
    ]
    children = join([stack_link(one.name, one.version) for one in whole.children], ", ")
    pairs: list[tuple[object, object]] = [
        (words("column.digest"), tag("code", found.digest)),
        (words("stack.targets"), ", ".join(found.targets)),
        (words("column.parent"), stack_link(parent.name, parent.version) if parent else "–"),
        (words("stack.children"), children or "–"),
        (words("stack.data"), tag("ul", *datasets, class_="plain-list") if datasets else "–"),
        (words("column.run"), link(found.run_id, f"/runs/{found.run_id}")),
        (words("column.made"), when(words, found.created_ms, now_ms())),
        (words("column.released"), _released(words, whole.release)),
        (words("column.adds"), num_bytes(found.bytes_added)),
        (words("column.whole"), num_bytes(found.bytes_total)),
    ]
    return facts(pairs)


def _released(words: Words, release: Release | None) -> object:
    if release is None:
        return words("stacks.unreleased")
    made = join(
        [words("stack.by", actor=release.actor), " ", when(words, release.created_ms, now_ms())]
    )
    if release.withdrawn_ms is None:
        return made
    taken = when(words, release.withdrawn_ms, now_ms())
    return join([made, "; ", words("stack.withdrawn"), " ", taken])


def _layers(view: View, whole: Whole) -> Markup:
    if "layers" in whole.faults:
        return _fault(view, whole, "layers")
    return layers_table(view.words, list(whole.layers), whole.stack.targets, whole.chain)


def _fault(view: View, whole: Whole, key: str) -> Markup:
    return tag("p", error_sentence(view.words, whole.faults[key]), class_="notice bad")


def _gates(words: Words, whole: Whole) -> Markup:
    if whole.report is None:
        command = tag("pre", tag("code", f"dizuo gate {whole.stack.ref}"))
        return join([tag("p", words("gates.none"), class_="muted"), command])
    report = whole.report
    here = stack_address(whole.stack.name, whole.stack.version)
    worst = worst_panel(words, here, whole.worst)
    return join([report_panel(words, report), worst, furthest_panel(words, report.report.rules)])


def _diff(words: Words, whole: Whole) -> Markup:
    if whole.comparison is None:
        return tag("p", words("diff.nothing"), class_="muted")
    here = stack_address(whole.stack.name, whole.stack.version)
    there = ((PREDECESSOR, whole.earlier), (PARENT, whole.parent))
    choices = [
        link(
            words(f"diff.{key}", stack=card.ref),
            f"{address(here, against=key)}#diff",
            aria_current="true" if key == whole.against else None,
        )
        for key, card in there
        if card
    ]
    chosen = tag("nav", *choices, class_="tabs", aria_label=words("compare.with"))
    return join([chosen, diff_panel(words, whole.comparison)])


def _trace(view: View, whole: Whole) -> Markup:
    if "trace" in whole.faults:
        return _fault(view, whole, "trace")
    known = {card.digest: stack_address(card.name, card.version) for card in whole.chain.values()}
    hint = tag("p", view.words("trace.hint"), class_="muted")
    return join([hint, trace_chain(view.words, whole.steps, known)])


def _sites(words: Words, whole: Whole, wanted: Wanted) -> Markup:
    count = whole.states.sites_of(whole.stack.digest)
    if not count:
        return tag("p", words("stack.no_sites"), class_="muted")
    rows = [
        (
            link(one.name, f"/sites/{one.name}"),
            site_state(words, one.state),
            ", ".join(one.served_as),
            number(one.generation),
            when(words, one.last_seen_ms, now_ms()),
        )
        for one in whole.sites
    ]
    names = ("site", "state", "served_as", "generation", "seen")
    columns = [Column(words(f"column.{name}"), name == "generation") for name in names]
    pages = pager(words, wanted.sites, count, words("stack.sites"))
    told = tag("p", num_sites(words, count), class_="muted")
    return join([told, table(columns, rows, words("stack.sites")), pages])
