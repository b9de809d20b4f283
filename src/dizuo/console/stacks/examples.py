"""The rows that a stack got worst, with what they ask: as text, or as the pictures they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from sqlalchemy.orm import Session

from dizuo.console.elements.markup import EMPTY, Column, join, link, table, tag
from dizuo.console.elements.pictures import picture_type
from dizuo.console.messages import Words
from dizuo.console.stacks.gate_panel import fidelity_text
from dizuo.core.errors import DizuoError
from dizuo.datasets import service as datasets
from dizuo.datasets.model import ANSWER_COLUMNS, StoredRow
from dizuo.datasets.names import parse_ref
from dizuo.datasets.table import read_chosen
from dizuo.gates.report import GateReport, RuleResult, WorstExample

NUM_SHOWN = 8
MAX_CHARACTERS = 600


@dataclass(frozen=True, slots=True)
class Example:
    """A row that a stack got wrong; `row` is None where the suite cannot be read any more."""

    worst: WorstExample
    row: StoredRow | None


@dataclass(frozen=True, slots=True)
class Group:
    """The worst rows of one suite in one target."""

    suite: str
    target: str
    examples: tuple[Example, ...]


def worst_of(session: Session, project_id: str, report: GateReport) -> list[Group]:
    """The worst rows of each suite of a report, those of rules that were not met first."""
    chosen: dict[tuple[str, str], dict[str, WorstExample]] = {}
    for result in sorted(report.rules, key=lambda one: one.passed):
        if result.worst and isinstance(suite := result.rule.get("suite"), str):
            rows = chosen.setdefault((suite, result.target), {})
            rows.update((one.row, one) for one in result.worst if one.row not in rows)
    return [
        Group(suite, target, _read(session, project_id, suite, list(rows.values())[:NUM_SHOWN]))
        for (suite, target), rows in chosen.items()
    ]


def _read(
    session: Session, project_id: str, suite: str, worst: Sequence[WorstExample]
) -> tuple[Example, ...]:
    try:
        rows = rows_of(session, project_id, suite, [one.row for one in worst])
    except DizuoError:  # removed, damaged, another project's: the report stands without it
        rows = {}
    return tuple(Example(one, rows.get(one.row)) for one in worst)


def rows_of(
    session: Session, project_id: str, suite: str, digests: Sequence[str]
) -> dict[str, StoredRow]:
    """Rows of a suite by their digests; none of a suite of another project.

    Raises:
        PinRefused, DatasetMissing, DatasetDamaged: the suite cannot be read.
    """
    ref = parse_ref(suite, project=project_id)
    if ref.project != project_id:
        return {}
    return read_chosen(datasets.find(session, ref).pin, digests)


def worst_panel(words: Words, address: str, groups: Sequence[Group]) -> Markup:
    """The worst rows for people; `address` is that of the stack's page."""
    return join(_group(words, address, one) for one in groups)


def _group(words: Words, address: str, group: Group) -> Markup:
    name, _, version = group.suite.rpartition("/")[2].partition("@")
    suite = link(group.suite, f"/data/{name}/{version}")
    title = tag("h3", words("gates.worst_in"), " ", suite, f" · {group.target}")
    cards = [_card(words, address, one) for one in group.examples]
    return join([title, tag("ul", *cards, class_="examples")])


def _card(words: Words, address: str, example: Example) -> Markup:
    worst = example.worst
    facts = [
        (words("gates.answered"), _said(worst.answer)),
        (words("gates.right"), _said(worst.truth)),
        (words("gates.confidence"), f"{worst.confidence:.0%}"),
        (words("gates.source"), worst.source or "–"),
    ]
    told = tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts))
    return tag("li", _asked(words, address, example), told)


def _asked(words: Words, address: str, example: Example) -> Markup:
    if example.row is None:
        return tag("p", words("gates.row_unreadable"), class_="muted")
    parts = [
        tag(
            "img",
            src=f"{address}/rows/{example.row.row_digest}/{column}",
            alt=words("gates.picture_of", source=example.worst.source or column),
            loading="lazy",
        )
        for column in picture_columns(example.row)
    ]
    text = asked_text(example.row)
    return join([*parts, tag("p", text, class_="asked") if text else EMPTY])


def picture_columns(row: StoredRow) -> Iterator[str]:
    """The columns of a row that hold a picture."""
    return (name for name, value in row.columns.items() if picture_type(value))


def asked_text(row: StoredRow) -> str:
    """What a row asks, but for its bytes: a text as it is, else JSON; at most MAX_CHARACTERS."""
    told = {
        name: value
        for name, value in row.columns.items()
        if name not in ANSWER_COLUMNS and not isinstance(value, bytes)
    }
    if not told:
        return ""
    whole = next(iter(told.values())) if len(told) == 1 else told
    text = whole if isinstance(whole, str) else json.dumps(whole, ensure_ascii=False)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def furthest_panel(words: Words, results: Sequence[RuleResult]) -> Markup:
    """What the exported stack answers otherwise than the trained one, or sees furthest from it."""
    parts = []
    for result in results:
        if not result.furthest:
            continue
        title = words("gates.furthest", target=result.target)
        names = ("asked", "trained", "exported", "agrees", "nearness")
        rows = [
            (
                tag("span", _clipped(one.prompt), class_="asked"),
                _said(one.trained),
                _said(one.exported),
                words("word.yes" if one.agrees else "word.no"),
                fidelity_text(words, one.fidelity),
            )
            for one in result.furthest
        ]
        columns = [Column(words(f"gates.{name}")) for name in names]
        parts.append(join([tag("h3", title), table(columns, rows, title)]))
    return join(parts)


def _clipped(text: str) -> str:
    return text if len(text) <= 160 else f"{text[:160]}…"


def _said(value: Any) -> Markup:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return tag("code", text)
