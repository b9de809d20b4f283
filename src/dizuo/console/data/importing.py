"""`/data/import`: a file becomes a dataset: send it, look at what would come of it, add it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import Query
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console.data.import_form import form
from dizuo.console.data.import_result import adding, previewed
from dizuo.console.data.import_wish import IMPORT, ShownWish, Wish, draft, faults, filled
from dizuo.console.data.import_work import look
from dizuo.console.data.marks import crumbs
from dizuo.console.elements.markup import EMPTY, join, tag
from dizuo.console.frame import View, console_page
from dizuo.console.work import Standing, Work
from dizuo.datasets import uploads
from dizuo.datasets.importing.base import Format
from dizuo.datasets.model import Draft

_ENDINGS = ".jsonl,.ndjson,.csv,.parquet,.zip,.tar,.tgz,.tar.gz,.tar.bz2,.tar.xz"


@console_page(IMPORT, "data.import", "data")
async def data_import(view: View, wish: Annotated[ShownWish, Query()]) -> None:
    """The three steps, each with an address."""
    view.person.principal.require(Role.BUILDER)
    head = [crumbs(view.words), tag("h1", view.words("data.import"))]
    ui.html(join(head), sanitize=False).classes("rows")
    known = view.works.find(view.project_id, wish.work) if wish.work else None
    if known is not None:
        await _adding(view, known, wish)
    elif not wish.upload:
        _choose_file(view, wish)
    else:
        await _look(view, wish, is_checked=bool(wish.checked), is_lost=bool(wish.work))


def _choose_file(view: View, wish: Wish) -> None:
    words = view.words
    ui.add_head_html('<script src="/console/static/import.js" defer></script>')
    choice = tag(
        "div",
        tag("p", words("data.drop"), class_="big"),
        tag("p", words("data.or"), class_="muted"),
        tag(
            "input",
            type="file",
            id="file",
            accept=_ENDINGS,
            aria_describedby="file-kinds",
            class_="unseen",
        ),
        tag("label", words("data.choose"), for_="file", class_="button primary"),
        tag("p", words("data.kinds"), id="file-kinds", class_="muted"),
        data_part="choice",
    )
    sending = tag(
        "div",
        tag("p", "", data_part="told", role="status"),
        tag("progress", "", max="100", value="0", data_part="bar", aria_label=words("data.sent")),
        tag("button", words("data.cancel"), type="button", class_="button", data_part="cancel"),
        data_part="sending",
        hidden=True,
    )
    error = tag("p", "", class_="field-error", role="alert", data_part="error", hidden=True)
    zone = tag(
        "section",
        tag("h2", words("data.step_file")),
        choice,
        sending,
        error,
        id="drop",
        class_="panel drop",
        data_next=wish.address(),
        data_sending=words("data.sending", name="{name}", percent="{percent}"),
        data_failed=words("data.send_failed"),
        data_one=words("data.send_one"),
        data_folder=words("data.send_folder"),
        data_cancelled=words("data.send_cancelled"),
    )
    command = tag("pre", tag("code", "dizuo data add tickets tickets.jsonl --family text"))
    by_command = tag("section", tag("h2", words("data.by_command")), command, class_="panel")
    ui.html(join([zone, by_command]), sanitize=False).classes("rows")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A form as it is shown: its fields, their faults, and what to look at where it can be."""

    wish: Wish
    faults: Mapping[str, str]
    draft: Draft | None


def _asked(wish: Wish, path: Path, project_id: str, session: Session) -> _Asked:
    whole = filled(wish, session, path, project_id)
    found = faults(whole, session, project_id)
    can_look = not found or set(found) == {"name"}
    return _Asked(whole, found, draft(whole, session, project_id) if can_look else None)


async def _look(view: View, wish: Wish, *, is_checked: bool, is_lost: bool) -> None:
    path = uploads.upload_path(view.parts.home, wish.upload)
    asked = await view.read(partial(_asked, wish, path, view.project_id))
    words = view.words
    # A suggestion that was never sent is not yet anybody's fault; what cannot be guessed is asked.
    shown_faults = asked.faults if is_checked or asked.faults.keys() - {"name"} else {}
    lost = tag("p", words("data.lost"), class_="notice", role="status") if is_lost else EMPTY
    ui.html(join([lost, form(words, asked.wish, shown_faults)]), sanitize=False).classes("rows")
    if asked.draft is None:
        return
    shown = ui.html("", sanitize=False).classes("rows").props("aria-live=polite")
    source, kind = path, Format(asked.wish.format)
    to_look, parts = asked.draft, view.parts
    key = f"look:{to_look.name}:{to_look.family}:{to_look.origin}"
    rehearse = partial(look, parts, to_look, source, kind)
    work = view.works.look(view.project_id, key, rehearse, view.person.account_id)

    def show(standing: Standing) -> None:
        shown.set_content(previewed(words, work, standing))

    await view.watch(work, show, only_while_seen=True)


async def _adding(view: View, work: Work, wish: Wish) -> None:
    shown = ui.html("", sanitize=False).classes("rows").props("aria-live=polite")

    def show(standing: Standing) -> None:
        shown.set_content(adding(view.words, work, standing, wish))

    await view.watch(work, show)
