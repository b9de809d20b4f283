"""What a refusal looks like to a person and to a program, and that it changed nothing."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from tests.cli.door import Said, dizuo

from dizuo.client.hub import HubClient

COMMAND_SECONDS = 60
_LONGEST = 300
_MACHINE_TALK = (
    "Traceback",
    "Exception",
    "<class",
    "object at 0x",
    "NoneType",
    "pydantic",
    "sqlalchemy",
    "sqlite3",
    "[Errno",
    "in a way it should not",
    "unexpected error",
)
_BAR = "━"


@dataclass(frozen=True)
class Refusal:
    """One refusal, as it was told."""

    code: str
    message: str
    next_step: str
    lines: tuple[int, ...] = ()

    def matches(self, code: str, says: str, next_step: str = "") -> None:
        assert self.code == code, self
        assert re.search(says, self.message), self
        assert re.search(next_step, self.next_step), self


def one_clear_sentence(message: str) -> None:
    """Hold a message to what the project promises about every one of them."""
    assert message.endswith("."), message
    assert "\n" not in message, message
    assert 10 < len(message) <= _LONGEST, message
    assert not re.search(r"[a-z]\. [A-Z]", message), f"more than one sentence: {message}"
    for word in _MACHINE_TALK:
        assert word not in message, message


def refusal_of(answer: Mapping[str, Any]) -> Refusal:
    """The refusal in the one JSON shape of errors."""
    error = answer["error"]
    assert error.keys() == {"code", "message", "next_step", "retryable"}
    one_clear_sentence(error["message"])
    lines = tuple(problem["line"] for problem in answer.get("problems", ()))
    return Refusal(error["code"], error["message"], error["next_step"], lines)


def refused(*arguments: str) -> Refusal:
    """Run a command, in this process, that must be refused: status 1, and people and programs are
    told the same."""
    said = dizuo(*arguments, "--json")
    assert said.status == 1, said
    told = refusal_of(said.json)
    shown = [line for line in said.err.splitlines() if line and _BAR not in line]
    assert shown[0] == told.message
    assert len(shown) == len(told.lines[1:]) + 1 + bool(told.next_step), said.err
    if told.next_step:
        assert shown[-1] == told.next_step
    return told


def refused_by_a_process(*arguments: str) -> str:
    """The same as a process of its own, as a shell runs it; what it wrote to stderr."""
    done = run_process(*arguments)
    assert done.status == 1, done
    assert done.out == ""
    first, *rest = [line for line in done.err.splitlines() if line and _BAR not in line]
    one_clear_sentence(first)
    assert len(rest) <= 1, done.err
    return done.err


def run_process(*arguments: str) -> Said:
    """One command as a process, ended if it does not end by itself."""
    done = subprocess.run(
        [sys.executable, "-m", "dizuo.cli.main", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def refused_over_http(response: httpx2.Response, status: int) -> Refusal:
    """An HTTP answer that must be a refusal with this status, in the one shape of errors."""
    assert response.status_code == status, (response.status_code, response.text)
    return refusal_of(response.json())


@dataclass(frozen=True)
class RunningHub:
    """A real hub process and what an operator knows about it."""

    home: Path
    client: HubClient
    token: str = field(repr=False)
    first_timestamp: bytes = field(repr=False)

    def http(self, token: str | None = None) -> httpx2.Client:
        """Plain HTTP, with the admin's token or another; close it."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        return httpx2.Client(base_url=self.client.url, headers=headers, timeout=60)

    def facts(self) -> dict[str, Any]:
        """Everything the hub holds that bad input could have changed."""
        hub = self.client
        return {
            "audit": hub.audit(limit=1),
            "runs": hub.runs({"limit": 1000}),
            "stacks": hub.stacks(),
            "datasets": hub.datasets(),
            "releases": hub.releases(),
            "rollouts": hub.rollouts(),
            "improvements": hub.improvements(),
            "tokens": hub.tokens(),
            "sites": [_standing(site) for site in hub.sites()],
            "folders": sorted(
                str(path.relative_to(self.home))
                for room in ("runs", "datasets", "tuf", "keys", "samples")
                for path in (self.home / room).glob("*")
            ),
        }

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What happens inside must leave the hub as it was."""
        before = self.facts()
        yield
        after = self.facts()
        assert after == before


def _standing(site: dict[str, Any]) -> dict[str, Any]:
    moving = ("last_seen_ms", "answers", "samples_waiting")
    return {key: value for key, value in site.items() if key not in moving}
