"""From the digest that runs somewhere back to the samples it learned from.

The steps of a trace are one list. First the stack itself, then for it and for each stack below it
the gate report, run and recipe that made it; then every dataset version their layers learned from,
with the versions each was appended to; last the samples that reviewers turned into rows of these.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.orm import Session

from dizuo.core.digests import sha256_bytes
from dizuo.datasets import samples
from dizuo.datasets import service as datasets
from dizuo.datasets.model import DatasetVersion, Sample
from dizuo.datasets.names import DatasetRef
from dizuo.gates import service as gates
from dizuo.stacks import store
from dizuo.stacks.errors import StackNotFound
from dizuo.stacks.model import StackVersion, TraceStep


def trace(session: Session, digest: str) -> list[TraceStep]:
    """Every step from a stack's digest to the samples it learned from.

    Raises:
        StackNotFound: no stack has this digest, or one below it is not registered.
        DatasetMissing: a dataset version it learned from is not known any more.
    """
    steps, learned = _made_from(session, digest)
    for version in learned:
        steps.extend(
            _sample_step(sample, version) for sample in samples.used_in(session, version.id)
        )
    return steps


def outline(session: Session, digest: str) -> list[TraceStep]:
    """The trace with one step `samples` for all that entered with a dataset version, which says how
    many they are, in place of a step for each.

    Raises:
        StackNotFound, DatasetMissing: as `trace`.
    """
    steps, learned = _made_from(session, digest)
    counts = samples.num_used_in(session, [version.id for version in learned])
    for version in learned:
        if number := counts.get(version.id):
            detail = {"num_samples": number}
            ref = version.pin.ref
            steps.append(TraceStep("samples", ref, version.digest, version.digest, detail))
    return steps


def _made_from(session: Session, digest: str) -> tuple[list[TraceStep], list[DatasetVersion]]:
    """The steps from a stack's digest to the datasets that it learned from, and these."""
    chain = list(_chain(session, digest))
    steps = [step for stack in chain for step in _stack_steps(session, stack)]
    learned = _learned(session, chain)
    steps.extend(_dataset_step(version, of) for version, of in learned)
    return steps, [version for version, _ in learned]


def _chain(session: Session, digest: str) -> Iterator[StackVersion]:
    """The stack and those below it, itself first."""
    below: str | None = digest
    while below is not None:
        stack = store.by_digest(session, below)
        if stack is None:
            raise StackNotFound(f"There is no stack with the digest {below[:80]}.")
        yield stack
        below = stack.parent_digest


def _stack_steps(session: Session, stack: StackVersion) -> Iterator[TraceStep]:
    placed = {"level": stack.level.value, "family": stack.family, "parent": stack.parent_digest}
    yield TraceStep("stack", stack.ref, stack.digest, detail=placed)
    report = gates.latest_stored(session, stack.digest, project_id=stack.project_id)
    if report is not None:
        passed = {"passed": report.report.passed, "run": report.run_id}
        yield TraceStep("gate-report", report.id, report.digest, of=stack.digest, detail=passed)
    yield TraceStep("run", stack.run_id, stack.input_digest, of=stack.digest)
    if stack.recipe:
        recipe = sha256_bytes(stack.recipe.encode())
        yield TraceStep("recipe", stack.name, recipe, of=stack.digest)


def _learned(
    session: Session, chain: list[StackVersion]
) -> list[tuple[DatasetVersion, tuple[str, str]]]:
    """Each dataset version once, with what it was to whom, and those it was appended to."""
    found: dict[str, tuple[DatasetVersion, tuple[str, str]]] = {}
    for stack in chain:
        for used in stack.datasets:
            ref = DatasetRef(used.project, used.name, used.version)
            role = (used.use.value, stack.digest)
            for version in _with_earlier(session, ref):
                found.setdefault(version.id, (version, role))
                role = ("appended-to", version.digest)
    return list(found.values())


def _with_earlier(session: Session, ref: DatasetRef) -> Iterator[DatasetVersion]:
    version = datasets.find(session, ref)
    yield version
    while version.parent_version is not None:
        version = datasets.find(session, DatasetRef(ref.project, ref.name, version.parent_version))
        yield version


def _dataset_step(version: DatasetVersion, role: tuple[str, str]) -> TraceStep:
    use, of = role
    detail = {"use": use, "num_rows": version.num_rows, "origin": version.origin}
    return TraceStep("dataset-version", version.pin.ref, version.digest, of=of, detail=detail)


def _sample_step(sample: Sample, version: DatasetVersion) -> TraceStep:
    detail = {
        "site": sample.site,
        "reason": sample.reason,
        "taken_ms": sample.taken_ms,
        "reviewer": sample.reviewer,
        "answered_by": sample.stack_digest,
    }
    return TraceStep("sample", sample.id, sample.digest, of=version.digest, detail=detail)
