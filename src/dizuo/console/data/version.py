"""`/data/{name}/{version}`: its rows, what was not taken, and what is different elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from dizuo.console.data.marks import crumbs, how_made
from dizuo.console.data.pictures import address_of
from dizuo.console.elements.lists import MAX_TYPED, Place, pager, search
from dizuo.console.elements.markup import (
    EMPTY,
    Column,
    facts,
    figure,
    join,
    link,
    panel,
    table,
    tag,
)
from dizuo.console.elements.pictures import picture_type
from dizuo.console.elements.telling import number, when
from dizuo.console.elements.values import shown
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.sentences import error_sentence, spoken
from dizuo.console.work import Standing, Work
from dizuo.core.clock import now_ms
from dizuo.core.numbers import VersionNumber, WholeNumber
from dizuo.datasets import service
from dizuo.datasets.model import (
    ANSWER_COLUMNS,
    LABEL_COLUMN,
    DatasetVersion,
    Diff,
    RowExample,
    StoredRow,
)
from dizuo.datasets.names import DatasetRef
from dizuo.datasets.searching import Matches, find_rows, search_rows
from dizuo.families import registry

_NUM_ROWS = 24
_NUM_REJECTS = 100
_NUM_OTHERS = 200
_PICTURE = object()
_TABS = (("rows", ""), ("rejects", "/rejects"), ("diff", "/diff"))


@console_page("/data/{name}/{version}", "nav.data", "data")
async def rows(view: View, name: str, version: VersionNumber, q: str = "", page: int = 1) -> None:
    """What a version is, and its rows; those that hold a text where one is searched for."""
    text = q.strip()[:MAX_TYPED]
    place = Place(f"/data/{name}/{version}", page, {"q": text}, _NUM_ROWS)
    found = await _find(view, name, version)
    matches: Matches = await run_in_threadpool(
        search_rows, found.pin, text, place.offset, place.size
    )
    words = view.words
    listed = _rows(words, found, matches.rows)
    if not matches.rows:
        key = "data.no_row_found" if text else "data.no_rows"
        listed = tag("p", words(key, text=text), class_="muted")
    content = [
        _top(words, found, "rows"),
        panel(words("data.about"), _about(words, found)),
        tag(
            "section",
            tag("h2", words("data.rows")),
            search(words, place, words("data.search_rows")),
            tag("p", words("data.rows_found", count=number(matches.total)), class_="muted")
            if text
            else EMPTY,
            listed,
            pager(words, place, matches.total, name),
            class_="panel",
        ),
    ]
    ui.html(join(content), sanitize=False).classes("rows")


async def _find(view: View, name: str, number: int) -> DatasetVersion:
    def look(session: Session) -> DatasetVersion:
        return service.find(session, DatasetRef(view.project_id, name, number))

    found = await view.read(look)
    ui.page_title(f"{found.pin.ref} · dizuo")
    return found


def _top(words: Words, found: DatasetVersion, current: str) -> Markup:
    place = f"/data/{found.name}/{found.version}"
    counts = {"rows": number(found.num_rows), "rejects": number(found.num_rejected)}
    tabs = [
        link(
            join([words(f"data.{key}"), counts.get(key)], " "),
            f"{place}{end}",
            aria_current="page" if key == current else None,
        )
        for key, end in _TABS
    ]
    return join(
        [
            crumbs(words, found.name),
            tag("h1", found.pin.ref),
            tag("nav", *tabs, class_="tabs", aria_label=found.pin.ref),
        ]
    )


def _about(words: Words, one: DatasetVersion) -> Markup:
    return facts(
        [
            (words("column.family"), one.family),
            (words("column.rows"), number(one.num_rows)),
            (words("column.added"), number(one.num_added)),
            (words("column.removed"), number(one.num_removed)),
            (words("column.rejected"), number(one.num_rejected)),
            (words("column.duplicates"), number(one.num_duplicates)),
            (words("column.how"), how_made(words, one)),
            (words("column.made"), when(words, one.created_ms, now_ms())),
            (words("column.digest"), tag("code", one.digest)),
        ]
    )


def _rows(words: Words, version: DatasetVersion, found: Sequence[StoredRow]) -> Markup:
    """A gallery where every row is a picture with its label and nothing else, else a table."""
    place = partial(address_of, version.name, version.version)
    if found and all(_picture(row) for row in found):
        return tag("ul", *(_card(words, place, row) for row in found), class_="gallery")
    names = _columns(version.family, found)
    columns = [*(Column(name) for name in names), Column(words("column.source"))]
    cells = [
        (*(_cell(words, place, row, name) for name in names), tag("span", row.source))
        for row in found
    ]
    return table(columns, cells, words("data.rows"))


def _picture(row: StoredRow) -> str | None:
    """The column of the picture of a row that has nothing else but a label."""
    others = row.columns.keys() - {LABEL_COLUMN}
    name = next(iter(others), "")
    return name if len(others) == 1 and picture_type(row.columns[name]) else None


def _card(words: Words, place: Any, row: StoredRow) -> Markup:
    name = _picture(row)
    assert name is not None  # or it is no card
    label = row.columns.get(LABEL_COLUMN)
    return tag(
        "li",
        _image(words, place, row, name),
        tag("span", words("data.no_label") if label is None else shown(words, label), class_="is"),
        tag("span", row.source.rpartition("#")[2], class_="muted", title=row.source),
    )


def _image(words: Words, place: Any, row: StoredRow, name: str) -> Markup:
    alt = words("data.picture", source=row.source.rpartition("#")[2])
    small = place(row.row_digest, name, whole=False)
    return link(
        tag("img", src=small, alt=alt, loading="lazy"), place(row.row_digest, name, whole=True)
    )


def _columns(family: str, found: Sequence[StoredRow]) -> list[str]:
    """The columns that some row has, those of the family first."""
    there = {name for row in found for name in row.columns}
    known = [name for name in registry.spec(family).COLUMNS if name in there]
    return [*known, *sorted(there - set(known))]


def _cell(words: Words, place: Any, row: StoredRow, name: str) -> Markup:
    value = row.columns.get(name)
    return _image(words, place, row, name) if picture_type(value) else shown(words, value)


@console_page("/data/{name}/{version}/rejects", "nav.data", "data")
async def rejects(view: View, name: str, version: VersionNumber, page: int = 1) -> None:
    """The rows that were not taken when the version was added, each with its reason."""
    place = Place(f"/data/{name}/{version}/rejects", page, size=_NUM_REJECTS)
    found = await _find(view, name, version)
    read = partial(service.read_rejects, found, offset=place.offset, limit=place.size)
    refused = await run_in_threadpool(read)
    words = view.words
    columns = [Column(words("column.place")), Column(words("column.reason"))]
    rows = [(spoken(words, one.place), spoken(words, one.reason)) for one in refused]
    listed = table(columns, rows, words("data.rejects"))
    if not refused:
        listed = tag("p", words("data.no_rejects"), class_="muted")
    content = [
        _top(words, found, "rejects"),
        panel(words("data.rejects"), tag("p", words("data.rejects_are"), class_="muted"), listed),
        pager(words, place, found.num_rejected, name),
    ]
    ui.html(join(content), sanitize=False).classes("rows")


@console_page("/data/{name}/{version}/diff", "nav.data", "data")
async def diff(view: View, name: str, version: VersionNumber, to: WholeNumber = 0) -> None:
    """What is different between this version and another one, the one before if none is said."""
    found = await _find(view, name, version)

    def look(session: Session) -> Sequence[DatasetVersion]:
        return service.history(session, name, limit=_NUM_OTHERS, project_id=view.project_id)

    others = [one.version for one in await view.read(look) if one.version != version]
    words = view.words
    other = to or next((one for one in others if one < version), others[-1] if others else 0)
    ui.html(_top(words, found, "diff"), sanitize=False).classes("rows")
    if not other:
        ui.html(tag("p", words("data.only_version"), class_="muted"), sanitize=False)
        return
    ui.html(_choose(words, found, others, other), sanitize=False)
    shown_here = ui.html("", sanitize=False).classes("rows").props("aria-live=polite")
    before, after = sorted([found, await _find(view, name, other)], key=lambda one: one.version)
    key = f"diff:{before.id}:{after.id}"
    compare = partial(_compare, before, after)
    work = view.works.look(view.project_id, key, compare, view.person.account_id)

    def show(standing: Standing) -> None:
        shown_here.set_content(_standing(words, standing))

    ui.page_title(f"{found.pin.ref} · dizuo")
    await view.watch(work, show, only_while_seen=True)


@dataclass(frozen=True, slots=True)
class _Compared:
    """What is different, and the inputs of the rows that are shown, by digest: a column's value,
    or _PICTURE for one that a picture's address leads to."""

    diff: Diff
    before: DatasetVersion
    after: DatasetVersion
    inputs: Mapping[str, Mapping[str, Any]]


def _compare(before: DatasetVersion, after: DatasetVersion, work: Work) -> _Compared:
    found = service.diff(before.pin, after.pin, wanted=work.wanted)
    new = [one.row_digest for one in (*found.added, *found.relabelled)]
    rows = find_rows(after.pin, new)
    rows |= find_rows(before.pin, [one.row_digest for one in found.removed])
    inputs = {
        digest: {
            name: _PICTURE if picture_type(value) else value
            for name, value in row.columns.items()
            if name not in ANSWER_COLUMNS
        }
        for digest, row in rows.items()
    }
    return _Compared(found, before, after, inputs)


def _choose(words: Words, found: DatasetVersion, others: Sequence[int], other: int) -> Markup:
    options = [
        tag("option", f"{found.name}@{one}", value=one, selected=one == other)
        for one in sorted({*others, other}, reverse=True)
    ]
    label = tag("label", words("compare.with"), for_="to")
    return tag(
        "form",
        tag("div", label, tag("select", *options, id="to", name="to")),
        tag("button", words("compare.show"), class_="button"),
        class_="filters",
        action=f"/data/{found.name}/{found.version}/diff",
    )


def _standing(words: Words, standing: Standing) -> Markup:
    if not standing.has_ended:
        said = words("data.look_waits" if standing.is_waiting else "data.comparing")
        return tag("p", said, class_="muted", role="status", aria_busy="true")
    if standing.result is None:
        error = standing.error
        sentence = error_sentence(words, error) if error else words("told.failed")
        return tag("p", sentence, class_="notice bad", role="alert")
    return _diff(words, standing.result)


def _diff(words: Words, compared: _Compared) -> Markup:
    found = compared.diff
    counts = [("added", found.num_added), ("removed", found.num_removed)]
    counts += [("relabelled", found.num_relabelled), ("unchanged", found.num_unchanged)]
    figures = [figure(words(f"data.{name}"), number(count)) for name, count in counts]
    told = tag("p", words("data.from_to", before=found.before, after=found.after))
    examples = [
        _examples(words, compared, "added", found.num_added),
        _examples(words, compared, "removed", found.num_removed),
        _examples(words, compared, "relabelled", found.num_relabelled),
    ]
    return join([told, tag("div", *figures, class_="figures"), *examples])


def _examples(words: Words, compared: _Compared, kind: str, count: int) -> Markup:
    rows: Sequence[RowExample] = getattr(compared.diff, kind)
    if not rows:
        return EMPTY
    title = words(f"data.{kind}")
    columns = [Column(words("column.input"))]
    if kind == "relabelled":
        columns.append(Column(words("column.label_before")))
    columns += [Column(words("column.label")), Column(words("column.source"))]
    version = compared.before if kind == "removed" else compared.after
    cells = [
        (
            _input(words, version, row, compared.inputs.get(row.row_digest, {})),
            *([shown(words, row.label_before)] if kind == "relabelled" else []),
            shown(words, row.label),
            row.source,
        )
        for row in rows
    ]
    more = words("data.first_of", number=number(len(rows)), all=number(count))
    note = tag("p", more, class_="muted") if count > len(rows) else EMPTY
    return panel(title, note, table(columns, cells, title))


def _input(
    words: Words, version: DatasetVersion, row: RowExample, columns: Mapping[str, Any]
) -> Markup:
    place = partial(address_of, version.name, version.version)
    alt = words("data.picture", source=row.source.rpartition("#")[2])
    return join(
        tag("img", src=place(row.row_digest, name, whole=False), alt=alt, loading="lazy")
        if value is _PICTURE
        else shown(words, value)
        for name, value in columns.items()
    )
