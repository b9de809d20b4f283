"""What is different between two stack versions, on a page."""

from __future__ import annotations

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, Column, badge, join, table, tag
from dizuo.console.elements.telling import num_bytes
from dizuo.console.messages import Words
from dizuo.console.stacks.gate_panel import difference_text, measured_text, rule_sentence
from dizuo.gates.report import RuleResult
from dizuo.stacks.comparing import Change, Comparison, DatasetChange, FigureChange, Line
from dizuo.stacks.model import StackVersion

_MARKS = {Change.ADDED: "+", Change.REMOVED: "−", Change.SAME: " "}
_TONES = {Change.ADDED: "good", Change.REMOVED: "bad", Change.SAME: "neutral"}


def diff_panel(words: Words, found: Comparison) -> Markup:
    """Bytes, targets and data; gate figures; and the recipes line by line."""
    return join([_facts(words, found), _figures(words, found), _recipe(words, found)])


def _facts(words: Words, found: Comparison) -> Markup:
    before, after = found.before, found.after
    rows: list[tuple[object, ...]] = [
        (words("column.adds"), num_bytes(before.bytes_added), num_bytes(after.bytes_added)),
        (words("column.whole"), num_bytes(before.bytes_total), num_bytes(after.bytes_total)),
        (words("stack.targets"), ", ".join(before.targets), _targets(words, found)),
        *(_dataset(words, one) for one in found.datasets),
    ]
    return table(_columns(words, before, after), rows, words("diff.facts"))


def _columns(words: Words, before: StackVersion, after: StackVersion) -> list[Column]:
    return [Column(words("diff.what")), Column(before.ref), Column(after.ref)]


def _targets(words: Words, found: Comparison) -> Markup:
    told = [
        target if change is Change.SAME else _changed(words, target, change)
        for target, change in found.targets
    ]
    return join(told, ", ")


def _changed(words: Words, text: str, change: Change) -> Markup:
    return join([text, " ", badge(words(f"diff.{change.value}"), _TONES[change])])


def _dataset(words: Words, one: DatasetChange) -> tuple[object, ...]:
    name = join([words(f"use.{one.use}"), ": ", one.name])
    before, after = (
        "–" if version is None else f"{one.name}@{version}" for version in (one.before, one.after)
    )
    if before == after:
        return name, before, after
    change = Change.ADDED if one.before is None else Change.REMOVED if one.after is None else None
    key = change.value if change else "changed"
    tone = _TONES[change] if change else "busy"
    return name, before, join([after, " ", badge(words(f"diff.{key}"), tone)])


def _figures(words: Words, found: Comparison) -> Markup:
    if not found.figures:
        return tag("p", words("diff.no_figures"), class_="muted")
    columns = [
        Column(words("gates.rule")),
        Column(found.before.ref, is_number=True),
        Column(found.after.ref, is_number=True),
        Column(words("diff.difference"), is_number=True),
    ]
    rows = [_figure(words, one) for one in found.figures]
    title = words("diff.figures")
    return join([tag("h3", title), table(columns, rows, title)])


def _figure(words: Words, one: FigureChange) -> tuple[object, ...]:
    result = one.after or one.before
    assert result is not None, "a figure is of one of two reports"
    return (
        rule_sentence(words, result),
        _measured(one.before),
        _measured(one.after),
        difference_text(result, one.difference),
    )


def _measured(result: RuleResult | None) -> str:
    return "–" if result is None else measured_text(result, result.measured)


def _recipe(words: Words, found: Comparison) -> Markup:
    title = tag("h3", words("stack.recipe"))
    if not found.recipe:
        return join([title, tag("p", words("diff.same_recipe"), class_="muted")])
    body = join(_line(words, line) for line in found.recipe)
    lines = tag(
        "table",
        tag("caption", words("stack.recipe"), class_="unseen"),
        tag("tbody", body),
        class_="diff",
    )
    label = words("diff.recipe", before=found.before.ref, after=found.after.ref)
    whole = tag("div", lines, class_="table-wide", tabindex="0", role="region", aria_label=label)
    return join([title, whole])


def _line(words: Words, line: Line) -> Markup:
    if line.change is Change.SKIPPED:
        return tag("tr", tag("td", "⋯", colspan="4"), class_="skipped")
    numbers = [
        tag("td", number or "", class_="at") for number in (line.number_before, line.number_after)
    ]
    told = EMPTY
    if line.change is not Change.SAME:
        told = tag("span", words(f"diff.{line.change.value}"), class_="unseen")
    mark = tag("td", tag("span", _MARKS[line.change], aria_hidden="true"), told, class_="mark")
    text = tag("td", tag("code", line.text))
    return tag("tr", *numbers, mark, text, class_=line.change.value)
