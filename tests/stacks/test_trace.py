"""From a digest to the samples, through a whole chain of real parts."""

from __future__ import annotations

import pytest
from tests.gates.scene import OPERATOR, labelled
from tests.stacks.scene import RECIPE, Workshop

from dizuo.artifacts.model import Level
from dizuo.core.digests import sha256_bytes
from dizuo.datasets import review, samples
from dizuo.datasets.errors import DatasetMissing
from dizuo.datasets.model import DatasetPin
from dizuo.edge import wire
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.stacks import service
from dizuo.stacks.errors import StackNotFound
from dizuo.stacks.model import DatasetUse, StackVersion, UsedDataset

ROWS = labelled(40)


def returned(workshop: Workshop, stack: StackVersion, texts: list[str]) -> list[str]:
    """Samples that site 3 returned and a person labelled; their digests."""
    sent = []
    for text in texts:
        row = {"text": text}
        digest = wire.sample_digest(row, stack.digest)
        sent.append(
            wire.Sample(
                digest=digest,
                family="tally",
                served_as="reader",
                stack_digest=stack.digest,
                row=row,
                answer="z",
                confidence=0.3,
                reason="uncertain",
                taken_ms=1000,
            )
        )
    receipt = samples.receive(workshop.database, workshop.root, "site3", sent)
    assert receipt.refused == ()
    with workshop.database.transaction() as session:
        for sample in sent:
            verdict = review.Verdict(label="a")
            review.judge(session, workshop.root, sample.digest, verdict, "operator:rae")
    return sorted(receipt.accepted)


def collected(workshop: Workshop, name: str) -> DatasetPin:
    wanted = review.Collection(name=name, family="tally", site="site3")
    return review.collect(workshop.warehouse, workshop.root, wanted, OPERATOR).version.pin


def learned_from(pin: DatasetPin, use: DatasetUse = DatasetUse.TRAIN) -> UsedDataset:
    return UsedDataset.of(use, pin)


def passed(stack: StackVersion) -> GateReport:
    rule = RuleResult({"suite": "a@1"}, "it holds", Verdict.PASS, "It does.")
    return GateReport(stack.ref, stack.digest, "tally", 0, 1000, {}, (rule,))


def test_from_the_running_digest_to_the_samples(workshop: Workshop) -> None:
    letters = workshop.dataset("letters", ROWS[:10])
    base = workshop.build("run-0", name="alphabet", recipe="", datasets=(learned_from(letters),))
    words = workshop.dataset("words", ROWS[10:20])
    reader = workshop.build("run-1", parent=base, recipe=RECIPE, datasets=(learned_from(words),))
    first = returned(workshop, reader, [row["text"] for row in ROWS[20:24]])
    collected(workshop, "site3")
    later = returned(workshop, reader, [row["text"] for row in ROWS[24:26]])
    site3 = collected(workshop, "site3")
    top = workshop.build(
        "run-2",
        name="reader-site3",
        parent=reader,
        level=Level.L2,
        recipe="name: reader-site3\n",
        datasets=(learned_from(site3), learned_from(words, DatasetUse.REPLAY)),
    )
    with workshop.database.transaction() as session:
        report = gates.save_report(session, top.digest, passed(top), run_id="run-3")
        steps = service.trace(session, top.digest)
        outline = service.outline(session, top.digest)

    assert [(step.kind, step.id) for step in steps[:-6]] == [
        ("stack", "reader-site3:1"),
        ("gate-report", report.id),
        ("run", "run-2"),
        ("recipe", "reader-site3"),
        ("stack", "reader:1"),
        ("run", "run-1"),
        ("recipe", "reader"),
        ("stack", "alphabet:1"),
        ("run", "run-0"),
        ("dataset-version", "site3@2"),
        ("dataset-version", "site3@1"),
        ("dataset-version", "words@1"),
        ("dataset-version", "letters@1"),
    ]
    assert steps[0].digest == top.digest
    assert steps[1].digest == report.digest
    assert steps[3].digest == sha256_bytes(b"name: reader-site3\n")
    assert steps[9].digest == site3.digest
    assert steps[9].as_dict()["use"] == "train"
    assert (steps[10].of, steps[10].detail["use"]) == (site3.digest, "appended-to")
    found = steps[-6:]
    assert {step.kind for step in found} == {"sample"}
    assert [step.digest for step in found[:2]] == later  # they came with the newest version
    assert [step.digest for step in found[2:]] == first
    assert {step.detail["site"] for step in found} == {"site3"}
    assert {step.detail["reviewer"] for step in found} == {"operator:rae"}
    assert {step.detail["answered_by"] for step in found} == {reader.digest}
    assert all(step.as_dict().keys() >= {"kind", "id", "digest"} for step in steps)
    assert outline[:-2] == steps[:-6]
    assert [(one.kind, one.id, one.of, one.detail) for one in outline[-2:]] == [
        ("samples", "site3@2", site3.digest, {"num_samples": 2}),
        ("samples", "site3@1", steps[10].digest, {"num_samples": 4}),
    ]


def test_a_dataset_that_two_layers_share_is_told_once(workshop: Workshop) -> None:
    words = workshop.dataset("words", ROWS[:5])
    base = workshop.build("run-0", name="alphabet", datasets=(learned_from(words),))
    top = workshop.build("run-1", parent=base, datasets=(learned_from(words, DatasetUse.REPLAY),))
    with workshop.database.reading() as session:
        steps = service.trace(session, top.digest)
    told = [step for step in steps if step.kind == "dataset-version"]
    assert [(step.id, step.of, step.detail["use"]) for step in told] == [
        ("words@1", top.digest, "replay")
    ]


def test_what_is_not_registered_has_no_trace(workshop: Workshop) -> None:
    with workshop.database.reading() as session, pytest.raises(StackNotFound):
        service.trace(session, "sha256:" + "00" * 32)


def test_a_dataset_that_is_gone_breaks_the_trace_aloud(workshop: Workshop) -> None:
    lost = UsedDataset(DatasetUse.TRAIN, "default", "lost", 1, "sha256:" + "00" * 32)
    stack = workshop.build("run-0", datasets=(lost,))
    with workshop.database.reading() as session, pytest.raises(DatasetMissing):
        service.trace(session, stack.digest)
