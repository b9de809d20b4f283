"""Pages without NiceGUI: sign-in, and what is told where there is no page."""

from __future__ import annotations

from fastapi.responses import HTMLResponse
from markupsafe import Markup

from dizuo.console.elements.markup import join, link, tag
from dizuo.console.visit import CURRENT


def plain_page(title: str, *content: Markup, status: int = 200) -> HTMLResponse:
    """A small page in the current visit's language and colours."""
    visit = CURRENT.get()
    head = join(
        [
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("title", f"{title} · dizuo"),
            tag("link", rel="stylesheet", href="/console/static/console.css"),
            tag("link", rel="icon", href="/console/static/icon.svg"),
        ]
    )
    brand = tag("p", tag("span", "底座", lang="zh-CN"), " dizuo", class_="brand")
    body = tag("body", tag("main", brand, tag("h1", title), *content, class_="plain"))
    whole = tag(
        "html", tag("head", head), body, lang=visit.language.tag, data_theme=visit.theme.value
    )
    return HTMLResponse(f"<!doctype html>{whole}", status_code=status)


def told(key: str, status: int) -> HTMLResponse:
    """A page that says one thing, `told.KEY`, and leads back to the first one."""
    words = CURRENT.get().words
    sentence = tag("p", words(f"told.{key}"))
    back = tag("p", link(words("told.back"), "/"))
    return plain_page(words(f"told.{key}_title"), sentence, back, status=status)
