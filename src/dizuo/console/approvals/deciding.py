"""The buttons beside the evidence: approve, and reject with a reason."""

from __future__ import annotations

from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.console.elements.buttons import Act, Question, button, is_sure
from dizuo.console.elements.markup import tag
from dizuo.console.frame import View
from dizuo.console.sentences import error_sentence
from dizuo.improvements import service as improvements
from dizuo.improvements.errors import ImprovementRefused
from dizuo.improvements.model import IMPROVEMENT_MACHINE, Improvement


class Deciding:
    """How one page lets a person decide. Made once for a page, outside of what is drawn anew when
    something changes, so that a reason half typed survives."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._chosen: Improvement | None = None
        self._dialog = ui.dialog()
        self._dialog.props["aria-label"] = view.words("deciding.reject_ask")
        with self._dialog, ui.element("div").classes("question"):
            self._title = ui.html("", sanitize=False)
            self._reason = ui.textarea(view.words("deciding.reason"))
            self._reason.props("outlined autogrow no-error-icon").props["hint"] = view.words(
                "deciding.reason_hint"
            )
            with ui.element("div").classes("buttons"):
                button(view.words("ask.cancel"), self._close)
                button(view.words("deciding.reject"), view.doing(self._reject), "danger")

    def buttons(self, improvement: Improvement) -> None:
        """Draw what this person may do about an improvement that waits; for others, who may."""
        words, allowed = self._view.words, IMPROVEMENT_MACHINE.allowed(improvement.state)
        if not self._view.may(Role.RELEASER):
            said = words("deciding.who_may")
            ui.html(tag("p", said, class_="muted"), sanitize=False)
            return
        name = _name(improvement)
        if "approve" in allowed:
            label = words("deciding.approve_label", name=name)
            button(words("deciding.approve"), self._approving(improvement), "primary", label)
        if "reject" in allowed:
            label = words("deciding.reject_label", name=name)
            button(words("deciding.reject"), self._asking(improvement), "danger", label)

    def _approving(self, improvement: Improvement) -> Act:
        view, words, name = self._view, self._view.words, _name(improvement)
        asked = Question(
            words("deciding.approve_title", name=name),
            words("deciding.approve_means", count=len(improvement.request.sites)),
            words("deciding.approve"),
        )

        async def approve() -> None:
            if await is_sure(view, asked):
                await self._decide(improvement, approve=True)
                view.done(words("deciding.approved", name=name))

        return view.doing(approve)

    def _asking(self, improvement: Improvement) -> Act:
        """Ask for the reason; what was typed about the same one and not sent is still there."""

        async def ask() -> None:
            if self._chosen is None or self._chosen.id != improvement.id:
                self._reason.value = ""
            self._chosen = improvement
            self._reason.error = None
            title = self._view.words("deciding.reject_title", name=_name(improvement))
            self._title.set_content(tag("h2", title))
            self._dialog.open()

        return ask

    async def _close(self) -> None:
        self._dialog.close()

    async def _reject(self) -> None:
        improvement, words = self._chosen, self._view.words
        assert improvement is not None, "the dialog is opened for one"
        reason = self._reason.value.strip()
        if not reason:
            self._reason.error = words("deciding.reason_missing")
            return
        try:
            await self._decide(improvement, approve=False, reason=reason)
        except ImprovementRefused as error:
            self._reason.error = error_sentence(words, error)
            return
        self._dialog.close()
        self._chosen = None
        self._view.done(words("deciding.rejected", name=_name(improvement)))

    async def _decide(self, improvement: Improvement, *, approve: bool, reason: str = "") -> None:
        def decide(session: Session, caller: Principal) -> Improvement:
            return improvements.decide(
                session, improvement.id, caller, approve=approve, reason=reason
            )

        await self._view.act(Role.RELEASER, decide)
        self._view.parts.improver.wake()


def _name(improvement: Improvement) -> str:
    return improvement.stack or improvement.request.served_as
