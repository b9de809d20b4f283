"""A gate report for people."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dizuo.gates.report import Fidelity, GateReport, RuleResult, Verdict

_WORDS = {
    Verdict.PASS: ("met", "green"),
    Verdict.FAIL: ("not met", "red"),
    Verdict.CANNOT_TELL: ("cannot tell", "yellow"),
}
_MAX_SHOWN = 3
_PROMPT_CHARACTERS = 80


def render(report: GateReport) -> RenderableType:
    """The report as a table, a sentence, and the worst rows of the rules that were not met; of
    agreement with the trained stack always the rows that are furthest from it."""
    parts: list[RenderableType] = [_table(report)] if report.rules else []
    parts.append(Text(report.summary(), style="bold green" if report.passed else "bold red"))
    missed = [rule for rule in report.rules if not rule.passed]
    rows = dict.fromkeys(example.row for rule in missed for example in rule.worst[:_MAX_SHOWN])
    examples = {e.row: e for rule in missed for e in rule.worst if e.row in rows}
    for example in examples.values():
        where = example.source or example.row
        parts.append(
            Text(
                f"  {where}: answered {example.answer!r}, right is {example.truth!r}"
                f" (confidence {example.confidence:.2f})"
            )
        )
    parts += [line for rule in report.rules if rule.furthest for line in _furthest(rule)]
    return Group(*parts)


def _furthest(rule: RuleResult) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(f"Furthest from the trained model in {rule.target}:")]
    for example in rule.furthest[:_MAX_SHOWN]:
        answers = f"trained {example.trained!r}, exported {example.exported!r}"
        if example.trained == example.exported:
            answers = f"both {example.trained!r}"
        lines.append(Text(f"  {_short(example.prompt)}: {answers}{_figures(example.fidelity)}"))
    return lines


def _short(prompt: str) -> str:
    line = " ".join(prompt.split())
    return line if len(line) <= _PROMPT_CHARACTERS else f"{line[:_PROMPT_CHARACTERS]}…"


def _figures(fidelity: Fidelity | None) -> str:
    if fidelity is None:
        return ""
    return f" (top-1 {fidelity.top1_agreement:.1%}, KL {fidelity.mean_kl_nats:.2g} nats)"


def _table(report: GateReport) -> Table:
    table = Table(title=f"Gates of {report.stack}", title_justify="left")
    for heading in ("gate", "answer", "measured"):
        table.add_column(heading, overflow="fold")
    for rule in report.rules:
        word, style = _WORDS[rule.verdict]
        table.add_row(Text(rule.sentence), Text(word, style=style), _reason(rule))
    return table


def _reason(rule: RuleResult) -> Text:
    return Text(f"{rule.reason} [{rule.target}]" if rule.target else rule.reason)
