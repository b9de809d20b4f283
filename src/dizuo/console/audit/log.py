"""`/audit`: who did what, newest first; one entry; and whether the whole log holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.audit import finding
from dizuo.audit.finding import EntryFilter, EntryPage
from dizuo.audit.model import AuditEntry
from dizuo.console.audit.entries import action, details, in_row, moment, subject
from dizuo.console.audit.proving import Proving
from dizuo.console.elements.lists import Chosen, Place, Typed, log_pager, narrowing
from dizuo.console.elements.markup import Column, address, facts, join, link, panel, table, tag
from dizuo.console.elements.places import entry_address
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.core.numbers import WholeNumber

_PATH = "/audit"
_NUM_ROWS = 50


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody looks for in the log."""

    actor: str
    action: str
    subject: str

    @property
    def wanted(self) -> EntryFilter:
        """As the log's own filter."""
        actions = (self.action,) if self.action else ()
        return EntryFilter(self.actor, actions, self.subject)

    @property
    def place(self) -> Place:
        """The page with this filter."""
        return Place(
            _PATH, query={"actor": self.actor, "action": self.action, "subject": self.subject}
        )


@console_page(_PATH, "audit.title", "audit")
async def audit(
    view: View,
    *,
    actor: str = "",
    action: str = "",
    subject: str = "",
    before: WholeNumber = 0,
    after: WholeNumber = 0,
) -> None:
    """The newest entries, or those that the address asks for."""
    asked = Asked(actor.strip(), action.strip(), subject.strip())

    def look(session: Session) -> tuple[EntryPage, list[str]]:
        found = finding.page(
            session,
            view.project_id,
            asked.wanted,
            before=max(0, before),
            after=max(0, after),
            limit=_NUM_ROWS,
        )
        return found, finding.actions(session, view.project_id)

    found, actions = await view.read(look)
    words = view.words
    ui.html(tag("h1", words("audit.title")), sanitize=False)
    Proving(view)
    entries = join([_filters(words, asked, actions), _entries(words, asked, found)])
    ui.html(panel(words("audit.entries"), entries), sanitize=False)


def _filters(words: Words, asked: Asked, actions: Sequence[str]) -> Markup:
    offered = sorted({*actions, asked.action} - {""})
    options = [("", words("audit.any_action")), *((one, _option(words, one)) for one in offered)]
    return narrowing(
        words,
        asked.place,
        Typed("actor", words("audit.actor"), example=words("audit.actor_hint")),
        Chosen("action", words("column.action"), options),
        Typed("subject", words("column.subject"), example=words("audit.subject_hint")),
    )


def _option(words: Words, name: str) -> str:
    told = action(words, name)
    return name if told == name else f"{told} ({name})"


def _entries(words: Words, asked: Asked, found: EntryPage) -> Markup:
    if not found.entries:
        return tag("p", words("audit.none"), class_="muted")
    about = ("audit.number", "column.at", "audit.actor")
    keys = (*about, "column.action", "column.subject", "audit.detail")
    columns = [Column(words(key)) for key in keys]
    shown = table(
        columns, [_row(words, asked, one) for one in found.entries], words("audit.entries")
    )
    return join([shown, _pager(words, asked.place, found)])


def _row(words: Words, asked: Asked, entry: AuditEntry) -> tuple[object, ...]:
    by_actor = asked.place.with_(actor=entry.actor)
    what = join([action(words, entry.action), tag("br"), tag("code", entry.action, class_="under")])
    return (
        link(str(entry.sequence), entry_address(entry.sequence)),
        moment(words, entry),
        link(entry.actor, by_actor, title=words("audit.only_actor", actor=entry.actor)),
        what,
        subject(entry),
        in_row(words, entry),
    )


def _pager(words: Words, place: Place, found: EntryPage) -> Markup:
    first, last = found.entries[0].sequence, found.entries[-1].sequence
    return log_pager(
        words,
        words("audit.title"),
        newest=place.with_() if found.has_newer else "",
        newer=place.with_(after=first) if found.has_newer else "",
        older=place.with_(before=last) if found.has_older else "",
    )


@console_page("/audit/{sequence}", "audit.title", "audit")
async def entry(view: View, sequence: WholeNumber) -> None:
    """One entry with all that it says and how it hangs in the chain."""
    found = await view.read(lambda session: finding.get(session, view.project_id, sequence))
    words = view.words
    back = tag("p", link(words("audit.title"), _PATH), class_="trail")
    title = tag("h1", words("audit.entry", number=found.sequence))
    chain = facts(
        [
            (words("audit.digest"), tag("code", found.digest)),
            (words("audit.previous"), tag("code", found.previous)),
        ]
    )
    shown = [
        tag("div", back, title, class_="titled"),
        panel(words("audit.what"), facts(_about(words, found))),
        panel(words("audit.detail"), details(words, found.detail)),
        panel(words("audit.chain"), chain),
    ]
    ui.html(join(shown), sanitize=False).classes("rows")


def _about(words: Words, entry: AuditEntry) -> list[tuple[object, object]]:
    everything = address(_PATH, subject=entry.subject)
    by_actor = link(entry.actor, address(_PATH, actor=entry.actor))
    of_subject = link(words("audit.about_subject"), everything)
    return [
        (
            words("column.action"),
            join([action(words, entry.action), " ", tag("code", entry.action)]),
        ),
        (words("audit.actor"), by_actor),
        (words("column.subject"), join([subject(entry), " · ", of_subject])),
        (words("column.at"), moment(words, entry)),
    ]
