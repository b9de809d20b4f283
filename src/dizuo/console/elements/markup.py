"""HTML as values: what is put in is escaped, so that no text of a user becomes markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup, escape

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})
EMPTY = Markup("")


def tag(name: str, /, *children: object, **attributes: object) -> Markup:
    """One element.

    Args:
        name: the element's name.
        children: texts, which are escaped, and other elements.
        attributes: underscores become dashes, a trailing one goes (`class_`, `for_`, `aria_label`);
            None and False leave an attribute out, True is one without a value.
    """
    written = Markup("").join(
        Markup(" {}").format(_name(key))
        if value is True
        else Markup(' {}="{}"').format(_name(key), value)
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID:
        return Markup("<{}{}/>").format(Markup(name), written)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), written, join(children))


def _name(key: str) -> Markup:
    return Markup(key.rstrip("_").replace("_", "-"))


def join(parts: Iterable[object], between: str = "") -> Markup:
    """Texts and elements one after the other; None is left out."""
    return Markup(escape(between)).join(escape(part) for part in parts if part is not None)


def link(text: object, href: str, **attributes: object) -> Markup:
    """A link within the console or out of it."""
    return tag("a", text, href=href, **attributes)


def address(path: str, **query: object) -> str:
    """An address with those parts of its query that say something."""
    said = {key: value for key, value in query.items() if value not in (None, "", 0, False)}
    return f"{path}?{urlencode(said)}" if said else path


def badge(text: object, tone: str = "neutral") -> Markup:
    """A short word about a state; `tone` is good, warn, bad, busy or neutral."""
    return tag("span", text, class_=f"badge badge-{tone}")


def panel(title: str, *children: object) -> Markup:
    """A part of a page under its own heading."""
    return tag("section", tag("h2", title), *children, class_="panel")


def figure(name: object, value: object, *below: object) -> Markup:
    """A figure large, with its name, and what may stand below it."""
    named = (tag("p", name, class_="name"), tag("p", value, class_="value"))
    return tag("div", *named, *below, class_="figure")


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column: its title, and whether figures stand in it."""

    title: str
    is_number: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]], caption: str) -> Markup:
    """A table that scrolls by itself where it is too wide.

    Args:
        columns: from left to right.
        rows: cells in the order of the columns; the first names its row.
        caption: what a screen reader announces.
    """
    kinds = ["number" if column.is_number else None for column in columns]
    head = join(
        tag("th", column.title, scope="col", class_=kind)
        for column, kind in zip(columns, kinds, strict=True)
    )
    body = join(_row(row, kinds) for row in rows)
    whole = tag(
        "table",
        tag("caption", caption, class_="unseen"),
        tag("thead", tag("tr", head)),
        tag("tbody", body),
    )
    return tag("div", whole, class_="table-wide", tabindex="0", role="region", aria_label=caption)


def _row(cells: Sequence[object], kinds: Sequence[str | None]) -> Markup:
    first, *others = zip(cells, kinds, strict=True)
    return tag(
        "tr",
        tag("th", first[0], scope="row", class_=first[1]),
        *(tag("td", cell, class_=kind) for cell, kind in others),
    )


def facts(pairs: Iterable[tuple[object, object]]) -> Markup:
    """Names with their values."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs),
        class_="facts",
    )
