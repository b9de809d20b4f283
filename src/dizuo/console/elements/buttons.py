"""Where something happens on a page: buttons, fields for one line, and questions before what cannot
be undone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nicegui import ui

from dizuo.console.elements.markup import join, tag
from dizuo.console.frame import View

Act = Callable[[], Awaitable[None]]


def button(text: str, act: Act, kind: str = "", label: str | None = None) -> ui.button:
    """A button in the console's look; `kind` is primary, danger or nothing, `label` what a screen
    reader says where the text alone is not enough."""
    made = ui.button(text, on_click=act, color=None).props("no-caps unelevated")
    if label is not None:
        made.props["aria-label"] = label
    return made.classes(f"button {kind}".strip())


def text_field(label: str, value: str = "", hint: str = "") -> ui.input:
    """A field for one line; its `error` stands below it."""
    made = ui.input(label, value=value).props("outlined dense no-error-icon autocomplete=off")
    made.props["hint"] = hint
    return made.classes("field")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked before something is done, what that means, and the buttons that do it or do
    not; an empty `no` is the word for going back that every page has."""

    title: str
    meaning: str
    yes: str
    no: str = ""
    is_dangerous: bool = False


async def is_sure(view: View, question: Question) -> bool:
    """Ask; whoever closes the question or the page has said no. The keyboard begins at no, and goes
    back to where it was."""
    with ui.dialog() as dialog, ui.element("div").classes("question"):
        dialog.props["aria-label"] = question.title
        said = [tag("h2", question.title), tag("p", question.meaning)]
        ui.html(join(said), sanitize=False).classes("rows")
        with ui.element("div").classes("buttons"):
            no = _answer(dialog, question.no or view.words("ask.cancel"), False)
            no.props("data-autofocus")
            _answer(dialog, question.yes, True, "danger" if question.is_dangerous else "primary")
    answer = await dialog
    dialog.clear()
    return bool(answer)


def _answer(dialog: ui.dialog, text: str, value: bool, kind: str = "") -> ui.button:
    async def answer() -> None:
        dialog.submit(value)

    return button(text, answer, kind)
