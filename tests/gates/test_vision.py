"""Gates on real exported vision stacks: trained here, opened by ONNX Runtime from their files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.gates.scene import OPERATOR, Shelf

from dizuo.artifacts.model import LayerDirectory, LayerFile, Level, StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.core.files import write_atomic
from dizuo.core.progress import silent
from dizuo.datasets.adding import add_version
from dizuo.datasets.model import Candidate, DatasetPin, Draft
from dizuo.families import registry
from dizuo.families.base import TuneJob
from dizuo.gates.evaluate import evaluate
from dizuo.gates.job import GateJob
from dizuo.gates.report import GateReport, Verdict
from dizuo.gates.rules import parse_gates

SUITE = "bars-test@1"
SCHEDULE = {"epochs": 4, "learning_rate": 0.01, "batch_size": 16}
PRETRAIN = {
    "kind": "pretrain",
    "architecture": {
        "type": "resnet",
        "embedding_size": 4,
        "hidden_sizes": [4, 8],
        "depths": [1, 1],
        "image": {"height": 8, "width": 8, "channels": 1},
    },
    **SCHEDULE,
}
LORA = {"kind": "lora", "rank": 2, **SCHEDULE}
GATES = [
    {"suite": SUITE, "metric": "accuracy", "at_least": 0.8},
    {"suite": SUITE, "metric": "macro_f1", "at_least": 0.7, "confidence": 0.9},
    {"suite": SUITE, "metric": "balanced_accuracy", "not_worse_than": "incumbent"},
    {"suite": SUITE, "metric": "accuracy", "drop_at_most": 0.1},
    {"target": "onnx", "agreement_with_trained_at_least": 0.98},
    {"target": "onnx", "p95_latency_ms_at_most": 60_000},
]


def bar(is_tall: bool, draw: np.random.Generator) -> bytes:
    pixels = draw.integers(0, 60, (8, 8), dtype=np.uint8)
    place = draw.integers(1, 7)
    if is_tall:
        pixels[:, place] += 180
    else:
        pixels[place] += 180
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def bars(num_rows: int, seed: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    names = ["tall", "wide"]
    return [
        {"image": bar(index % 2 == 0, draw), "label": names[index % 2]} for index in range(num_rows)
    ]


@dataclass(frozen=True)
class Built:
    """A base and a layer on it, each by target, and a suite that neither has seen."""

    base: Mapping[str, StackFiles]
    child: Mapping[str, StackFiles]
    suite: DatasetPin

    def job(self, **more: Any) -> GateJob:
        rules, problems = parse_gates(GATES)
        assert problems == []
        job = GateJob(
            stack="bars:1",
            stack_digest=self.child["onnx"].digest,
            family="vision",
            rules=rules,
            candidate=self.child,
            parent=self.base,
            suites={SUITE: self.suite},
        )
        return replace(job, **more)


def build(root: Path, name: str, level: Level, below: StackFiles | None) -> dict[str, StackFiles]:
    """Train one layer and export it; its stack in both targets."""
    trained = root / name / "trained"
    trained.mkdir(parents=True)
    (root / name / "checkpoints").mkdir()
    method = PRETRAIN if below is None else LORA
    rows = bars(160, seed=1)
    task = {"kind": "classify"}
    checkpoints = root / name / "checkpoints"
    job = TuneJob(name, level, 3, method, task, rows, below, trained, checkpoints)
    files = registry.tuner("vision").tune(job, silent, lambda: False).files
    own = laid_out(root / name / "safetensors", files)
    layers = below.layers if below else ()
    digest = sha256_bytes(name.encode())
    whole = StackFiles(name, 1, digest, "safetensors", (*layers, LayerDirectory(level, name, own)))
    output = root / name / "exported"
    output.mkdir()
    exported = registry.exporter("vision").export(whole, "onnx", output, silent)
    shipped = LayerDirectory(level, name, laid_out(root / name / "onnx", exported))
    return {"safetensors": whole, "onnx": StackFiles(name, 1, digest, "onnx", (shipped,))}


def laid_out(directory: Path, files: tuple[LayerFile, ...]) -> Path:
    for file in files:
        write_atomic(directory / file.path, file.source.read_bytes())
    return directory


@pytest.fixture(scope="module")
def built(library: Shelf) -> Built:
    base = build(library.root, "base", Level.L0, None)
    child = build(library.root, "bars", Level.L1, base["safetensors"])
    on_base = (*base["onnx"].layers, *child["onnx"].layers)
    child = {**child, "onnx": replace(child["onnx"], layers=on_base)}
    records = [Candidate(f"{i}.png", row) for i, row in enumerate(bars(240, seed=2))]
    draft = Draft(name="bars-test", family="vision", origin="test:bars")
    return Built(base, child, add_version(library.warehouse, draft, records, OPERATOR).version.pin)


def verdicts(report: GateReport) -> list[Verdict]:
    return [rule.verdict for rule in report.rules]


def test_a_good_stack_meets_every_kind_of_rule(built: Built) -> None:
    report = evaluate(built.job(), silent)
    assert report.passed, report.as_dict()
    accuracy, macro_f1, not_worse, drop, agreement, latency = report.rules
    assert accuracy.num_rows == 240
    assert accuracy.low is not None
    assert accuracy.measured is not None
    assert 0 < accuracy.low < accuracy.measured <= 1
    assert macro_f1.confidence == 0.9
    assert not_worse.reason.startswith("Nothing of this name is released")
    assert drop.against == "base:1"
    assert agreement.measured is not None
    assert agreement.measured >= 0.98
    assert agreement.fidelity is not None
    assert agreement.fidelity.top1_agreement >= 0.98
    assert agreement.fidelity.mean_kl_nats < 1e-3
    assert latency.measured is not None
    assert latency.measured > 0
    assert GateReport.from_dict(report.as_dict()) == report


def test_the_same_stack_is_measured_the_same_again(built: Built) -> None:
    first, again = evaluate(built.job(), silent), evaluate(built.job(), silent)
    assert first.rules[:5] == again.rules[:5]  # latency is of the moment


def test_an_adapter_damaged_on_its_way_passes_nothing(built: Built, tmp_path: Path) -> None:
    own = built.child["onnx"].top
    damaged = tmp_path / "damaged"
    for path in own.directory.iterdir():
        data = path.read_bytes()
        write_atomic(damaged / path.name, data[:-9] if path.suffix == ".safetensors" else data)
    layers = (*built.child["onnx"].layers[:-1], replace(own, directory=damaged))
    shipped = replace(built.child["onnx"], layers=layers)
    report = evaluate(built.job(candidate={**built.child, "onnx": shipped}), silent)
    assert not report.passed
    # Only the rule without an incumbent could pass, and even it needs the candidate to answer.
    assert set(verdicts(report)) == {Verdict.CANNOT_TELL}


def test_a_base_under_the_childs_name_does_not_agree_with_the_trained_child(built: Built) -> None:
    """What ships lost its adapter: it answers, but not as it was trained."""
    bare = {**built.child, "onnx": built.base["onnx"]}
    agreement = evaluate(built.job(candidate=bare), silent).rules[4]
    assert agreement.verdict is Verdict.FAIL
    faithful = evaluate(built.job(), silent).rules[4]
    assert agreement.fidelity is not None
    assert faithful.fidelity is not None
    assert agreement.fidelity.top1_agreement <= faithful.fidelity.top1_agreement
    assert agreement.fidelity.mean_kl_nats > 10 * faithful.fidelity.mean_kl_nats
    apart = [one.fidelity.mean_kl_nats for one in agreement.furthest if one.fidelity]
    assert apart == sorted(apart, reverse=True)
    assert len(apart) == 10
    assert not agreement.furthest[0].agrees
    assert all(one.prompt.startswith("sha256:") for one in agreement.furthest)
