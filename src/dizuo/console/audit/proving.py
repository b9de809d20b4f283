"""Proving the audit log whole while somebody looks on: in a worker thread, with its progress."""

from __future__ import annotations

import asyncio

from markupsafe import Markup
from nicegui import ui
from starlette.concurrency import run_in_threadpool

from dizuo.audit import service as audit
from dizuo.audit.model import AuditVerdict
from dizuo.console.elements.buttons import button, text_field
from dizuo.console.elements.markup import facts, join, tag
from dizuo.console.elements.telling import number
from dizuo.console.frame import View
from dizuo.console.messages import Words
from dizuo.console.sentences import spoken
from dizuo.core.digests import DIGEST_PATTERN
from dizuo.core.progress import Progress, Reporter


class Proving:
    """The part of a page that verifies the chain."""

    def __init__(self, view: View) -> None:
        self._view, words = view, view.words
        with ui.element("section").classes("panel proving"):
            said = join([tag("h2", words("proving.title")), tag("p", words("proving.means"))])
            ui.html(said, sanitize=False)
            with ui.element("div").classes("filters"):
                self._head = text_field(words("proving.head"), hint=words("proving.head_hint"))
                self._button = button(words("proving.verify"), view.doing(self._verify), "primary")
            self._shown = ui.html("", sanitize=False).props('role="status"')

    async def _verify(self) -> None:
        head, words = self._head.value.strip(), self._view.words
        is_digest = not head or DIGEST_PATTERN.fullmatch(head) is not None
        self._head.error = None if is_digest else words("proving.no_digest")
        if not is_digest:
            return
        self._button.disable()
        try:
            verdict = await run_in_threadpool(self._prove, head, self._reporter())
        finally:
            self._button.enable()
        self._shown.set_content(_verdict(words, verdict, head))

    def _prove(self, head: str, report: Reporter) -> AuditVerdict:
        with self._view.parts.database.reading() as session:
            return audit.verify(session, expected=head, report=report)

    def _reporter(self) -> Reporter:
        """Tells this page from the worker thread how far it is, a hundred times at most."""
        loop, told = asyncio.get_running_loop(), 0
        self._progress(Progress("verify"))

        def report(event: Progress) -> None:
            nonlocal told
            percent = 100 * event.done // max(1, event.total)
            if percent > told:
                told = percent
                loop.call_soon_threadsafe(self._progress, event)

        return report

    def _progress(self, event: Progress) -> None:
        if self._view.client.is_deleted:
            return
        words = self._view.words
        said = words("proving.so_far", done=number(event.done), whole=number(event.total))
        bar = tag("progress", value=event.done, max=max(1, event.total), aria_label=said)
        self._shown.set_content(tag("p", bar, " ", said))


def _verdict(words: Words, verdict: AuditVerdict, head: str) -> Markup:
    whole = number(verdict.num_entries)
    digest = (words("proving.digest"), tag("code", verdict.head))
    if verdict.ok:
        found = [(words("proving.up_to"), whole), digest]
        if head:
            found.append((words("proving.head"), words("proving.head_found")))
        title = tag("p", tag("strong", words("proving.holds", count=whole)))
        note = tag("p", words("proving.note"))
        return tag("div", title, facts(found), note, class_="notice good")
    broken = words("proving.broken", number=verdict.broken_at, reason=spoken(words, verdict.reason))
    title = tag("p", tag("strong", broken))
    found = [(words("proving.up_to"), whole), digest]
    return tag("div", title, facts(found), tag("p", words("proving.keep")), class_="notice bad")
