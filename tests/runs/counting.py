"""A kind of run from outside the project: it counts, hashing as it goes, and can be held anywhere.

Registered through an entry point of a distribution of its own (see the `counting_installed`
fixture), so hub and worker find it as they find any stranger's.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput, Unavailable
from dizuo.core.files import open_atomic
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import Cancelled
from dizuo.runs.kinds import RunContext, Workspace
from dizuo.runs.model import Run


class CountingKind:
    """Spec and job: `steps`; `diary` (a folder: one append-only file `steps`, files `at-*` appear
    where it is, files `go-*` let it go on); `hold`: names of places to wait at; `deaf`: does not
    listen to cancel; `fork`: a child is left behind; `fail`, `crash` or `infinite`: how it ends;
    `busy`, `refuse`, `known`, `unprepared`, `unfinished`, `broken`: what the hub's half says."""

    name = "counting"

    def check(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        counting = _Counting(spec, lambda: False)
        counting.reach("check")
        if "busy" in spec and not (Path(spec["diary"]) / "go-busy").exists():
            counting.note("busy")
            raise Unavailable(spec["busy"])
        if "refuse" in spec:
            raise InvalidInput(spec["refuse"])
        return spec.get("known")

    def prepare(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any]:
        if "unprepared" in spec:
            raise InvalidInput(spec["unprepared"])
        return dict(spec)

    def work(
        self,
        job: Mapping[str, Any],
        workspace: Workspace,
        report: Reporter,
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        counting = _Counting(job, cancelled)
        saved = workspace.checkpoints / "state.json"
        step, value = json.loads(saved.read_bytes()) if saved.exists() else (0, "start")
        counting.note(f"begin {step}")
        if job.get("fork") and step == 0 and os.fork() == 0:
            threading.Event().wait()
        (workspace.scratch / "big").write_bytes(b"0" * 100)
        while step < job["steps"]:
            counting.reach(f"step-{step}")
            value, step = sha256_bytes(f"{value}{step}".encode()), step + 1
            with open_atomic(saved) as stream:
                stream.write(json.dumps([step, value]).encode()[:5])
                stream.flush()
                counting.reach(f"saving-{step}")
                stream.seek(0)
                stream.write(json.dumps([step, value]).encode())
            counting.note(f"step {step}")
            report(Progress("count", step, job["steps"], metrics={"loss": 1 / step}))
        if "fail" in job:
            raise InvalidInput(job["fail"], next_step="Count better.")
        if "crash" in job:
            raise ZeroDivisionError(job["crash"])
        counting.note("end")
        return {"value": math.inf if job.get("infinite") else value}

    def finish(
        self, context: RunContext, session: Session, run: Run, result: Mapping[str, Any]
    ) -> dict[str, Any]:
        audit.record(session, "counting", "counting.counted", run.subject, dict(result))
        if "unfinished" in run.spec:
            raise InvalidInput(run.spec["unfinished"])
        if "broken" in run.spec:
            raise ZeroDivisionError(run.spec["broken"])
        return {"value": result["value"]}


class _Counting:
    def __init__(self, job: Mapping[str, Any], cancelled: Callable[[], bool]) -> None:
        self._diary = Path(job["diary"])
        self._hold = job.get("hold", [])
        self._is_deaf = bool(job.get("deaf"))
        self._listen = cancelled

    def _cancelled(self) -> bool:
        return not self._is_deaf and self._listen()

    def note(self, line: str) -> None:
        with (self._diary / "steps").open("a") as stream:
            stream.write(f"{os.getpid()} {line}\n")

    def reach(self, place: str) -> None:
        if self._cancelled():
            raise Cancelled
        if place not in self._hold:
            return
        (self._diary / f"at-{place}").touch()
        while not (self._diary / f"go-{place}").exists():
            if self._cancelled():
                raise Cancelled
            threading.Event().wait(0.01)


KIND = CountingKind()


def expected_value(steps: int) -> str:
    """What counting to `steps` without interruption gives."""
    value = "start"
    for step in range(steps):
        value = sha256_bytes(f"{value}{step}".encode())
    return value
