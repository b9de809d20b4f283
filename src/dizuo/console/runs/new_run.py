"""`/runs/new`: starting a recipe, written as a form or as YAML; both are one text."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from fastapi import Query
from markupsafe import Markup
from nicegui import ui
from nicegui.events import GenericEventArguments
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from dizuo.access.model import Role
from dizuo.console.elements.markup import EMPTY, address, tag
from dizuo.console.frame import View, console_page
from dizuo.console.runs import recipe_start
from dizuo.console.runs.recipe_draft import RecipeDraft
from dizuo.console.runs.recipe_fields import Path
from dizuo.console.runs.recipe_form import RecipeForm, Suggestions, suggestions
from dizuo.console.runs.recipe_markup import (
    SECTIONS,
    FormMarkup,
    field_name,
    suggestion_lists,
    yaml_editor,
)
from dizuo.console.runs.starting import start_run
from dizuo.core.digests import sha256_json
from dizuo.stacks import service as stacks
from dizuo.stacks.errors import RecipeProblem, RecipeRefused
from dizuo.stacks.recipe import parse_recipe

_CHANGED = """(event) => {
  const of = event.target;
  if (of.name) emit(of.name, of.type === "checkbox" ? of.checked : of.value);
}"""
_PRESSED = """(event) => {
  const pressed = event.target.closest("button[name]");
  if (!pressed) return;
  if (pressed.name !== "line") { emit(pressed.name, pressed.value); return; }
  const area = document.getElementById("recipe-text");
  const lines = area.value.split("\\n");
  const start = lines.slice(0, pressed.value - 1).join("\\n").length + (pressed.value > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[pressed.value - 1] || "").length);
}"""
_SUBMITTED = "(event) => { event.preventDefault(); emit(); }"


@console_page("/runs/new", "runs.new", "runs")
async def new_run(
    view: View,
    start_from: Annotated[str, Query(alias="from", max_length=400)] = "",
    run: Annotated[str, Query(max_length=64)] = "",
    as_: Annotated[str, Query(alias="as", max_length=8)] = "form",
) -> None:
    """A recipe from nothing, from a stack's (`from`) or from that of a run that was."""
    view.person.principal.require(Role.BUILDER)

    def begin(session: Session) -> str:
        if start_from:
            return recipe_start.of_stack(session, start_from, view.project_id)
        if run:
            return recipe_start.of_run(session, run, view.project_id)
        return recipe_start.of_nothing(session, view.project_id)

    page = _NewRun(view, await view.read(begin), {"from": start_from, "run": run})
    await page.look(as_ == "yaml")


class _NewRun:
    """The page: a draft, what is wrong with it, and which way it is looked at."""

    def __init__(self, view: View, text: str, query: dict[str, str]) -> None:
        self._view = view
        self._draft = RecipeDraft(text)
        self._form = RecipeForm(self._draft)
        self._problems: Sequence[RecipeProblem] = ()
        self._query = query
        self._is_yaml = False
        with ui.element("form").props("novalidate").classes("rows recipe") as whole:
            self._head = ui.html("", sanitize=False)
            self._alert = ui.html("", sanitize=False)
            self._sections = {name: ui.html("", sanitize=False) for name in SECTIONS}
            self._editor = ui.html("", sanitize=False)
            self._lists = ui.html("", sanitize=False)
            ui.html(self._buttons(), sanitize=False)
        doing = view.doing
        whole.on("change", doing(self._changed), js_handler=_CHANGED)
        whole.on("click", doing(self._pressed), js_handler=_PRESSED)
        whole.on("submit", js_handler=_SUBMITTED)

    def _buttons(self) -> Markup:
        words = self._view.words
        start = tag(
            "button", words("new_run.start"), type="button", name="start", class_="button primary"
        )
        check = tag("button", words("new_run.check"), type="button", name="check", class_="button")
        return tag("div", start, check, class_="pager")

    async def look(self, is_yaml: bool) -> None:
        """Show the draft as a form, or as YAML. A text of which no form can be made stays YAML,
        with the reason."""
        if not is_yaml:
            try:
                await run_in_threadpool(self._draft.values)
            except RecipeRefused as refused:
                self._problems, is_yaml = refused.problems, True
        self._is_yaml = is_yaml
        await self._draw()

    async def _draw(self) -> None:
        words = self._view.words
        self._head.set_content(
            tag("div", tag("h1", words("runs.new")), self._ways(), class_="head")
        )
        self._tell()
        self._editor.set_visibility(self._is_yaml)
        for section in self._sections.values():
            section.set_visibility(not self._is_yaml)
        if self._is_yaml:
            self._editor.set_content(yaml_editor(words, self._draft.text, self._problems))
            return
        form, view = self._form, self._view
        found: Suggestions = await view.read(
            lambda session: suggestions(session, view.project_id, form.family, form.level)
        )
        self._lists.set_content(suggestion_lists(found))
        for name, drawn in (await self._drawn()).items():
            self._sections[name].set_content(drawn)

    async def _drawn(self) -> dict[str, Markup]:
        """The form's sections; drawn once more where something was typed meanwhile."""

        def draw() -> dict[str, Markup]:
            markup = FormMarkup(self._view.words, self._form, self._problems)
            return {name: markup.section(name) for name in self._sections}

        while True:
            text = self._draft.text
            drawn = await run_in_threadpool(draw)
            if self._draft.text == text:
                return drawn

    def _ways(self) -> Markup:
        """Both ways to look, as buttons; what was typed goes along."""
        words = self._view.words
        ways = [
            tag(
                "button",
                words(f"new_run.as_{name}"),
                type="button",
                name=f"as_{name}",
                class_="button small",
                aria_pressed=str(is_on).lower(),
            )
            for name, is_on in (("form", not self._is_yaml), ("yaml", self._is_yaml))
        ]
        return tag("div", *ways, class_="pager", role="group", aria_label=words("new_run.ways"))

    def _tell(self) -> None:
        words, num = self._view.words, len(self._problems)
        if not num:
            self._alert.set_content(EMPTY)
            return
        sentence = words("new_run.one_problem" if num == 1 else "new_run.problems", count=num)
        self._alert.set_content(tag("p", sentence, class_="notice bad", role="alert"))

    async def _changed(self, event: GenericEventArguments) -> None:
        """A field was left with something else in it."""
        name, value = event.args
        if name == "text":
            self._draft.text = str(value)
            return
        path: Path = tuple(json.loads(name))
        if self._write(path, value):
            await self._draw()
            self._focus(name)

    def _write(self, path: Path, value: Any) -> bool:
        """Write what was typed; whether the form has other fields by that."""
        if path[0] == "targets":
            self._form.choose_target(str(path[1]), is_chosen=bool(value))
            return True
        if path[0] == "gates" and len(path) == 2:
            self._form.set_condition(int(path[1]), str(value))
            return True
        return self._form.change(path, str(value))

    def _focus(self, name: str) -> None:
        """What was drawn anew has lost the keyboard's place."""
        ui.run_javascript(f"document.getElementsByName({json.dumps(name)})[0]?.focus()")

    async def _pressed(self, event: GenericEventArguments) -> None:
        """A button of the form."""
        name, value = event.args
        match name:
            case "start":
                await self._start()
            case "check":
                await self._check()
            case "as_form" | "as_yaml":
                await self._switch(name == "as_yaml")
            case "add_gate":
                self._form.add_gate()
                await self._draw()
                self._focus(field_name(("gates", len(self._form.gates()) - 1)))
            case "remove_gate":
                self._form.remove_gate(int(value))
                await self._draw()
                self._focus("add_gate")

    async def _switch(self, is_yaml: bool) -> None:
        await self.look(is_yaml)
        here = address("/runs/new", **self._query, **{"as": "yaml" if self._is_yaml else ""})
        ui.run_javascript(f"history.replaceState(history.state, '', {json.dumps(here)})")

    async def _check(self) -> None:
        """Say what would be refused, without starting anything."""
        if await self._is_refused(self._resolve):
            return
        self._view.done(self._view.words("new_run.is_right"))

    async def _resolve(self) -> None:
        project_id = self._view.project_id
        text = self._draft.text

        def resolve(session: Session) -> None:
            recipe = parse_recipe(text, project_id=project_id)
            stacks.resolve(session, recipe, project_id=project_id)

        await self._view.read(resolve)

    async def _start(self) -> None:
        """Let the run in and go to it."""

        async def start() -> None:
            text = self._draft.text
            key = sha256_json({"page": self._view.client.id, "recipe": text})
            run = await start_run(self._view, "tune", {"recipe": text}, key)
            ui.navigate.to(f"/runs/{run.id}")

        await self._is_refused(start)

    async def _is_refused(self, act: Callable[[], Awaitable[None]]) -> bool:
        """Do something with the recipe; where it is refused, say so at its fields or lines."""
        try:
            await act()
        except RecipeRefused as refused:
            self._problems = refused.problems
            await self.look(self._is_yaml)
            first = "[aria-invalid=true], .field-error"
            ui.run_javascript(f"document.querySelector('{first}')?.focus()")
            return True
        self._problems = ()
        await self._draw()
        return False
