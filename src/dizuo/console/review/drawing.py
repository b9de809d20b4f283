"""What the labelling desk shows: a sample, and the fields that its label is given in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, join, tag
from dizuo.console.messages import Words, catalogue
from dizuo.console.review import jsonform
from dizuo.console.review.entries import LABEL, Entry, Faults
from dizuo.console.review.jsonform import COUNT, Form, Kind, Part
from dizuo.console.sentences import spoken
from dizuo.core.digests import canonical_json

NUM_KEYS = 9
SAMPLE_ID, ANSWER_ID = "desk-sample", "desk-answer"
"""Of the elements that describe the fields to who cannot see them: what to judge, and what the
model said of it."""
_SHOWN_CHARACTERS = 80


def sample_of(words: Words, row: Mapping[str, Any] | None, picture: str | None) -> Markup:
    """A sample's input, large.

    Args:
        words: the reader's language.
        row: its columns; None where they are gone.
        picture: the address of its picture, if it has one that can be shown.
    """
    if row is None:
        return tag("p", words("desk.damaged"), class_="notice bad")
    shown = [_column(words, name, value) for name, value in row.items() if name != "image"]
    if picture is not None:
        shown.insert(0, tag("img", src=picture, alt=words("desk.picture"), class_="picture"))
    return join(shown) or tag("p", words("desk.damaged"), class_="notice bad")


def _column(words: Words, name: str, value: Any) -> Markup:
    if name == "prompt" and isinstance(value, list):
        return tag("div", *(_message(words, one) for one in value), class_="chat")
    text = value if isinstance(value, str) else _json(value)
    said = tag("p", text, class_="said")
    return said if name in ("prompt", "text") else join([tag("h3", name), said])


def _message(words: Words, message: Any) -> Markup:
    role, content = str(message.get("role", "")), str(message.get("content", ""))
    is_known = role in ("user", "system", "assistant")
    who = words(f"desk.role_{role}") if is_known else role
    return join([tag("h3", who), tag("p", content, class_="said")])


def _json(value: Any) -> str:
    return "…" if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False, indent=2)


def answer_of(value: Any) -> Markup:
    """An answer as it is: a word, or JSON with one key a line."""
    if isinstance(value, str | int | float):
        return tag("span", str(value), class_="answer")
    return tag("pre", _json(value), tabindex="0")


def short(answer: Any) -> str:
    """An answer in one line that is not too long."""
    text = answer if isinstance(answer, str) else canonical_json(answer).decode()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def reason_of(words: Words, reason: str) -> str:
    """Why a sample was returned; by its own name where a package brought it."""
    key = f"reason.{reason}"
    return words(key) if key in catalogue() else reason


def fields_of(words: Words, entry: Entry) -> Markup:
    """The fields of an entry."""
    if entry.form is not None:
        drawn = _Drawn(words, entry.form, entry)
        return tag("div", drawn.part(entry.form.root, words("desk.form")), class_="json-form")
    if not entry.classes:
        return _text(words, entry)
    if len(entry.classes) <= NUM_KEYS:
        return _classes(words, entry)
    return _searched(words, entry)


def _fault(words: Words, faults: Faults, path: str) -> Markup:
    if path not in faults:
        return EMPTY
    key, values = faults[path]
    said = {name: spoken(words, str(value)) for name, value in values.items()}
    return tag("p", words(key, **said), class_="field-error", id=_fault_id(path), role="alert")


def _described(entry: Entry, path: str) -> str:
    """The elements to read out where the focus comes to the fields."""
    return " ".join([*([_fault_id(path)] if path in entry.faults else ()), SAMPLE_ID, ANSWER_ID])


def _fault_id(path: str) -> str:
    return f"{_id(path)}-fault"


def _id(path: str) -> str:
    return f"field-{path}"


def _classes(words: Words, entry: Entry) -> Markup:
    """Radio buttons, each with its digit."""
    chosen = entry.given.get(LABEL, "")
    begins = entry.classes.index(chosen) if chosen in entry.classes else 0
    options = []
    for number, label in enumerate(entry.classes):
        control = tag(
            "input",
            type="radio",
            name=LABEL,
            value=label,
            checked=label == chosen,
            data_digit=str(number + 1),
            data_focus=number == begins,
        )
        key = tag("kbd", str(number + 1), aria_hidden="true")
        options.append(tag("label", control, key, tag("span", label), class_="class"))
    legend = tag("legend", words("desk.label"))
    fault = _fault(words, entry.faults, LABEL)
    described = _described(entry, LABEL)
    return tag("fieldset", legend, *options, fault, class_="classes", aria_describedby=described)


def _searched(words: Words, entry: Entry) -> Markup:
    """A field with the list of all labels below it; what is typed narrows the list."""
    label = tag("label", words("desk.search"), for_=_id(LABEL))
    control = tag(
        "input",
        id=_id(LABEL),
        name=LABEL,
        value=entry.given.get(LABEL, ""),
        role="combobox",
        aria_expanded="true",
        aria_controls="known-labels",
        aria_autocomplete="list",
        aria_describedby=_described(entry, LABEL),
        autocomplete="off",
        spellcheck="false",
        data_focus=True,
        data_labels=canonical_json(list(entry.classes)).decode(),
    )
    listed = tag("ul", id="known-labels", role="listbox", aria_label=words("desk.label"))
    return tag("div", label, control, _fault(words, entry.faults, LABEL), listed, class_="searched")


def _text(words: Words, entry: Entry) -> Markup:
    label = tag("label", words("desk.form"), for_=_id(LABEL))
    content = entry.given.get(LABEL, "")
    control = tag(
        "textarea",
        "\n" + content,  # a browser leaves the first line end out
        id=_id(LABEL),
        name=LABEL,
        rows="6",
        data_focus=True,
        data_long=True,
        aria_describedby=_described(entry, LABEL),
    )
    return tag("div", label, control, _fault(words, entry.faults, LABEL))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A form being drawn."""

    words: Words
    form: Form
    entry: Entry

    def part(self, part: Part, name: str) -> Markup:
        """One part of the form, and what is below it."""
        if part.kind is Kind.OBJECT:
            return self._group(part, name)
        if part.kind is Kind.LIST:
            return self._list(part, name)
        title = name if part.is_required else self.words("form.optional", name=name)
        hint = part.schema.get("description") if part.path else None
        return tag(
            "div",
            tag("label", title, for_=_id(part.path)),
            self._control(part),
            tag("p", hint, class_="muted hint") if isinstance(hint, str) else EMPTY,
            _fault(self.words, self.entry.faults, part.path),
            class_="field",
        )

    def _group(self, part: Part, name: str) -> Markup:
        below = [self.part(one, _name(one)) for one in self.form.below(part, self.entry.given)]
        fault = _fault(self.words, self.entry.faults, part.path)
        return tag(
            "fieldset",
            tag("legend", name),
            *below,
            self._kept(part.path),
            fault,
            class_="group",
            aria_describedby=self._described(part, has_fault=False),
        )

    def _kept(self, path: str) -> Markup:
        """What a part has that no field is for."""
        kept = jsonform.kept_at(self.entry.given, path)
        if kept is jsonform.ABSENT or not kept:
            return EMPTY
        is_list = isinstance(kept, list)
        more = self.words("form.kept_items", count=len(kept)) if is_list else None
        return tag("p", more or self.words("form.kept", kept=short(kept)), class_="muted hint")

    def _list(self, part: Part, name: str) -> Markup:
        items = [
            tag(
                "div",
                self.part(one, self.words("form.item", name=name, number=one.name)),
                self._button(
                    "remove", one.path, self.words("form.remove", name=f"{name} {one.name}")
                ),
                class_="item",
            )
            for one in self.form.below(part, self.entry.given)
        ]
        count = str(jsonform.num_items(self.entry.given, part.path))
        return tag(
            "fieldset",
            tag("legend", name),
            tag("input", type="hidden", name=part.path + COUNT, value=count),
            *items,
            self._kept(part.path),
            self._button("add", part.path, self.words("form.add", name=name)),
            _fault(self.words, self.entry.faults, part.path),
            class_="group",
            aria_describedby=self._described(part, has_fault=False),
        )

    def _button(self, do: str, path: str, text: str) -> Markup:
        focused = self._is_focus(path) if do == "add" else False
        return tag(
            "button",
            text,
            type="button",
            class_="button small",
            data_do=do,
            data_path=path,
            data_focus=focused,
        )

    def _described(self, part: Part, *, has_fault: bool) -> str | None:
        """By the sample where the form begins, else by what is wrong."""
        if not part.path:
            return _described(self.entry, part.path)
        return _fault_id(part.path) if has_fault else None

    def _is_focus(self, path: str) -> bool:
        return bool(self.entry.begins_at) and path == self.entry.begins_at

    def _control(self, part: Part) -> Markup:
        text = self.entry.given.get(part.path, "")
        has_fault = part.path in self.entry.faults
        common: dict[str, Any] = {
            "id": _id(part.path),
            "name": part.path,
            "data_focus": self._is_focus(part.path) or (not part.path and self.form.is_raw),
            "aria_invalid": "true" if has_fault else None,
            "aria_describedby": self._described(part, has_fault=has_fault),
        }
        if part.kind is Kind.CHOICE:
            return tag("select", *self._options(part, text), **common)
        if part.kind is Kind.RAW or jsonform.is_long(part, text):
            is_json = part.kind is Kind.RAW
            rows = str(min(16, max(3, text.count("\n") + 2)))
            kind = "mono" if is_json else None
            spelled = "false" if is_json else None
            return tag(
                "textarea",
                "\n" + text,  # a browser leaves the first line end out
                rows=rows,
                class_=kind,
                spellcheck=spelled,
                data_long=True,
                **common,
            )
        mode = "decimal" if part.kind is Kind.NUMBER else None
        return tag("input", value=text, autocomplete="off", inputmode=mode, **common)

    def _options(self, part: Part, text: str) -> list[Markup]:
        known = {canonical_json(one).decode(): self._choice(one) for one in part.choices}
        nothing = not part.is_required or text not in known
        options = [tag("option", self.words("form.nothing"), value="")] if nothing else []
        return options + [
            tag("option", shown, value=value, selected=value == text)
            for value, shown in known.items()
        ]

    def _choice(self, value: Any) -> str:
        if isinstance(value, bool):
            return self.words("word.yes" if value else "word.no")
        return value if isinstance(value, str) else canonical_json(value).decode()


def _name(part: Part) -> str:
    title = part.schema.get("title")
    return title if isinstance(title, str) else part.name
