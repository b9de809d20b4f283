"""Picking sites one by one, of however many: they are searched for in the database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nicegui import ui
from nicegui.events import ValueChangeEventArguments
from sqlalchemy.orm import Session

from dizuo.console.elements.buttons import Act, button, text_field
from dizuo.console.elements.markup import tag
from dizuo.console.elements.telling import number
from dizuo.console.frame import View
from dizuo.sites import finding
from dizuo.sites.finding import SiteFilter

_NUM_OFFERED = 24


class SitePicker:
    """A search, the sites that fit it, and those that were picked, which stay while the search goes
    on. Drawn where it is made; `offer` fills it.

    Args:
        view: the page.
        picked: sites that are picked already.
        changed: called whenever others are picked.
    """

    def __init__(
        self, view: View, picked: Iterable[str] = (), changed: Callable[[], None] = lambda: None
    ) -> None:
        self._view = view
        self._picked = dict.fromkeys(picked)
        self._changed = changed
        with ui.element("div").classes("form") as self._drawn:
            self._search = text_field(view.words("rollouts.pick"))
            self._search.on_value_change(view.doing(self.offer)).props("debounce=250")
            self._offered = ui.element("div").classes("picks")
            self._more = ui.html("", sanitize=False)
            self._num_picked = ui.html("", sanitize=False)
            self._picks = ui.element("div").classes("picked")
            self._show_picked()

    @property
    def names(self) -> list[str]:
        """The sites that are picked."""
        return list(self._picked)

    def set_visibility(self, is_visible: bool) -> None:
        """Show it or not."""
        self._drawn.set_visibility(is_visible)

    async def offer(self) -> None:
        """Show sites that fit what is searched for."""
        wanted = SiteFilter(self._search.value.strip(), project_id=self._view.project_id)

        def read(session: Session) -> tuple[Sequence[str], int]:
            found = finding.find(session, wanted, limit=_NUM_OFFERED)
            return [one.name for one in found], finding.count(session, wanted)

        names, num_found = await self._view.read(read)
        words = self._view.words
        self._offered.clear()
        with self._offered:
            for name in names:
                self._offer_one(name)
        told = ""
        if not names:
            told = words("list.none")
        elif num_found > len(names):
            told = words("rollouts.more_fit", number=number(num_found - len(names)))
        self._more.set_content(tag("p", told, class_="muted"))

    def _offer_one(self, name: str) -> None:
        def change(event: ValueChangeEventArguments[bool | None]) -> None:
            if event.value:
                self._picked[name] = None
            else:
                self._picked.pop(name, None)
            self._show_picked()
            self._changed()

        ui.checkbox(name, value=name in self._picked, on_change=change).props("dense")

    def _show_picked(self) -> None:
        words = self._view.words
        told = words("rollouts.picked", number=number(len(self._picked)))
        self._num_picked.set_content(tag("p", told, role="status"))
        self._picks.clear()
        with self._picks:
            for name in self._picked:
                label = words("rollouts.unpick", site=name)
                button(f"{name} ×", self._leaving_out(name), label=label)

    def _leaving_out(self, name: str) -> Act:
        async def leave_out() -> None:
            self._picked.pop(name, None)
            self._show_picked()
            self._changed()
            await self.offer()

        return leave_out
