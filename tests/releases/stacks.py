"""Registered stacks, gate reports, and a clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.artifacts.model import Level
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.stacks import store
from dizuo.stacks.model import StackVersion

DAY_MS = 24 * 3600 * 1000


@dataclass
class HubClock:
    """The wall clock, moved ahead by `ahead_ms`."""

    ahead_ms: int = 0

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms

    def pass_days(self, days: float) -> None:
        self.ahead_ms += int(days * DAY_MS)


def digest_of(text: str) -> str:
    """A digest that is this text's own."""
    return sha256_bytes(text.encode())


def register(
    session: Session,
    name: str = "meter-reading",
    version: int = 1,
    *,
    targets: tuple[str, ...] = ("safetensors", "onnx"),
    project_id: str = "default",
    recipe: str = "",
) -> StackVersion:
    """A stack version in the database, as `stacks.service.register` leaves it."""
    stack = StackVersion(
        id=new_id(),
        project_id=project_id,
        name=name,
        version=version,
        level=Level.L1,
        family="vision",
        digest=digest_of(f"{project_id}/{name}:{version}"),
        index_size_bytes=1000 + version,
        targets=targets,
        parent_digest=None,
        input_digest=digest_of(f"inputs of {project_id}/{name}:{version}"),
        run_id=new_id(),
        recipe=recipe,
        datasets=(),
        bytes_total=10,
        bytes_added=10,
        created_ms=now_ms(),
    )
    store.add(session, stack)
    return stack


def gate(session: Session, stack: StackVersion, *verdicts: Verdict, seed: int = 0) -> None:
    """Save a report with these verdicts; none at all makes a report without rules."""
    rules = tuple(
        RuleResult(
            rule={"metric": "accuracy"}, sentence="It reads.", verdict=one, reason="measured"
        )
        for one in verdicts
    )
    report = GateReport(
        stack=stack.ref,
        stack_digest=stack.digest,
        family=stack.family,
        seed=seed,
        created_ms=now_ms(),
        rules=rules,
    )
    gates.save_report(session, stack.digest, report, project_id=stack.project_id)


def gated(session: Session, name: str = "meter-reading", version: int = 1) -> StackVersion:
    """A registered stack whose gates were passed."""
    stack = register(session, name, version)
    gate(session, stack, Verdict.PASS)
    return stack
