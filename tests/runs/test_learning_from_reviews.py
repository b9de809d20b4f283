"""From returned samples over a reviewer's corrections to a layer that learned to prefer them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.families.text.tuning_factory import tickets
from tests.runs.works import Works, open_works

from dizuo.datasets import review, samples
from dizuo.datasets import service as datasets
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.model import Addition, Candidate, Draft
from dizuo.datasets.review import Collection, Verdict
from dizuo.datasets.table import read_rows
from dizuo.edge import wire
from dizuo.gates import service as gates
from dizuo.runs.model import RunState
from dizuo.stacks.model import StackVersion

NUM_CORRECTED, NUM_CONFIRMED = 36, 12
ACTOR = "operator:ann"
SCHEDULE = "epochs: 2, learning_rate: 0.005, batch_size: 16, max_length: 96"
TASK = """\
task:
  kind: extract
  max_tokens: 32
  schema:
    type: object
    properties: {类别: {enum: [排水, 照明, 环境]}, 地点: {type: string}}
    required: [类别, 地点]
    additionalProperties: false
"""
BASE = f"""\
name: base
level: L0
family: text
from: scratch
data: {{train: tickets@1}}
method:
  kind: pretrain
  architecture: {{type: qwen3, hidden_size: 64, intermediate_size: 96, num_hidden_layers: 2,
                 num_attention_heads: 2, num_key_value_heads: 1, head_dim: 32,
                 max_position_embeddings: 128, vocab_size: 420}}
  epochs: 3
  learning_rate: 0.01
  max_length: 96
{TASK}
targets: [safetensors, gguf-f16]
"""
PREFERRING = f"""\
name: preferring
level: L1
family: text
from: base:1
data: {{train: calls@1}}
method: {{kind: dpo, rank: 4, {SCHEDULE}}}
{TASK}
gates: [{{target: gguf-f16, agreement_with_trained_at_least: 0.85}}]
targets: [safetensors, gguf-f16]
"""


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with open_works(tmp_path_factory.mktemp("home")) as works:
        rows = {str(row["prompt"]): row for row in tickets(120)}
        records = [Candidate(prompt, row) for prompt, row in rows.items()]
        datasets.add_version(warehouse(works), Draft("tickets", "text", "1"), records, ACTOR)
        yield works


@pytest.fixture(scope="module")
def base(works: Works) -> StackVersion:
    return works.stack(works.run("tune", recipe=BASE))


@pytest.fixture(scope="module")
def reviewed(works: Works, base: StackVersion) -> Addition:
    """What became of calls that a site sent: most were answered wrong, some right."""
    rows = {str(row["prompt"]): row for row in tickets(200, seed=9)}
    for number, (prompt, row) in enumerate(rows.items()):
        if number == NUM_CORRECTED + NUM_CONFIRMED:
            break
        wrong = {**row["label"], "地点": "不详"}
        answer = wrong if number < NUM_CORRECTED else row["label"]
        send(works, base, prompt, answer, label=row["label"])
    collection = Collection("calls", "text")
    return review.collect(warehouse(works), works.context.home, collection, ACTOR)


def warehouse(works: Works) -> Warehouse:
    return Warehouse(works.context.database, datasets.root_of(works.context.home))


def send(works: Works, base: StackVersion, prompt: str, answer: Any, *, label: Any) -> None:
    row = {"prompt": prompt}
    sample = wire.Sample(
        digest=wire.sample_digest(row, base.digest),
        family="text",
        served_as="hotline",
        stack_digest=base.digest,
        row=row,
        answer=answer,
        confidence=0.4,
        reason="uncertain",
        taken_ms=1_000,
    )
    home, database = works.context.home, works.context.database
    assert not samples.receive(database, home, "harbin", [sample]).refused
    with database.transaction() as session:
        review.judge(session, home, sample.digest, Verdict(label), ACTOR)


def test_corrections_are_pairs_and_confirmations_are_not(reviewed: Addition) -> None:
    rows = read_rows(reviewed.version.pin)
    assert len(rows) == NUM_CORRECTED + NUM_CONFIRMED
    pairs = [row for row in rows if "rejected" in row]
    assert len(pairs) == NUM_CORRECTED
    assert all(row["rejected"] == {**row["label"], "地点": "不详"} for row in pairs)


def test_preferences_are_learned_from_them(works: Works, reviewed: Addition) -> None:
    run = works.run("tune", recipe=PREFERRING)
    assert run.outcome is not None
    metrics = run.outcome["metrics"]
    assert metrics["num_trained"] == 24
    assert metrics["num_held_out"] == 12 + 4
    assert metrics["num_left_out"] == 8
    stack = works.stack(run)
    assert [used.ref for used in stack.datasets] == ["calls@1"]
    works.run("gate", stack=stack.ref)
    with works.context.database.reading() as session:
        report = gates.latest_report(session, stack.digest)
    assert report is not None
    (agreement,) = report.rules
    assert agreement.fidelity is not None, agreement.reason
    assert agreement.fidelity.mean_kl_nats < 0.01


def test_confirmations_alone_are_refused_with_what_to_do(works: Works, base: StackVersion) -> None:
    recipe = PREFERRING.replace("calls@1", "tickets@1").replace("name: preferring", "name: other")
    ended = works.supervisor.wait(works.admit("tune", recipe=recipe).id, 200)
    assert ended.state is RunState.FAILED
    assert ended.error is not None
    assert "0 of " in ended.error["message"]
    assert "have a rejected answer; dpo needs at least 20" in ended.error["message"]
