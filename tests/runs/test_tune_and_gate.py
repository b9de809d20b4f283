"""From recipes to stacks to a report, by real workers of the vision family on tiny pictures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from tests.runs.conftest import until
from tests.runs.works import LONG_SECONDS, Works, add_bars, open_works

from dizuo.artifacts.stacks import read_stack
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.gates import service as gates
from dizuo.runs.folder import run_folder
from dizuo.runs.model import RunState
from dizuo.runs.tune import draw_replay
from dizuo.stacks.errors import RecipeRefused, StackNotFound
from dizuo.stacks.model import StackVersion

BASE = """
name: base
level: L0
family: vision
from: scratch
data: {train: bars@1}
method:
  kind: pretrain
  epochs: 2
  learning_rate: 0.01
  batch_size: 16
  architecture: {type: resnet, embedding_size: 4, hidden_sizes: [4, 8], depths: [1, 1],
                 image: {height: 8, width: 8, channels: 1}}
task: {kind: classify}
targets: [safetensors, onnx]
"""
CHILD = """
name: child
level: L1
family: vision
from: base:1
data:
  train: more-bars@1
  replay: {dataset: bars@1, share: 0.25}
method: {kind: lora, rank: 2, epochs: 3, learning_rate: 0.01, batch_size: 16}
task: {kind: classify}
gates:
  - {suite: more-bars-test@1, metric: accuracy, at_least: 0.0}
  - {suite: more-bars-test@1, metric: accuracy, not_worse_than: incumbent}
  - {suite: more-bars-test@1, metric: accuracy, drop_at_most: 1.0}
  - {target: onnx, agreement_with_trained_at_least: 0.85}
targets: [safetensors, onnx]
"""


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with open_works(tmp_path_factory.mktemp("home")) as works:
        add_bars(works.context, "bars", 120, seed=1)
        add_bars(works.context, "more-bars", 120, seed=2)
        yield works


@pytest.fixture(scope="module")
def base(works: Works) -> StackVersion:
    return works.stack(works.run("tune", recipe=BASE))


@pytest.fixture(scope="module")
def child(works: Works, base: StackVersion) -> StackVersion:
    return works.stack(works.run("tune", recipe=CHILD))


def test_child_begins_with_its_parents_blobs(
    works: Works, base: StackVersion, child: StackVersion
) -> None:
    assert (base.ref, child.ref) == ("base:1", "child:1")
    assert child.parent_digest == base.digest
    assert [used.ref for used in child.datasets] == ["more-bars@1", "bars@1"]
    above = read_stack(works.context.layout, child.digest)
    below = read_stack(works.context.layout, base.digest)
    for target in ("safetensors", "onnx"):
        assert above.targets[target].layers[0] == below.targets[target].layers[0]
    assert child.bytes_added < child.bytes_total


def test_a_run_says_whether_an_engine_will_be_opened_on_what_it_makes(
    works: Works, base: StackVersion, child: StackVersion
) -> None:
    for stack, gated in ((base, False), (child, True)):
        _, job = run_folder(works.context.home, stack.run_id or "").read_job()
        assert job["gated"] is gated


def test_same_inputs_are_found_again_at_once(works: Works, child: StackVersion) -> None:
    before = works.num_runs()
    again = works.admit("tune", recipe="# a remark changes nothing\n" + CHILD)
    assert (again.state, again.cached) == (RunState.SUCCEEDED, True)
    assert again.outcome is not None
    assert again.outcome["stack"] == "child:1"
    assert again.outcome["digest"] == child.digest
    assert works.num_runs() == before


def test_killed_training_ends_in_the_same_blobs(works: Works, child: StackVersion) -> None:
    run = works.admit("tune", recipe=CHILD, no_cache=True)
    folder = run_folder(works.context.home, run.id)
    sealed = "checkpoint-*/dizuo-checkpoint.json"
    until(lambda: list(folder.checkpoints.glob(sealed)) or folder.attempt(1).result(), LONG_SECONDS)
    worker = folder.attempt(1).identity()
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    ended = works.supervisor.wait(run.id, LONG_SECONDS)
    assert ended.fence == 2
    again = works.stack(ended)
    assert again.ref == "child:2"
    layers = [
        read_stack(works.context.layout, stack.digest).targets["onnx"].layers[-1].blobs
        for stack in (child, again)
    ]
    assert layers[0] == layers[1]


def test_gate_run_keeps_its_report(works: Works, child: StackVersion) -> None:
    run = works.run("gate", stack="child:1")
    with works.context.database.reading() as session:
        report = gates.latest_report(session, child.digest)
    assert report is not None
    assert len(report.rules) == 4
    assert run.outcome is not None
    assert run.outcome["passed"] is report.passed
    verdicts = [rule.verdict.value for rule in report.rules]
    assert verdicts == ["pass"] * 4, [rule.reason for rule in report.rules]


@pytest.mark.parametrize(
    ("kind", "spec", "error", "words"),
    [
        ("tune", {"recipe": "name: ["}, RecipeRefused, "line"),
        ("tune", {"recipe": BASE.replace("bars@1", "birds@1")}, RecipeRefused, "birds"),
        ("tune", {"recipe": CHILD.replace("base:1", "base:9")}, RecipeRefused, "base:9"),
        ("tune", {"recipe": CHILD.replace("lora", "dora")}, RecipeRefused, "line"),
        ("tune", {}, InvalidInput, "recipe"),
        ("tune", {"recipe": 7}, InvalidInput, "recipe"),
        ("tune", {"recipe": BASE, "colour": "red"}, InvalidInput, "colour"),
        (
            "tune",
            {"recipe": "name: [", "source_name": "valves.yaml"},
            RecipeRefused,
            "valves.yaml, line 1",
        ),
        (
            "tune",
            {"recipe": BASE.replace("bars@1", "birds@1"), "source_name": "valves.yaml"},
            RecipeRefused,
            "valves.yaml, line 6",
        ),
        ("tune", {"recipe": BASE, "source_name": ""}, InvalidInput, "source_name"),
        ("gate", {"stack": "nothing:1"}, StackNotFound, "nothing:1"),
        ("gate", {"stack": "other/base:1"}, StackNotFound, "other"),
        ("gate", {"stack": "base:1"}, InvalidInput, "no gates"),
        ("gate", {"stack": "Bad Name"}, InvalidInput, ""),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_is_queued(  # noqa: PLR0917  a table
    works: Works,
    base: StackVersion,
    kind: str,
    spec: dict[str, Any],
    error: type[DizuoError],
    words: str,
) -> None:
    with pytest.raises(error) as refused:
        works.admit(kind, **spec)
    assert words in str(refused.value)


def test_replay_is_a_share_of_the_whole() -> None:
    rows = [{"n": n} for n in range(100)]
    drawn = draw_replay(rows, 80, 0.2, seed=3)
    assert len(drawn) == 20
    assert drawn == draw_replay(rows, 80, 0.2, seed=3)
    assert drawn != draw_replay(rows, 80, 0.2, seed=4)
    assert drawn == sorted(drawn, key=lambda row: row["n"])
    assert draw_replay(rows, 1000, 0.5, seed=3) == rows
    assert draw_replay([], 10, 0.5, seed=3) == []
