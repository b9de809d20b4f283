"""A measurement's result: a table for people, and one JSON line last for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from dizuo.cli.output import print_error, print_table, say
from dizuo.core.errors import DizuoError


@dataclass(frozen=True, slots=True)
class Result:
    """What came out, beside what was aimed at.

    `aim` is a sentence, `measured` the one figure it speaks of, in `unit`. `met` is None where the
    run was not of the size that the aim speaks of. `raw` has every figure that `measured` follows
    from, and what else was measured on the way.
    """

    name: str
    aim: str
    measured: float
    unit: str
    met: bool | None
    raw: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form: the five fields, then the raw figures beside them.

        Raises:
            ValueError: a raw figure has the name of a field.
        """
        fields = {
            "name": self.name,
            "aim": self.aim,
            "measured": self.measured,
            "unit": self.unit,
            "met": self.met,
        }
        clashing = sorted(fields.keys() & self.raw.keys())
        if clashing:
            raise ValueError(f"a raw figure may not be called {clashing[0]}")
        return {**fields, **self.raw}

    def line(self) -> str:
        """The JSON form on one line; never NaN or infinity, which are not JSON."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)


def publish(result: Result, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print the figures as a table, the verdict as a sentence, and the JSON line last."""
    print_table(columns, rows, empty="Nothing was measured.")
    verdict = {True: "met", False: "not met", None: "not what this run was of the size to show"}
    say(f"{result.measured:.4g} {result.unit}. Aim: {result.aim}: {verdict[result.met]}.")
    sys.stdout.write(result.line() + "\n")


def run(measurement: Callable[..., None]) -> None:
    """Run a measurement as a command; an expected error ends it with one sentence."""
    try:
        typer.run(measurement)
    except DizuoError as error:
        print_error(error)
        raise SystemExit(1) from error
