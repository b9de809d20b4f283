"""The form of an import: plain HTML, each field with its error, all that was typed still there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from dizuo.console.data.import_wish import IMPORT, MAX_PERCENT, Wish
from dizuo.console.elements.markup import join, link, tag
from dizuo.console.messages import Words
from dizuo.datasets.importing.base import Format
from dizuo.datasets.model import Mode
from dizuo.datasets.names import MAX_NAME_LENGTH
from dizuo.families import registry


def form(words: Words, wish: Wish, faults: Mapping[str, str]) -> Markup:
    """What to import the upload as.

    Args:
        words: the reader's.
        wish: the fields.
        faults: the catalogue's key of what is wrong, by field.
    """
    formats = [("", "–"), *((one.value, words(f"data.format_{one.value}")) for one in Format)]
    families = [(name, name) for name in sorted(registry.family_packages())]
    modes = [(one.value, words(f"data.mode_{one.value}")) for one in Mode]
    fields = [
        _field(words, "name", _input("name", wish.name, faults), faults),
        _field(words, "family", _select("family", families, wish.family, faults), faults),
        _field(words, "format", _select("format", formats, wish.format, faults), faults),
        _field(words, "mode", _select("mode", modes, wish.mode, faults), faults),
        _field(words, "holdout", _input("holdout", wish.holdout, faults), faults),
    ]
    buttons = tag(
        "div",
        tag("button", words("data.add"), class_="button primary", type="submit"),
        tag(
            "button",
            words("data.look_again"),
            class_="button",
            type="submit",
            formmethod="get",
            formaction=IMPORT,
            name="checked",
            value="1",
        ),
        link(words("data.another_file"), IMPORT, class_="button"),
        class_="filters",
    )
    return tag(
        "section",
        tag("h2", words("data.step_form")),
        tag("p", words("data.file"), " ", tag("strong", wish.file or "–")),
        tag(
            "form",
            _hidden("upload", wish.upload),
            _hidden("file", wish.file),
            tag("div", *fields, class_="fields"),
            buttons,
            method="post",
            action=f"{IMPORT}/add",
            novalidate=True,
        ),
        class_="panel",
    )


def _hidden(name: str, value: str) -> Markup:
    return tag("input", type="hidden", name=name, value=value)


def _field(words: Words, name: str, control: Markup, faults: Mapping[str, str]) -> Markup:
    hint = words(f"data.{name}_hint", most=_MOST.get(name, ""))
    parts = [
        tag("label", words(f"data.{name}"), for_=name),
        control,
        tag("p", hint, class_="muted hint", id=f"{name}-hint"),
    ]
    if fault := faults.get(name):
        sentence = words(fault, most=_MOST.get(name, ""))
        parts.append(tag("p", sentence, class_="field-error", id=f"{name}-error"))
    return tag("div", join(parts), class_="field")


_MOST = {"name": MAX_NAME_LENGTH, "holdout": MAX_PERCENT}


def _input(name: str, value: str, faults: Mapping[str, str]) -> Markup:
    return tag(
        "input",
        id=name,
        name=name,
        value=value,
        maxlength="200",
        autocomplete="off",
        inputmode="decimal" if name == "holdout" else None,
        **_described(name, faults),
    )


def _select(
    name: str, options: Sequence[tuple[str, str]], chosen: str, faults: Mapping[str, str]
) -> Markup:
    shown = [tag("option", text, value=value, selected=value == chosen) for value, text in options]
    if chosen and chosen not in {value for value, _ in options}:  # typed into the address
        shown.insert(0, tag("option", chosen, value=chosen, selected=True))
    return tag("select", *shown, id=name, name=name, **_described(name, faults))


def _described(name: str, faults: Mapping[str, str]) -> dict[str, object]:
    by = f"{name}-error {name}-hint" if name in faults else f"{name}-hint"
    first = bool(faults) and next(iter(faults)) == name
    return {
        "aria_describedby": by,
        "aria_invalid": "true" if name in faults else None,
        "autofocus": first,
    }
