"""The command line as a person meets it: arguments in, status and two streams out."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from dizuo.cli.main import main


@dataclass(frozen=True)
class Said:
    """What came of one command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Everything on stdout as one JSON value."""
        return json.loads(self.out)


def dizuo(*arguments: str) -> Said:
    """Run one command in this process; never with a traceback."""
    status = 0
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            main(list(arguments))
        except SystemExit as ending:
            status = ending.code if isinstance(ending.code, int) else 1
    said = Said(status, out.getvalue(), err.getvalue())
    assert "Traceback" not in said.out + said.err
    return said


def ok(*arguments: str) -> Said:
    """Run one command that must succeed."""
    said = dizuo(*arguments)
    assert said.status == 0, said
    return said
