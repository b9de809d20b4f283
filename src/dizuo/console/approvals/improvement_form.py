"""The form that starts an improvement, and beside it, live, what it would find."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from nicegui import ui
from pydantic import ValidationError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from dizuo.access.model import Principal, Role
from dizuo.console.approvals.improvement_outlook import Outlook, look, outlook
from dizuo.console.approvals.improvement_wish import Basis, Wish, faults
from dizuo.console.elements.buttons import button, text_field
from dizuo.console.elements.markup import tag
from dizuo.console.elements.places import improvement_address
from dizuo.console.elements.telling import number
from dizuo.console.frame import View
from dizuo.console.sites.site_picking import SitePicker
from dizuo.datasets import samples
from dizuo.datasets.samples import SampleFilter
from dizuo.improvements.model import Improvement
from dizuo.sites import finding, running
from dizuo.sites.errors import SiteNotFound

_SERVING, _PICKED = "serving", "picked"


class ImprovementForm:
    """What is typed stays, is in the page's address, and is told wrong at its field.

    Args:
        view: the page.
        basis: what runs again.
        wish: what stands in the fields.
        found: what it would find.
    """

    def __init__(self, view: View, basis: Basis, wish: Wish, found: Outlook) -> None:
        self._view, self._basis, self._found = view, basis, found
        self._is_starting = False
        with ui.element("div").classes("grid pairs"):
            with ui.element("section").classes("panel form"):
                self._draw_samples(wish)
                self._draw_sites(wish)
                self._complaint = ui.html("", sanitize=False)
                with ui.element("div").classes("buttons"):
                    button(view.words("improving.start"), view.doing(self._start), "primary")
            with ui.element("section").classes("panel"):
                self._outlook = ui.html("", sanitize=False).classes("rows")
        self.show(found)

    def _draw_samples(self, wish: Wish) -> None:
        words = self._view.words
        ui.html(tag("h2", words("improving.learn")), sanitize=False)
        self._served_as = text_field(
            words("column.served_as"), wish.served_as, words("improving.served_as_hint")
        )
        self._from_site = text_field(
            words("improving.from_site"), wish.from_site, words("improving.from_site_hint")
        ).props("list=known-sites")
        self._holdout = text_field(
            words("improving.holdout"), wish.holdout, words("improving.holdout_hint")
        ).props("inputmode=decimal")
        self._min_samples = text_field(
            words("improvement.min_samples"), wish.min_samples, words("improving.min_samples_hint")
        ).props("inputmode=numeric")
        for field in (self._served_as, self._from_site, self._holdout, self._min_samples):
            field.on_value_change(self._view.doing(self._changed)).props("debounce=250")

    def _draw_sites(self, wish: Wish) -> None:
        view, words = self._view, self._view.words
        ui.html(tag("h2", words("improving.sites")), sanitize=False)
        is_picked = bool(wish.sites) or not self._found.num_serving
        self._which = ui.radio(self._ways(), value=_PICKED if is_picked else _SERVING)
        self._which.props["aria-label"] = words("improving.sites")
        self._which.on_value_change(view.doing(self._changed))
        self.picker = SitePicker(view, filter(None, wish.sites.split(",")), self._remember)
        self.picker.set_visibility(is_picked)

    def _ways(self) -> dict[str, str]:
        words, count = self._view.words, self._found.num_serving
        serving = words("improving.serving_sites", number=number(count))
        return {_SERVING: serving, _PICKED: words("rollouts.some_sites")}

    @property
    def _wish(self) -> Wish:
        """The fields as they stand there now."""
        return Wish(
            self._served_as.value.strip(),
            self._from_site.value.strip(),
            self._holdout.value.strip(),
            self._min_samples.value.strip(),
            ",".join(self.picker.names) if self._which.value == _PICKED else "",
        )

    def _asked(self) -> SampleFilter:
        return self._wish.asked(self._basis)

    def look(self, session: Session) -> Outlook:
        """What it would find, as the fields stand there now."""
        return look(session, self._asked())

    def show(self, found: Outlook) -> None:
        """Draw what was found, if it is still what is asked for."""
        if found.asked != self._asked():
            return
        self._found = found
        self._outlook.set_content(outlook(self._view.words, found, self._wish))
        if self._which.options != self._ways():
            self._which.set_options(self._ways(), value=self._which.value)

    async def _changed(self) -> None:
        self.picker.set_visibility(self._which.value == _PICKED)
        self._remember()
        self.show(await self._view.read(self.look))

    def _remember(self) -> None:
        """Have the page's address say what stands in the fields."""
        here = json.dumps(self._wish.address(self._basis.stack.ref))
        ui.run_javascript(f"history.replaceState(history.state, '', {here})")

    async def _start(self) -> None:
        """Start it and go to its page; a second press meanwhile is none."""
        if self._is_starting:
            return
        self._is_starting = True
        started = None
        try:
            started = await self._started()
        finally:
            self._is_starting = started is not None
        if started is not None:
            ui.navigate.to(improvement_address(started.id))

    async def _started(self) -> Improvement | None:
        """The improvement; None where a field is wrong, which is said there."""
        view, wish = self._view, self._wish
        sites, wrong = await view.read(self._sites)
        try:
            body = wish.body(self._basis, sites)
        except ValidationError as error:
            self._tell({**faults(error), **wrong})
            return None
        self._tell(wrong)
        if wrong:
            return None
        # The role is read anew, as for every action of a page.
        caller: Principal = await view.act(Role.BUILDER, lambda _session, caller: caller)
        start = partial(view.parts.improver.start, source_name=body.source_name)
        try:
            return await run_in_threadpool(start, body.request, caller)
        except SiteNotFound:
            self._tell({"sites": "improving.site_gone"})
            return None

    def _sites(self, session: Session) -> tuple[list[str], dict[str, str]]:
        """The sites that shall get the result, and what is wrong with them or with the one to learn
        from."""
        asked, wrong = self._asked(), {}
        if asked.site and not (
            finding.is_taken(session, asked.site, project_id=asked.project_id)
            or samples.count(session, asked)
        ):
            wrong["from_site"] = "improving.site_unknown"
        if self._which.value == _PICKED:
            sites, without = self.picker.names, "rollouts.pick_none"
        else:
            sites = running.serving(session, asked.served_as, project_id=asked.project_id)
            without = "improving.none_serve"
        return sites, wrong if sites else {**wrong, "sites": without}

    def _tell(self, wrong: Mapping[str, str]) -> None:
        """What is wrong, at each field; nothing where nothing is."""
        words = self._view.words
        for name, field in (
            ("served_as", self._served_as),
            ("from_site", self._from_site),
            ("holdout", self._holdout),
            ("min_samples", self._min_samples),
        ):
            field.error = words(wrong[name]) if name in wrong else None
        told = ""
        if "sites" in wrong:
            told = tag("p", words(wrong["sites"]), class_="field-error", role="alert")
        self._complaint.set_content(told)
