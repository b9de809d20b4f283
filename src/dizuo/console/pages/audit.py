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
from dizuo.console.audit_entries import action, details, in_row, moment, subject
from dizuo.console.frame import View, console_page
from dizuo.console.markup import Column, address, facts, join, link, panel, table, tag
from dizuo.console.messages import Words
from dizuo.console.places import entry_address
from dizuo.console.proving import Proving
from dizuo.console.ways import pager

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
    def is_narrow(self) -> bool:
        """Whether some entries are left out."""
        return self.wanted != EntryFilter()

    def at(self, **changes: object) -> str:
        """The page's address with this filter."""
        said = {"actor": self.actor, "action": self.action, "subject": self.subject}
        return address(_PATH, **{**said, **changes})


@console_page(_PATH, "audit.title", "audit")
async def audit(
    view: View,
    *,
    actor: str = "",
    action: str = "",
    subject: str = "",
    before: int = 0,
    after: int = 0,
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
    options = [
        tag("option", _option(words, one), value=one, selected=one == asked.action)
        for one in offered
    ]
    chosen = tag("option", words("audit.any_action"), value="", selected=not asked.action)
    return tag(
        "form",
        _field(words("audit.actor"), "actor", asked.actor, words("audit.actor_hint")),
        tag(
            "div",
            tag("label", words("audit.action"), for_="action"),
            tag("select", chosen, *options, id="action", name="action"),
        ),
        _field(words("audit.subject"), "subject", asked.subject, words("audit.subject_hint")),
        tag("button", words("audit.find"), class_="button"),
        link(words("audit.clear"), _PATH) if asked.is_narrow else None,
        method="get",
        action=_PATH,
        class_="filters",
        role="search",
    )


def _option(words: Words, name: str) -> str:
    told = action(words, name)
    return name if told == name else f"{told} ({name})"


def _field(label: str, name: str, value: str, hint: str) -> Markup:
    field = tag("input", id=name, name=name, value=value, placeholder=hint, maxlength="200")
    return tag("div", tag("label", label, for_=name), field)


def _entries(words: Words, asked: Asked, found: EntryPage) -> Markup:
    if not found.entries:
        return tag("p", words("audit.none"), class_="muted")
    names = ("number", "when", "actor", "action", "subject", "detail")
    columns = [Column(words(f"audit.column_{name}")) for name in names]
    shown = table(
        columns, [_row(words, asked, one) for one in found.entries], words("audit.entries")
    )
    return join([shown, pager(words, _ways(words, asked, found))])


def _row(words: Words, asked: Asked, entry: AuditEntry) -> tuple[object, ...]:
    by_actor = asked.at(actor=entry.actor)
    what = join([action(words, entry.action), tag("br"), tag("code", entry.action, class_="under")])
    return (
        link(str(entry.sequence), entry_address(entry.sequence)),
        moment(words, entry),
        link(entry.actor, by_actor, title=words("audit.only_actor", actor=entry.actor)),
        what,
        subject(entry),
        in_row(words, entry),
    )


def _ways(words: Words, asked: Asked, found: EntryPage) -> list[Markup]:
    ways = []
    if found.has_newer:
        newest = found.entries[0].sequence
        ways.append(link(words("paging.newest"), asked.at()))
        ways.append(link(words("paging.newer"), asked.at(after=newest), rel="prev"))
    if found.has_older:
        oldest = found.entries[-1].sequence
        ways.append(link(words("paging.older"), asked.at(before=oldest), rel="next"))
    return ways


@console_page("/audit/{sequence}", "audit.title", "audit")
async def entry(view: View, sequence: int) -> None:
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
        panel(words("audit.column_detail"), details(words, found.detail)),
        panel(words("audit.chain"), chain),
    ]
    ui.html(join(shown), sanitize=False).classes("rows")


def _about(words: Words, entry: AuditEntry) -> list[tuple[object, object]]:
    everything = address(_PATH, subject=entry.subject)
    by_actor = link(entry.actor, address(_PATH, actor=entry.actor))
    of_subject = link(words("audit.about_subject"), everything)
    return [
        (
            words("audit.column_action"),
            join([action(words, entry.action), " ", tag("code", entry.action)]),
        ),
        (words("audit.column_actor"), by_actor),
        (words("audit.column_subject"), join([subject(entry), " · ", of_subject])),
        (words("audit.column_when"), moment(words, entry)),
    ]
