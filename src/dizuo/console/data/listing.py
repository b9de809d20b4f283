"""`/data` and `/data/{name}`: datasets, and the versions of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console.data.import_wish import IMPORT
from dizuo.console.data.marks import HELD_OUT, crumbs, how_made
from dizuo.console.elements.lists import MAX_TYPED, Place, pager, search
from dizuo.console.elements.markup import (
    EMPTY,
    Column,
    address,
    facts,
    join,
    link,
    panel,
    table,
    tag,
)
from dizuo.console.elements.telling import number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.core.clock import now_ms
from dizuo.core.digests import short
from dizuo.datasets import service
from dizuo.datasets.model import TEST_SUFFIX, DatasetSummary, DatasetVersion


@dataclass(frozen=True, slots=True)
class Found:
    """Some datasets: those of one page, how many there are, and which of them have a held-out
    part."""

    datasets: Sequence[DatasetSummary]
    total: int
    held_out: frozenset[str]


@console_page("/data", "nav.data", "data")
async def datasets(view: View, q: str = "", page: int = 1) -> None:
    """All datasets, by name."""
    words, text = view.words, q.strip()[:MAX_TYPED]
    place = Place("/data", page, {"q": text})
    ui.html(_head(view, words("nav.data")), sanitize=False)
    ui.html(search(words, place, words("data.search")), sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")

    def look(session: Session) -> Found:
        found, total = service.search(
            session, text, offset=place.offset, limit=place.size, project_id=view.project_id
        )
        names = [one.name for one in found]
        held = frozenset(service.with_held_out(session, names, view.project_id))
        return Found(found, total, held)

    def show(found: Found) -> None:
        shown.set_content(_list(view, found, place))

    show(await view.read(look))
    view.follow(place.key, look, show)


def _head(view: View, title: str) -> Markup:
    act = (
        link(view.words("data.import"), IMPORT, class_="button primary")
        if view.may(Role.BUILDER)
        else EMPTY
    )
    return tag("div", tag("h1", title), act, class_="head")


def _list(view: View, found: Found, place: Place) -> Markup:
    words = view.words
    if not found.datasets:
        return _nothing(view, place.asked("q"))
    columns = [
        Column(words("column.dataset")),
        Column(words("column.family")),
        Column(words("column.newest")),
        Column(words("column.rows"), is_number=True),
        Column(words("column.held_out")),
        Column(words("column.versions"), is_number=True),
        Column(words("column.changed")),
    ]
    rows = [_row(words, one, one.name in found.held_out) for one in found.datasets]
    listed = table(columns, rows, words("nav.data"))

    pages = pager(words, place, found.total, words("nav.data"))
    return join([tag("div", listed, class_="panel"), pages])


def _row(words: Words, one: DatasetSummary, has_test: bool) -> tuple[object, ...]:
    latest = one.latest
    return (
        link(one.name, f"/data/{one.name}"),
        one.family,
        link(latest.pin.ref, f"/data/{one.name}/{latest.version}"),
        number(latest.num_rows),
        _held_out(one, has_test),
        number(one.num_versions),
        when(words, latest.created_ms, now_ms()),
    )


def _held_out(one: DatasetSummary, has_test: bool) -> object:
    share = f"{one.holdout:.0%}" if one.holdout else "–"
    return link(share, f"/data/{one.name}{TEST_SUFFIX}") if has_test else share


def _nothing(view: View, text: str) -> Markup:
    words = view.words
    if text:
        return tag("p", words("data.none_found", text=text), class_="muted")
    command = tag("pre", tag("code", "dizuo data add tickets tickets.jsonl --family text"))
    way = tag("p", words("data.first")) if view.may(Role.BUILDER) else EMPTY
    return tag("section", tag("h2", words("data.none")), way, command, class_="panel")


@console_page("/data/{name}", "nav.data", "data")
async def dataset(view: View, name: str, page: int = 1) -> None:
    """One dataset: what it is, and its versions, newest first."""
    words, place = view.words, Place(f"/data/{name}", page)

    def look(session: Session) -> tuple[DatasetSummary, Sequence[DatasetVersion], bool]:
        summary = service.show(session, name, view.project_id)
        versions = service.history(
            session, name, offset=place.offset, limit=place.size, project_id=view.project_id
        )
        return summary, versions, bool(service.with_held_out(session, [name], view.project_id))

    summary, versions, has_test = await view.read(look)
    ui.page_title(f"{name} · dizuo")
    act = (
        link(words("data.add_rows"), address(IMPORT, name=name), class_="button")
        if view.may(Role.BUILDER)
        else EMPTY
    )
    content = [
        crumbs(words),
        tag("div", tag("h1", name), act, class_="head"),
        panel(words("data.about"), _about(words, summary, has_test)),
        panel(words("data.versions"), _versions(words, versions)),
        pager(words, place, summary.num_versions, name),
    ]
    ui.html(join(content), sanitize=False).classes("rows")


def _about(words: Words, summary: DatasetSummary, has_test: bool) -> Markup:
    pairs: list[tuple[object, object]] = [
        (words("column.family"), summary.family),
        (words("column.rows"), number(summary.latest.num_rows)),
        (words("column.versions"), number(summary.num_versions)),
        (words("column.held_out"), _held_out(summary, has_test)),
    ]
    owner = summary.name.removesuffix(TEST_SUFFIX)
    if summary.latest.origin.startswith(HELD_OUT):
        pairs.append((words("data.belongs_to"), link(owner, f"/data/{owner}")))
    return facts(pairs)


def _versions(words: Words, versions: Sequence[DatasetVersion]) -> Markup:
    if not versions:
        return tag("p", words("data.no_versions"), class_="muted")
    columns = [
        Column(words("column.version")),
        *(
            Column(words(f"column.{name}"), is_number=True)
            for name in ("rows", "added", "removed", "rejected", "duplicates")
        ),
        Column(words("column.how")),
        Column(words("column.digest")),
        Column(words("column.made")),
    ]
    return table(columns, [_version(words, one) for one in versions], words("data.versions"))


def _version(words: Words, one: DatasetVersion) -> tuple[object, ...]:
    place = f"/data/{one.name}/{one.version}"
    rejected = number(one.num_rejected)
    return (
        link(one.pin.ref, place),
        number(one.num_rows),
        number(one.num_added),
        number(one.num_removed),
        link(rejected, f"{place}/rejects") if one.num_rejected else rejected,
        number(one.num_duplicates),
        how_made(words, one),
        tag("code", short(one.digest), title=one.digest),
        when(words, one.created_ms, now_ms()),
    )
