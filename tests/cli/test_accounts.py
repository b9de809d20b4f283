"""Accounts by the command line, against a real hub and at a real terminal."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.cli.door import Said, dizuo, ok

PASSWORD = "correct horse 电池"
QUESTIONS = (b"Password: ", b"Repeat for confirmation: ")
"""With the space: it is printed once the terminal shows nothing of what is typed."""


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    """What is written to standard input."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(raw, encoding="utf-8"))
    return raw


def _give(typed: io.BytesIO, line: bytes) -> None:
    typed.seek(0)
    typed.truncate()
    typed.write(line)
    typed.seek(0)


def test_an_account_from_its_making_to_its_end(at_hub: Path, typed: io.BytesIO) -> None:
    _give(typed, f"{PASSWORD}\nnot this line\n".encode())
    made = ok("account", "create", "ann", "--role", "builder", "--password-stdin", "--json").json
    assert (made["name"], made["role"], made["disabled_ms"]) == ("ann", "builder", None)
    _give(typed, b"another battery staple\r\n")
    said = ok("account", "password", "ann", "--password-stdin")
    assert said.out == "ann has another password.\n"
    assert ok("account", "role", "ann", "releaser").out == "ann has the role releaser.\n"
    assert ok("account", "disable", "ann").out == "ann cannot sign in any more.\n"
    row = ok("account", "ls").out.splitlines()[1].split()
    assert row[:2] == ["ann", "releaser"]
    (listed,) = ok("account", "ls", "--json").json
    assert listed["disabled_ms"] > 0
    assert ok("account", "enable", "ann").out == "ann can sign in again.\n"
    log = ok("audit", "log", "--json").out
    assert "account.created" in log
    assert PASSWORD not in log


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", "password_missing"),
        (b"\n", "password_missing"),
        (b"\xff\xfe\xfd\n", "password_missing"),
        (b"short\n", "password_refused"),
        (b"x" * 5000, "password_refused"),
    ],
)
def test_what_is_no_password_makes_no_account(
    at_hub: Path, typed: io.BytesIO, line: bytes, code: str
) -> None:
    _give(typed, line)
    refused = dizuo("account", "create", "carl", "--password-stdin", "--json")
    assert (refused.status, refused.json["error"]["code"]) == (1, code)
    assert "carl" not in [one["name"] for one in ok("account", "ls", "--json").json]


def test_without_a_terminal_nobody_is_asked(at_hub: Path, typed: io.BytesIO) -> None:
    _give(typed, f"{PASSWORD}\n".encode())
    refused = dizuo("account", "create", "carl", "--json")
    assert (refused.status, refused.json["error"]["code"]) == (1, "password_missing")
    assert "--password-stdin" in refused.err


@pytest.mark.parametrize("action", ["disable", "enable"])
def test_there_is_no_such_account(at_hub: Path, action: str) -> None:
    refused = dizuo("account", action, "nobody", "--json")
    assert (refused.status, refused.json["error"]["code"]) == (1, "account_not_found")


def _at_a_terminal(home: Path, *answers: str) -> Said:
    """Run `account create bob --json` in a process with a terminal of its own, where somebody
    answers each question once it is asked. `err` is what the terminal shows."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from dizuo.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, "account", "create", "bob", "--json"],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "DIZUO_HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = _answered(ours, answers)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()  # nothing, if it has ended
        os.close(ours)
    return Said(process.returncode, out.decode(), shown)


def _answered(terminal: int, answers: Sequence[str]) -> str:
    """Everything that is shown until the other end is closed; each question gets its answer."""
    shown, num_answered = b"", 0
    with suppress(OSError):  # Linux says so when the other end is closed
        while piece := os.read(terminal, 4096):
            shown += piece
            if sum(shown.count(question) for question in QUESTIONS) > num_answered:
                os.write(terminal, f"{answers[num_answered]}\n".encode())
                num_answered += 1
    return shown.decode()


def test_at_a_terminal_a_password_is_asked_for_twice_and_never_shown(at_hub: Path) -> None:
    said = _at_a_terminal(at_hub, PASSWORD, "something else", PASSWORD, PASSWORD)
    assert said.status == 0
    assert said.json["name"] == "bob"
    assert said.err.count("Password:") == 2
    assert "do not match" in said.err
    assert PASSWORD not in said.err
