"""Stacks in a hub's home as its rooms leave them: built, gated, released, running at sites."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.database.engine import Database
from dizuo.datasets.adding import Warehouse, add_version
from dizuo.datasets.content import row_digest
from dizuo.datasets.model import Candidate, Draft
from dizuo.datasets.service import root_of
from dizuo.edge.wire import DesiredState, Direction
from dizuo.gates import service as gates
from dizuo.gates.report import (
    ComparedExample,
    Fidelity,
    GateReport,
    RuleResult,
    Verdict,
    WorstExample,
)
from dizuo.releases import service as releases
from dizuo.releases.repository import Repository
from dizuo.sites import store as sites_store
from dizuo.sites.model import Site
from dizuo.stacks import service
from dizuo.stacks import store as stacks_store
from dizuo.stacks.model import DatasetUse, NewStack, StackVersion, UsedDataset

OPERATOR = "operator:ann"
RECIPE = """\
# What the hotline's clerks file tickets with.
name: {name}
level: {level}
family: {family}
from: {parent}
data:
  train: {data}
method: {{kind: lora, rank: {rank}, epochs: 3, learning_rate: 0.01}}
gates:
  - {{suite: {suite}, metric: exact_match, at_least: 0.9}}
targets: [{targets}]
description: A <b>careful</b> clerk.
"""
_SIZES = {Level.L0: 400_000, Level.L1: 30_000, Level.L2: 12_000}
TARGETS = ("safetensors", "gguf-q4_0")


def digit(number: int) -> bytes:
    """A picture of a meter's digit, like no other."""
    chance = random.Random(number)
    image = Image.new("L", (48, 48), 230)
    draw = ImageDraw.Draw(image)
    draw.text((16, 12), str(number % 10), fill=20, font_size=26)
    for _ in range(160):
        image.putpixel((chance.randrange(48), chance.randrange(48)), chance.randrange(256))
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


@dataclass
class StackScene:
    """A hub's home to fill."""

    home: Path
    database: Database
    project_id: str = "default"
    num_made: int = field(init=False, default=0)

    @property
    def layout(self) -> Layout:
        """The hub's registry."""
        return Layout(self.home / "layout")

    def dataset(
        self, name: str, rows: Sequence[Mapping[str, Any]], *, family: str = "text"
    ) -> tuple[str, list[str]]:
        """A version with these rows: its reference, and the digests of the rows in their order."""
        self.num_made += 1
        draft = Draft(name, family, f"scene:{self.num_made}", project_id=self.project_id)
        records = [Candidate(f"line {place}", dict(row)) for place, row in enumerate(rows, 1)]
        warehouse = Warehouse(self.database, root_of(self.home))
        version = add_version(warehouse, draft, records, OPERATOR).version
        return version.pin.ref, [row_digest(row) for row in rows]

    def build(
        self,
        name: str,
        level: Level,
        parent: StackVersion | None = None,
        *,
        family: str = "text",
        targets: Sequence[str] = TARGETS,
        data: str = "",
        suite: str = "hotline-test@1",
        rank: int = 8,
    ) -> StackVersion:
        """A registered version with layers of a few bytes."""
        self.num_made += 1
        run_id = new_id()
        folder = self.home.parent / "scene" / run_id
        folder.mkdir(parents=True)
        files = {}
        for target in targets:
            source = folder / f"{target}.bin"
            whole = target == "safetensors"
            source.write_bytes(
                random.Random(run_id + target).randbytes(_SIZES[level] // (1 if whole else 3))
            )
            files[target] = (LayerFile("model.bin", source, FileRole.WEIGHTS),)
        text = RECIPE.format(
            name=name,
            level=level,
            family=family,
            parent=parent.ref if parent else "scratch",
            data=data,
            rank=rank,
            suite=suite,
            targets=", ".join(targets),
        )
        new = NewStack(
            run_id=run_id,
            name=name,
            level=level,
            family=family,
            parent_digest=parent.digest if parent else None,
            targets=files,
            input_digest=sha256_bytes(run_id.encode()),
            project_id=self.project_id,
            recipe=text if parent else "",
            datasets=(self._used(data),) if data else (),
        )
        with self.database.transaction() as session:
            return service.register(session, self.layout, OPERATOR, new)

    def _used(self, ref: str) -> UsedDataset:
        name, _, version = ref.partition("@")
        digest = sha256_bytes(ref.encode())
        return UsedDataset(DatasetUse.TRAIN, self.project_id, name, int(version), digest)

    def gate(self, stack: StackVersion, *rules: RuleResult) -> None:
        """A gate report with these answers."""
        self.num_made += 1
        report = GateReport(
            stack=stack.ref,
            stack_digest=stack.digest,
            family=stack.family,
            seed=self.num_made,
            created_ms=now_ms(),
            machine={"system": "Linux", "processor": "Xeon 6", "cores": 2, "threads": 2},
            rules=rules,
        )
        with self.database.transaction() as session:
            gates.save_report(
                session, stack.digest, report, run_id=new_id(), project_id=self.project_id
            )

    def release(self, stack: StackVersion) -> None:
        """Sign it, as an operator does."""
        with self.database.transaction() as session:
            releases.release(session, Repository(self.home), stack, OPERATOR)

    def run(self, stack: StackVersion, *names: str) -> None:
        """Sites that say they run it."""
        one = Direction(
            served_as=stack.name,
            name=stack.name,
            version=stack.version,
            digest=stack.digest,
            family=stack.family,
            target=stack.targets[-1],
        )
        state = DesiredState(generation=1, stacks=(one,))
        with self.database.transaction() as session:
            for name in names:
                sites_store.add(session, _site(self.project_id, name, state))


def _site(project_id: str, name: str, state: DesiredState) -> Site:
    return Site(
        id=new_id(),
        project_id=project_id,
        name=name,
        state="serving",
        desired=state,
        told_generation=state.generation,
        running=state,
        error=None,
        egress_policy="metrics",
        inference_url="",
        agent_version="1.0",
        bytes_first_install=0,
        bytes_last_update=0,
        samples_waiting=0,
        answers=0,
        joined_ms=now_ms(),
        last_seen_ms=now_ms(),
    )


def score(
    suite: str, measured: float, *, at_least: float = 0.9, worst: tuple[WorstExample, ...] = ()
) -> RuleResult:
    """A score on a suite against a threshold."""
    return RuleResult(
        rule={"suite": suite, "metric": "exact_match", "at_least": at_least},
        sentence=f"exact_match on {suite} is at least {at_least:g}",
        verdict=Verdict.PASS if measured >= at_least else Verdict.FAIL,
        reason=f"{measured:.4g} (95% interval {measured - 0.03:.4g} to {measured + 0.02:.4g}).",
        target="gguf-q4_0",
        measured=measured,
        low=measured - 0.03,
        high=measured + 0.02,
        confidence=0.95,
        num_rows=200,
        worst=worst,
    )


def not_worse(suite: str, against: str) -> RuleResult:
    """A comparison with the incumbent that cannot tell."""
    return RuleResult(
        rule={"suite": suite, "metric": "exact_match", "not_worse_than": "incumbent"}
        | {"margin": 0.02},
        sentence="It is not worse.",
        verdict=Verdict.CANNOT_TELL,
        reason="0.01 worse than it. 40 rows cannot tell; a larger suite could.",
        target="gguf-q4_0",
        measured=-0.01,
        low=-0.05,
        high=0.03,
        confidence=0.95,
        num_rows=40,
        against=against,
    )


def agreement() -> RuleResult:
    """An export that agrees with what was trained, with the row that is furthest."""
    fidelity = Fidelity(num_choices=900, top1_agreement=0.995, mean_kl_nats=0.0021)
    return RuleResult(
        rule={"target": "gguf-q4_0", "agreement_with_trained_at_least": 0.95},
        sentence="It agrees.",
        verdict=Verdict.PASS,
        reason="99 of 100 answers agree (99.0%).",
        target="gguf-q4_0",
        measured=0.99,
        low=0.95,
        high=0.998,
        confidence=0.95,
        num_rows=100,
        fidelity=fidelity,
        furthest=(
            ComparedExample("The lamp is out.", {"kind": "light"}, {"kind": "road"}, False, 0.52),
        ),
    )


def latency() -> RuleResult:
    """A latency within its limit."""
    return RuleResult(
        rule={"target": "gguf-q4_0", "p95_latency_ms_at_most": 400.0},
        sentence="It is quick.",
        verdict=Verdict.PASS,
        reason="212.40 ms over 50 single requests.",
        target="gguf-q4_0",
        measured=212.4,
        num_rows=50,
    )


def many(database: Database, num_stacks: int, *, project_id: str = "default") -> None:
    """So many names in the database alone: bases, industries and scenarios, ten times as many of
    each as of what it stands on."""
    with database.transaction() as session:
        made: list[StackVersion] = []
        for place in range(num_stacks):
            level, above = _placed(place)
            parent = None if above is None else made[above]
            stack = _bare(f"{level.value.lower()}-{place:04d}", level, parent, project_id)
            stacks_store.add(session, stack)
            made.append(stack)


def _placed(place: int) -> tuple[Level, int | None]:
    """The level of the n-th stack and the place of what it stands on: hundreds of stacks on a
    base, ten industries among them."""
    first = place - place % 250
    within = place - first
    if within == 0:
        return Level.L0, None
    return (Level.L1, first) if within <= 10 else (Level.L2, first + 1 + within % 10)


def _bare(name: str, level: Level, parent: StackVersion | None, project_id: str) -> StackVersion:
    return StackVersion(
        id=new_id(),
        project_id=project_id,
        name=name,
        version=1,
        level=level,
        family="text",
        digest=sha256_bytes(f"{project_id}/{name}".encode()),
        index_size_bytes=1000,
        targets=TARGETS,
        parent_digest=parent.digest if parent else None,
        input_digest=sha256_bytes(f"in {project_id}/{name}".encode()),
        run_id=new_id(),
        recipe="name: x\n",
        datasets=(),
        bytes_total=500_000_000,
        bytes_added=400_000,
        created_ms=now_ms(),
    )


def worst(row: str, answer: Any, truth: Any, confidence: float, source: str = "") -> WorstExample:
    """A row that was answered wrong."""
    return WorstExample(row, source, answer, truth, confidence)
