"""Improvements in all their states with their evidence, in two projects of one hub's database."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session
from tests.improvements.scene import RECIPE
from tests.releases.stacks import digest_of, register

from dizuo.access import accounts
from dizuo.access.model import Principal, Role, Surface
from dizuo.access.passwords import hashed
from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id
from dizuo.database.engine import Database
from dizuo.datasets.store import DatasetRow, DatasetVersionRow, SampleRow
from dizuo.edge import wire
from dizuo.edge.join import decode
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.improvements import service as improvements
from dizuo.improvements.model import Improvement, ImprovementRequest
from dizuo.improvements.service import Step
from dizuo.sites import service as sites
from dizuo.stacks import service as stacks
from dizuo.stacks.model import StackVersion

SITES = ("harbour", "quarry", "north-shaft")
NAME = "meter-reading"
OTHER = "zebra"
"""The other project; every name in it holds this word."""
BOSS = f"{OTHER}-boss"
"""Its only admin."""
PASSWORD = "correct horse battery"
_ASKING = ("begin", "collect", "tune", "ask_approval")


@dataclass(frozen=True, slots=True)
class Scene:
    """Ids of what was put in."""

    waiting: tuple[str, ...]
    reviewing: str
    rejected: str
    failed: str
    others: str


def fill(database: Database) -> Scene:
    """Two improvements that wait for a person, and one each that waits for reviews, was rejected,
    and failed; and one that waits in the other project."""
    with database.transaction() as session:
        for name in SITES:
            _join(session, name)
        incumbent = register(session, NAME, 1)
        gates.save_report(session, incumbent.digest, report(incumbent, ""))
        stacks.mark_released(session, incumbent, "person:lin")
        for site in SITES[:2]:
            _run(session, site, incumbent)
        waiting = tuple(add_waiting(session, version) for version in (2, 3))
        reviewing = _start(session, "default", NAME, SITES[:1], min_samples=50).id
        rejected = _start(session, "default", NAME, SITES[:1], min_samples=80)
        lin = Principal("1", "lin", Surface.CONSOLE, "default", Role.RELEASER)
        improvements.decide(session, rejected.id, lin, approve=False, reason="wrong dataset")
        failed = _start(session, "default", NAME, SITES[:1])
        for step in (
            Step("begin", {}),
            Step("fail", {}, "The tune run ended as failed. The disk is full."),
        ):
            failed = improvements.move(session, failed, step, f"workflow:{failed.id}")
    return Scene(waiting, reviewing, rejected.id, failed.id, _others(database))


def _others(database: Database) -> str:
    """The other project: an admin who is its last, a site, and an improvement that waits."""
    boss = Principal("2", BOSS, Surface.API, OTHER, Role.ADMIN)
    password = hashed(boss.name, PASSWORD)
    with database.transaction() as session:
        accounts.create(session, boss, boss.name, Role.ADMIN, password)
        _join(session, f"{OTHER}-site", OTHER)
        return add_waiting(
            session, 1, project=OTHER, name=f"{OTHER}-model", sites=(f"{OTHER}-site",)
        )


def _join(session: Session, name: str, project: str = "default") -> None:
    token = sites.create_join_token(
        session, "operator:ann", "http://127.0.0.1:1", "sha256:" + "0" * 64, project_id=project
    )
    secret = decode(token.text).secret
    sites.enrol(session, wire.EnrolRequest(secret=secret, site_name=name, agent_version="1"))


def _run(session: Session, site: str, stack: StackVersion) -> None:
    """Let a site say that it serves a stack."""
    direction = wire.Direction(
        served_as=stack.name,
        name=stack.name,
        version=stack.version,
        digest=stack.digest,
        family=stack.family,
        target="onnx",
    )
    running = wire.DesiredState(generation=1, stacks=(direction,))
    sites.check_in(session, site, wire.CheckIn(state="serving", running=running), 1.0)


def _start(
    session: Session, project: str, name: str, to: tuple[str, ...], min_samples: int = 1
) -> Improvement:
    request = ImprovementRequest(
        recipe=RECIPE,
        dataset=f"{name}-rows",
        family="vision",
        sites=to,
        served_as=name,
        min_samples=min_samples,
    )
    actor = "person:bo" if project == "default" else f"person:{BOSS}"
    return improvements.start(session, request, actor, needs_approval=True, project_id=project)


def add_waiting(
    session: Session,
    version: int,
    *,
    project: str = "default",
    name: str = NAME,
    sites: tuple[str, ...] = SITES,
) -> str:
    """An improvement that waits for a person, with all its evidence; its id."""
    stack = register(session, name, version, project_id=project)
    incumbent = f"{NAME}:1" if project == "default" else ""
    found = report(stack, incumbent)
    gates.save_report(session, stack.digest, found, project_id=project)
    made = _start(session, project, name, sites)
    refs = [_dataset(session, project, f"{name}-rows", version, made.id)]
    steps: dict[str, dict[str, object]] = {
        "collect": {"dataset_versions": refs, "recipe_used": RECIPE, "tune_run_id": new_id()},
        "tune": {"stack": stack.ref, "gate_run_id": new_id()},
    }
    for rule in _ASKING:
        reason = "The gates were passed; a person must approve." if rule == "ask_approval" else ""
        step = Step(rule, steps.get(rule, {}), reason)
        made = improvements.move(session, made, step, f"workflow:{made.id}")
    return made.id


def report(stack: StackVersion, incumbent: str) -> GateReport:
    """Gates that were all met, in numbers."""
    suite = f"{stack.name}-rows-test@1"
    score = RuleResult(
        rule={"suite": suite, "metric": "accuracy", "at_least": 0.9},
        sentence=f"accuracy on {suite} is at least 0.9",
        verdict=Verdict.PASS,
        reason="0.964 (95% interval 0.941 to 0.979, 500 rows).",
        measured=0.964,
        low=0.941,
        high=0.979,
        confidence=0.95,
        num_rows=500,
    )
    rules = [score]
    if incumbent:
        rules.append(
            RuleResult(
                rule={"suite": suite, "metric": "accuracy", "not_worse_than": "incumbent"},
                sentence=f"accuracy on {suite} is not worse than the incumbent's",
                verdict=Verdict.PASS,
                reason=f"0.031 better than {incumbent} (95% interval 0.008 to 0.054, 500 rows).",
                measured=0.031,
                low=0.008,
                high=0.054,
                confidence=0.95,
                num_rows=500,
                against=incumbent,
            )
        )
    rules.append(
        RuleResult(
            rule={"target": "onnx", "p95_latency_ms_at_most": 400},
            sentence="the 95th percentile of latency as onnx is at most 400 ms",
            verdict=Verdict.PASS,
            reason="38.20 ms over 200 single requests.",
            target="onnx",
            measured=38.2,
        )
    )
    return GateReport(
        stack.ref, stack.digest, stack.family, 1, stack.created_ms, rules=tuple(rules)
    )


def _dataset(session: Session, project: str, name: str, version: int, origin: str) -> str:
    owner = DatasetRow(
        id=new_id(),
        project_id=project,
        name=f"{name}-{version}",
        family="vision",
        uri="/nowhere",
        holdout=0.2,
        created_ms=now_ms(),
    )
    session.add(owner)
    row = DatasetVersionRow(
        id=new_id(),
        project_id=project,
        dataset_id=owner.id,
        version=1,
        digest=digest_of(f"{project}/{name}@{version}"),
        num_rows=4210,
        tag="v1",
        origin=f"improvement:{origin}",
        mode="append",
        parent_version=None,
        num_added=12,
        num_removed=0,
        num_rejected=0,
        num_duplicates=0,
        created_ms=now_ms(),
    )
    session.add(row)
    session.flush()
    for number in range(12):
        session.add(_sample(project, row.id, f"{name}/{version}/{number}", number))
    session.flush()
    return f"{owner.name}@1"


def _sample(project: str, version_id: str, key: str, number: int) -> SampleRow:
    return SampleRow(
        id=new_id(),
        project_id=project,
        digest=digest_of(f"{project}/{key}"),
        site=SITES[0] if project == "default" else f"{project}-site",
        family="vision",
        served_as=NAME if project == "default" else f"{project}-model",
        stack_digest=digest_of("stack"),
        answer="3",
        confidence=0.4,
        reason="uncertain",
        taken_ms=1,
        received_ms=2,
        state="used",
        label="8",
        reviewer=("person:bo", "person:mei", "operator:ann")[number % 3],
        reviewed_ms=3,
        dataset_version_id=version_id,
    )
