"""A recipe as markup: its form with what is wrong at each field, and its text with its lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, join, tag
from dizuo.console.messages import Words, catalogue
from dizuo.console.runs.recipe_fields import Bounds, Field, Input, Path, every, written
from dizuo.console.runs.recipe_form import Gate, RecipeForm, Suggestions
from dizuo.console.sentences import spoken
from dizuo.gates.rules import CONDITIONS, TRAINED_TARGET
from dizuo.stacks.errors import RecipeProblem

SECTIONS = ("basics", "data", "method", "task", "targets", "gates")
_SECTION_KEYS = {"data", "method", "task", "targets", "gates"}
_FEW = 4
"""So many optional fields need no fold."""


def field_name(path: Path) -> str:
    """How a field is named in the page; `json.loads` brings its path back."""
    return json.dumps(path, ensure_ascii=False)


def field_id(path: Path) -> str:
    """A field's id in the page."""
    return "-".join(["field", *(str(step) for step in path)])


def key_words(words: Words, key: str) -> str:
    """What a key of a recipe is called; the key itself where the catalogue does not know it."""
    return words(f"recipe.{key}") if f"recipe.{key}" in catalogue() else key


@dataclass(frozen=True, slots=True)
class FormMarkup:
    """Draws a form; `problems` are what was found wrong with its recipe."""

    words: Words
    form: RecipeForm
    problems: Sequence[RecipeProblem]

    def section(self, name: str) -> Markup:
        """One of SECTIONS."""
        title = tag("h2", self.words(f"recipe.section_{name}"))
        return tag("section", title, self._strange(name), self._content(name), class_="panel")

    def _content(self, name: str) -> Markup:
        if name == "targets":
            return self._targets()
        if name == "gates":
            return self._gates()
        fields: Mapping[str, Sequence[Field]] = {
            "basics": self.form.basics(),
            "data": self.form.data(),
            "method": self.form.method(),
            "task": self.form.task(),
        }
        return self._fields(fields[name])

    def _strange(self, name: str) -> Markup:
        """What is wrong with a section, but with none of its fields."""
        known = {field.path for field in self.form.fields()}
        known |= {("targets", index) for index in range(len(self.form.chosen_targets))}
        own = [
            one
            for one in self.problems
            if _section_of(one.path) == name and not _covered(one.path, known)
        ]
        return join(tag("p", _sentence(self.words, one), class_="field-error") for one in own)

    def _fields(self, fields: Sequence[Field]) -> Markup:
        first = [field for field in fields if self._is_wanted(field)]
        others = [field for field in fields if field not in first]
        if len(others) <= _FEW:
            first, others = list(fields), []
        more = EMPTY
        if others:
            title = tag("summary", self.words("recipe.more", count=len(others)))
            more = tag("details", title, self._grid(others), class_="more")
        return join([self._grid(first), more])

    def _is_wanted(self, field: Field) -> bool:
        is_said = self.form.draft.value(field.path) is not None
        return field.is_required or is_said or bool(self._wrong(field))

    def _grid(self, fields: Iterable[Field]) -> Markup:
        return tag("div", *(self.field(field) for field in fields), class_="fields")

    def field(self, field: Field) -> Markup:
        """A field with its name, its hint, and what is wrong with it."""
        if field.input is Input.GROUP:
            return self._group(field)
        name, wrong = field_id(field.path), self._wrong(field)
        hint = self._hint(field)
        marks = [f"{name}-hint"] * bool(hint) + [f"{name}-error"] * bool(wrong)
        needed = tag("span", " *", aria_hidden="true") if field.is_required else EMPTY
        sentence = " ".join(_sentence(self.words, one) for one in wrong)
        return tag(
            "div",
            tag("label", key_words(self.words, field.key), needed, for_=name),
            self._input(field, " ".join(marks)),
            tag("p", hint, class_="hint", id=f"{name}-hint") if hint else EMPTY,
            tag("p", sentence, class_="field-error", id=f"{name}-error") if wrong else EMPTY,
            class_="field wide" if field.input in (Input.LONG, Input.YAML) else "field",
        )

    def _group(self, field: Field) -> Markup:
        title = tag("legend", key_words(self.words, field.key))
        wrong = join(
            tag("p", _sentence(self.words, one), class_="field-error") for one in self._wrong(field)
        )
        return tag("fieldset", title, wrong, self._fields(field.inner), class_="wide")

    def _input(self, field: Field, marks: str) -> Markup:
        value = written(self.form.draft.value(field.path))
        shared = {
            "id": field_id(field.path),
            "name": field_name(field.path),
            "aria_describedby": marks or None,
            "aria_invalid": "true" if self._wrong(field) else None,
            "aria_required": "true" if field.is_required else None,
        }
        if field.input is Input.CHOICE:
            return tag("select", *self._options(field, value), **shared)
        if field.input in (Input.LONG, Input.YAML):
            code = "mono" if field.input is Input.YAML else None
            rows = min(12, max(2, value.count("\n") + 1))
            return tag("textarea", value, rows=rows, class_=code, spellcheck="false", **shared)
        mode = "decimal" if field.input is Input.NUMBER else None
        return tag(
            "input",
            value=value,
            inputmode=mode,
            list=f"suggested-{field.suggestions}" if field.suggestions else None,
            autocomplete="off",
            spellcheck="false",
            **shared,
        )

    def _options(self, field: Field, value: str) -> list[Markup]:
        choices = [written(choice) for choice in field.choices]
        strange = [value] if value and value not in choices else []
        nothing = [""] if not value or not field.is_required else []
        return [
            tag("option", self._choice(field, one), value=one, selected=one == value)
            for one in (*nothing, *strange, *choices)
        ]

    def _choice(self, field: Field, choice: str) -> str:
        if choice == "":
            if field.default is None:
                return "–"
            default = self._choice(field, written(field.default))
            return self.words("recipe.default", value=default)
        is_flag = field.choices == (True, False)
        return self.words(_FLAGS[choice]) if is_flag and choice in _FLAGS else choice

    def _hint(self, field: Field) -> str:
        parts = [_range(field.bounds)]
        if field.input in (Input.TEXTS, Input.NUMBERS):
            parts.append(self.words("recipe.with_commas"))
        if field.default is not None and field.input is not Input.CHOICE:
            parts.append(self.words("recipe.default", value=written(field.default)))
        return " · ".join(part for part in parts if part)

    def _wrong(self, field: Field) -> list[RecipeProblem]:
        """What is wrong with a field, and with what of it has no field of its own."""
        inner = [one.path for one in every(field.inner)]
        return [
            one
            for one in self.problems
            if one.path[: len(field.path)] == field.path and not _covered(one.path, inner)
        ]

    def _targets(self) -> Markup:
        boxes = [self._target(target) for target in self.form.targets]
        named = self.form.chosen_targets
        wrong = join(
            tag("p", _sentence(self.words, one), class_="field-error")
            for one in self.problems
            if one.path[:1] == ("targets",) and len(one.path) == 2 and len(named)
        )
        title = tag("legend", self.words("recipe.targets"), class_="unseen")
        return join([wrong, tag("fieldset", title, *boxes, class_="boxes")])

    def _target(self, target: str) -> Markup:
        box = tag(
            "input",
            type="checkbox",
            id=field_id(("targets", target)),
            name=field_name(("targets", target)),
            checked=target in self.form.chosen_targets,
            disabled=target == TRAINED_TARGET and target in self.form.chosen_targets,
        )
        return tag("div", box, tag("label", target, for_=field_id(("targets", target))))

    def _gates(self) -> Markup:
        gates = [self._gate(gate) for gate in self.form.gates()]
        add = tag(
            "button",
            self.words("recipe.add_gate"),
            type="button",
            name="add_gate",
            id="add-gate",
            class_="button",
        )
        return join([*gates, tag("p", add)])

    def _gate(self, gate: Gate) -> Markup:
        number = gate.index + 1
        name = field_id(("gates", gate.index))
        options = [
            tag(
                "option",
                self.words(f"recipe.condition_{condition}") if condition else "–",
                value=condition,
                selected=condition == gate.condition,
            )
            for condition in (*([""] if not gate.condition else []), *CONDITIONS)
        ]
        condition = tag(
            "div",
            tag("label", self.words("recipe.condition"), for_=name),
            tag("select", *options, id=name, name=field_name(("gates", gate.index))),
            class_="field",
        )
        remove = tag(
            "button",
            self.words("recipe.remove_gate", number=number),
            type="button",
            name="remove_gate",
            value=gate.index,
            class_="button small",
        )
        shown = [self.field(field) for field in gate.fields if field.key != "not_worse_than"]
        title = tag("legend", self.words("recipe.gate", number=number))
        return tag("fieldset", title, tag("div", condition, *shown, class_="fields"), remove)


_FLAGS = {"true": "word.yes", "false": "word.no"}


def _sentence(words: Words, problem: RecipeProblem) -> str:
    return spoken(words, problem.message, problem.next_step)


def _section_of(path: Path) -> str:
    first = str(path[0]) if path else "basics"
    return first if first in _SECTION_KEYS else "basics"


def _covered(path: Path, known: Iterable[Path]) -> bool:
    return any(path[: len(one)] == one for one in known)


def _range(bounds: Bounds) -> str:
    low, high = bounds.low, bounds.high
    if low is not None and high is not None and not (bounds.is_low_open or bounds.is_high_open):
        return f"{written(low)} – {written(high)}"
    parts = []
    if low is not None:
        parts.append(f"{'>' if bounds.is_low_open else '≥'} {written(low)}")
    if high is not None:
        parts.append(f"{'<' if bounds.is_high_open else '≤'} {written(high)}")
    return ", ".join(parts)


def suggestion_lists(found: Suggestions) -> Markup:
    """What the fields offer."""
    lists = {"datasets": found.datasets, "parents": found.parents}
    return join(
        tag("datalist", *(tag("option", value=one) for one in named), id=f"suggested-{name}")
        for name, named in lists.items()
    )


def yaml_editor(words: Words, text: str, problems: Sequence[RecipeProblem]) -> Markup:
    """The text to be edited, with its lines numbered, and what is wrong in which of them."""
    num_lines = text.count("\n") + 1
    wrong = {problem.line for problem in problems}
    numbers = join(
        tag("span", number, class_="bad" if number in wrong else None)
        for number in range(1, num_lines + 200)
    )
    gutter = tag("div", numbers, class_="gutter", aria_hidden="true")
    area = tag(
        "textarea",
        "\n" if text.startswith("\n") else "",
        text,
        id="recipe-text",
        name="text",
        rows=num_lines + 1,
        wrap="off",
        spellcheck="false",
        autocomplete="off",
        aria_describedby="recipe-problems" if problems else None,
        aria_invalid="true" if problems else None,
    )
    label = tag("label", words("recipe.text"), for_="recipe-text")
    editor = tag("div", gutter, area, class_="editor")
    return tag("section", label, _line_list(words, problems), editor, class_="panel")


def _line_list(words: Words, problems: Sequence[RecipeProblem]) -> Markup:
    if not problems:
        return EMPTY
    items = [
        tag(
            "li",
            tag(
                "button",
                words("recipe.line", line=one.line, column=one.column),
                type="button",
                name="line",
                value=one.line,
                class_="as-link",
            ),
            " ",
            _sentence(words, one),
        )
        for one in sorted(problems, key=lambda one: (one.line, one.column))
    ]
    return tag("ul", *items, id="recipe-problems", class_="problems")


def listing(text: str, caption: str) -> Markup:
    """A recipe to be read, its lines numbered and each with an address."""
    lines = [
        tag("span", line or " ", id=f"line-{number}")
        for number, line in enumerate(text.rstrip("\n").split("\n"), start=1)
    ]
    return tag(
        "pre",
        tag("code", join(lines)),
        class_="listing",
        tabindex="0",
        role="region",
        aria_label=caption,
    )
