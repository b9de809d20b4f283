"""How the command line speaks: one JSON value for programs, tables and sentences for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dizuo.core.clock import iso, now_ms
from dizuo.core.errors import DizuoError

_PIPE_WIDTH = 200
_UNITS = ("B", "kB", "MB", "GB", "TB")
_AGES = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"))
_UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


def console(*, stderr: bool = False) -> Console:
    """Where people read. Into a pipe the lines are long, so that no id is broken in two."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())


def print_json(value: Any) -> None:
    """One JSON value as everything that goes to stdout."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def say(sentence: str, *, style: str = "") -> None:
    """One sentence on stdout."""
    console().print(plain(sentence, style))


def note(sentence: str) -> None:
    """One sentence on stderr, for people only."""
    console(stderr=True).print(plain(sentence, "dim"))


def plain(text: object, style: str = "") -> Text:
    """Text from anywhere as it would be read aloud: no markup, no control characters."""
    words = (c if c.isprintable() or c == "\n" else _UNPRINTABLE for c in str(text))
    return Text("".join(words), style=style)


def print_error(error: DizuoError, problems: Sequence[dict[str, Any]] = ()) -> None:
    """One clear sentence in red, further problems each with its line, and the next step."""
    screen = console(stderr=True)
    screen.print(plain(error.message, "bold red"))
    for problem in problems[1:]:
        screen.print(plain(f"line {problem.get('line')}: {problem.get('message')}", "red"))
    if error.next_step:
        screen.print(plain(error.next_step))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or the sentence `empty` if it has no rows. A column named `>x` is right-aligned."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        name = column.removeprefix(">")
        table.add_column(name, justify="right" if name != column else "left", overflow="fold")
    for row in rows:
        table.add_row(*(plain("" if cell is None else cell) for cell in row))
    if table.row_count:
        console().print(table)
    else:
        say(empty, style="dim")


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Names and values, one a line; what is empty is left out."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields:
        if value not in (None, "", [], {}, ()):
            table.add_row(name, plain(value))
    console().print(table)


def size(num_bytes: float | None) -> str:
    """`12.3 kB`: three digits that matter, powers of a thousand."""
    if num_bytes is None:
        return ""
    amount, unit = float(num_bytes), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 else f"{amount:.3g} {_UNITS[unit]}"


def age(milliseconds: int | None, *, now: int | None = None) -> str:
    """`5 min ago`, or an empty text where there is no time."""
    if not milliseconds:
        return ""
    passed = (now_ms() if now is None else now) - milliseconds
    for length, unit in _AGES:
        if passed >= length:
            return f"{passed // length} {unit} ago"
    return "just now"


def moment(milliseconds: int | None) -> str:
    """The time in UTC, or an empty text where there is none."""
    return iso(milliseconds) if milliseconds else ""
