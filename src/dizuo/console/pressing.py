"""Buttons of pages, and questions before what cannot be taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from markupsafe import escape
from nicegui import ui

Act = Callable[[], Awaitable[None]]


def button(text: str, act: Act, *, tone: str = "") -> ui.html:
    """A button that acts; `tone` is primary, danger, or nothing."""
    drawn = ui.html(escape(text), sanitize=False, tag="button")
    drawn.props("type=button").classes(f"button {tone}".strip())
    drawn.on("click", act, js_handler="() => emit()")
    return drawn


def asking(text: str, question: str, answers: tuple[str, str], act: Act) -> None:
    """A button that acts once a question is answered by yes.

    Args:
        text: on the button.
        question: what is asked.
        answers: yes and no, in words.
        act: what yes does.
    """
    opening = ui.html(escape(text), sanitize=False, tag="button")
    opening.props("type=button").classes("button danger")
    with ui.element("dialog").props(f'aria-label="{escape(question)}"') as dialog:
        ui.html(escape(question), sanitize=False, tag="p")
        with ui.element("div").classes("pager"):
            yes = button(answers[0], act, tone="danger")
            no = ui.html(escape(answers[1]), sanitize=False, tag="button")
            no.props("type=button autofocus").classes("button")
    opening.on("click", js_handler=f"() => getHtmlElement({dialog.id}).showModal()")
    for one in (yes, no):
        one.on("click", js_handler=f"() => getHtmlElement({dialog.id}).close()")
