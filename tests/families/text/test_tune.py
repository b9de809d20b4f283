"""Layers are made the same, bit for bit, whatever happens on the way."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from tests.families.text.conftest import NUM_ROWS
from tests.families.text.tuning_factory import (
    ANSWER,
    DPO,
    EXTRACT,
    LORA,
    PRETRAIN,
    SCHEMA,
    job,
    plain,
    preferences,
    run,
    tickets,
)

from dizuo.artifacts.model import FileRole, Level, StackFiles
from dizuo.core.digests import sha256_file
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, silent
from dizuo.families import room
from dizuo.families.base import Cancelled, Row
from dizuo.families.golden import read_golden, read_trained_answers
from dizuo.families.text import calibration, memory, tune
from dizuo.families.text.layer import read_manifest, read_schema, read_stack
from dizuo.families.text.lessons import divide

REPOSITORY = Path(__file__).parents[3]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_a_base_has_its_files_and_metrics(tmp_path: Path) -> None:
    events: list[Progress] = []
    method = {**PRETRAIN, "epochs": 1}
    rows = [*tickets(30), *plain(6)]
    tuned = tune.tune(job(tmp_path, rows, None, method=method), events.append, lambda: False)
    assert {file.path: file.role for file in tuned.files} == {
        "layer.json": FileRole.CONFIG,
        "config.json": FileRole.CONFIG,
        "generation_config.json": FileRole.CONFIG,
        "tokenizer.json": FileRole.TOKENIZER,
        "tokenizer_config.json": FileRole.TOKENIZER,
        "chat_template.jinja": FileRole.PREPROCESSING,
        "schema.json": FileRole.SCHEMA,
        "model.safetensors": FileRole.WEIGHTS,
        "calibration.json": FileRole.CALIBRATION,
        "golden.json": FileRole.GOLDEN,
        "trained-answers.json": FileRole.TRAINED_ANSWERS,
    }
    assert all(file.source == tmp_path / "layer" / file.path for file in tuned.files)
    assert tuned.metrics["num_trained"] == 26
    assert tuned.metrics["num_held_out"] == 10
    assert tuned.metrics["num_asked"] == 30
    assert tuned.metrics["estimated_bytes"] > 1e6
    assert {event.stage for event in events} == {"prepare", "train", "examine"}
    for stage in ("train", "examine"):
        told = [event for event in events if event.stage == stage]
        assert told[-1].done == told[-1].total > 0
    assert "loss" in ([event for event in events if event.stage == "train"][-1].metrics or {})


def test_the_bases_manifest_names_its_files(base: StackFiles) -> None:
    directory = base.base.directory
    manifest = read_manifest(directory)
    assert manifest.kind == "base"
    assert manifest.architecture == "qwen3"
    assert manifest.context_length == 128
    assert manifest.weights == manifest.base_weights
    assert manifest.weights == sha256_file(directory / "model.safetensors")
    assert manifest.tokenizer == sha256_file(directory / "tokenizer.json")
    assert manifest.chat_template == sha256_file(directory / "chat_template.jinja")
    assert manifest.modules[0] == "model.layers.0.self_attn.q_proj"
    assert len(manifest.modules) == 2 * 7
    weights = load_file(directory / "model.safetensors")
    assert {str(tensor.dtype) for tensor in weights.values()} == {"float16"}
    assert "lm_head.weight" not in weights


def test_an_adapter_has_its_files_and_pins(industry: StackFiles, scenario: StackFiles) -> None:
    directory = scenario.top.directory
    assert sorted(contents(directory)) == [
        "adapter.safetensors",
        "calibration.json",
        "golden.json",
        "layer.json",
        "schema.json",
        "trained-answers.json",
    ]
    manifests = read_stack(scenario)
    assert manifests[-1].rank == LORA["rank"]
    assert len(manifests[-1].below) == 2
    assert manifests[-1].answering.kind == "extract"
    assert manifests[-1].answering.max_tokens == 32
    assert read_schema(directory, manifests[-1]) == EXTRACT["schema"]
    tensors = load_file(directory / "adapter.safetensors")
    assert {str(tensor.dtype) for tensor in tensors.values()} == {"float16"}
    assert sorted(tensors)[0] == "model.layers.0.mlp.down_proj.lora_A.weight"
    assert len(tensors) == 2 * 2 * 7
    name = "adapter.safetensors"
    assert (directory / name).read_bytes() != (industry.top.directory / name).read_bytes()
    assert any(tensor.any() for name, tensor in tensors.items() if "lora_B" in name)


def test_held_out_rows_are_asked_first(base: StackFiles) -> None:
    rows = tickets(NUM_ROWS)
    held_out = divide(rows, 7).held_out
    answers = read_trained_answers(base.top.directory)
    asked = [row.request["requests"][0]["messages"][0]["content"] for row in answers]
    assert asked[: len(held_out)] == [row["prompt"] for row in held_out]
    assert len(asked) == NUM_ROWS
    golden = read_golden(base.top.directory)
    assert golden == tuple(row.golden() for row in answers[: len(golden)])
    assert len(golden) == 16


def test_replayed_rows_are_learned_and_not_measured(base: StackFiles, tmp_path: Path) -> None:
    """Their labels follow no schema of the task."""
    rows: list[Row] = [*tickets(30), *({"prompt": f"问{n}", "label": "答"} for n in range(20))]
    todo = job(tmp_path, rows, base, method={**LORA, "epochs": 1}, num_replayed=20)
    metrics = run(todo).metrics
    assert (metrics["num_trained"], metrics["num_held_out"]) == (40, 10)
    assert metrics["num_asked"] == 30
    asked = {
        answer.request["requests"][0]["messages"][0]["content"]
        for answer in read_trained_answers(todo.output)
    }
    assert asked == {row["prompt"] for row in tickets(30)}


def test_plain_texts_alone_make_a_layer(base: StackFiles, tmp_path: Path) -> None:
    """Nobody knows a right answer then, so the confidence is the model's own."""
    todo = job(tmp_path, plain(24), base, task=ANSWER, method={**LORA, "epochs": 1})
    metrics = run(todo).metrics
    assert "held_out_exact_match" not in metrics
    file = json.loads((todo.output / calibration.FILE_NAME).read_bytes())
    assert file["source"] == "generated"
    assert not (todo.output / "schema.json").exists()
    content = read_golden(todo.output)[0].request["requests"][0]["messages"][0]["content"]
    assert any(str(row["text"]).startswith(content) for row in plain(24))


def test_the_system_message_of_the_task_is_learned(base: StackFiles, tmp_path: Path) -> None:
    system = {"role": "system", "content": "你是热线"}
    task = {**EXTRACT, "system": system["content"]}
    method = {**LORA, "epochs": 1}
    run(job(tmp_path / "task", tickets(24), base, task=task, method=method))
    written = [
        {**row, "prompt": [system, {"role": "user", "content": row["prompt"]}]}
        for row in tickets(24)
    ]
    run(job(tmp_path / "rows", written, base, method=method))
    ours, theirs = (tmp_path / name / "layer" for name in ("task", "rows"))
    name = "adapter.safetensors"
    assert (ours / name).read_bytes() == (theirs / name).read_bytes()
    assert read_manifest(ours).answering.system == system["content"]
    asked = read_golden(ours)[0].request["requests"][0]["messages"]
    assert [message["role"] for message in asked] == ["user"]


def test_nothing_is_asked_of_the_network(
    base: StackFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def look_up(*host: Any, **_: Any) -> list[Any]:
        asked.append(host)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    run(job(tmp_path, tickets(24), base, method={**LORA, "epochs": 1}))
    assert asked == []


def without(key: str, rows: Sequence[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != key} for row in rows]


UNENFORCED: Mapping[str, Any] = {
    **SCHEMA,
    "properties": {
        **SCHEMA["properties"],
        "类别": {"oneOf": [{"type": "string"}, {"maxLength": 3}]},
    },
}
TOO_LONG: list[Row] = [{**row, "prompt": str(row["prompt"]) * 20} for row in tickets(9)]


@pytest.mark.parametrize(
    ("rows", "changes", "says"),
    [
        (tickets(10), {}, "There are 10 rows; training needs at least 20"),
        (without("label", tickets(30)), {}, "Row 1 cannot be learned from: there is no label"),
        (tickets(30), {"method": DPO}, "0 of 30 rows have a rejected answer; dpo needs"),
        ([*preferences(30), *plain(1)], {"method": DPO}, "Row 31 .* plain text, and dpo"),
        ([*tickets(30), {"prompt": "", "label": " "}], {}, "Row 31 .* the label is empty"),
        ([*tickets(20), *TOO_LONG], {}, r"of \d+ rows are longer than 96 tokens"),
        (tickets(30), {"method": {**LORA, "max_length": 512}}, "reads at most 128 tokens"),
        (tickets(30), {"task": {**EXTRACT, "schema": UNENFORCED}}, r"be held to task\.schema: "),
    ],
    ids=[
        "too few", "no label", "no rejected", "text for dpo", "an empty label", "too long",
        "longer than the base reads", "alternatives that overlap",
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on(
    base: StackFiles, tmp_path: Path, rows: Sequence[Row], changes: Mapping[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        run(job(tmp_path, rows, base, **changes))
    assert refused.value.next_step
    assert contents(tmp_path / "layer") == {}


def test_an_adapter_needs_a_parent(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="An adapter needs a parent"):
        run(job(tmp_path, tickets(30), None, method=LORA, level=Level.L1))


def test_a_training_that_does_not_fit_is_refused_before_it_starts(
    base: StackFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 5_000_000)
    with pytest.raises(InvalidInput, match=r"needs about .* of memory") as refused:
        run(job(tmp_path, tickets(30), base))
    assert "gradient_checkpointing" in refused.value.next_step
    assert contents(tmp_path / "layer") == contents(tmp_path / "checkpoints") == {}


def test_a_few_rows_that_are_too_long_are_left_out(base: StackFiles, tmp_path: Path) -> None:
    rows = [*tickets(60), *TOO_LONG[:3]]
    metrics = run(job(tmp_path, rows, base, method={**LORA, "epochs": 1})).metrics
    learned = divide(rows, 7).learned
    assert metrics["num_too_long"] == sum(row in learned for row in TOO_LONG[:3]) > 0
    assert metrics["num_trained"] == len(learned) - metrics["num_too_long"]


def test_preferences_leave_out_rows_without_a_rejected_answer(
    base: StackFiles, tmp_path: Path
) -> None:
    rows = [*preferences(30), *tickets(12, seed=5)]
    metrics = run(job(tmp_path, rows, base, method={**DPO, "epochs": 1})).metrics
    assert metrics["num_trained"] == 20
    assert metrics["num_held_out"] == 10 + 4
    assert metrics["num_left_out"] == 8


def test_cancelling_stops_at_once_and_what_was_done_is_not_lost(
    industry: StackFiles, base: StackFiles, tmp_path: Path
) -> None:
    todo = job(tmp_path / "industry", tickets(NUM_ROWS, seed=1), base)
    asked = iter(range(100))
    with pytest.raises(Cancelled):
        tune.tune(todo, silent, lambda: next(asked) >= 4)
    assert next(asked) == 5
    assert list(todo.checkpoints.glob("checkpoint-*"))
    asked = iter(range(10_000))
    with pytest.raises(Cancelled):  # while the finished layer is asked
        tune.tune(todo, silent, lambda: next(asked) >= 9)
    run(todo)
    assert contents(todo.output) == contents(industry.top.directory)


CHILD = """
import os, signal, sys
from pathlib import Path
from dizuo.artifacts.model import LayerDirectory, Level
from dizuo.families import checkpoints
from dizuo.families.text import tune
from tests.families.text.test_tune import job_of
from tests.families.text.tuning_factory import stack

moment, kind, root, *below = sys.argv[1:]
seal, write_json = checkpoints.seal, checkpoints.write_json

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def seal_and_die(folder, work):
    if not folder.name.endswith("-6"):
        return seal(folder, work)
    if moment == "half a file is written":
        path = folder / "optimizer.pt"
        path.write_bytes(path.read_bytes()[:100])
        die()
    checkpoints.write_json = lambda path, value: die()
    seal(folder, work)

def report(event):
    if moment == "between two checkpoints" and event.stage == "train" and event.done == 5:
        die()

checkpoints.seal = seal_and_die
layers = [LayerDirectory(Level.L0, Path(path).parent.name, Path(path)) for path in below]
tune.tune(job_of(kind, Path(root), stack("s", layers) if layers else None), report, lambda: False)
"""
MOMENTS = ("half a file is written", "the manifest is not yet written", "between two checkpoints")


def job_of(kind: str, root: Path, parent: StackFiles | None) -> Any:
    """The job that the fixture of this name has done: 9 steps, a checkpoint after every second."""
    rows = {
        "base": tickets(NUM_ROWS),
        "industry": tickets(NUM_ROWS, seed=1),
        "scenario": preferences(NUM_ROWS, seed=2),
    }[kind]
    method = {"base": PRETRAIN, "industry": LORA, "scenario": DPO}[kind]
    return job(root, rows, parent, method=method, level=Level.L1)


@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        pytest.param(
            kind,
            moment,
            marks=[] if (kind, moment) == ("industry", MOMENTS[0]) else [pytest.mark.slow],
        )
        for kind in ("industry", "base", "scenario")
        for moment in MOMENTS
    ],
)
def test_killed_while_it_trains_then_resumed_gives_the_same_bytes(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, moment: str
) -> None:
    unharmed: StackFiles = request.getfixturevalue(kind)
    below = [str(layer.directory) for layer in unharmed.layers[:-1]]
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, moment, kind, str(tmp_path), *below],
        cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}", "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert contents(tmp_path / "layer") == {}
    resumed: list[Progress] = []
    parent = None
    if below:
        parent = StackFiles("s", 3, unharmed.digest, "safetensors", unharmed.layers[:-1])
    tune.tune(job_of(kind, tmp_path, parent), resumed.append, lambda: False)
    assert next(event for event in resumed if event.stage == "train").done == 5
    assert contents(tmp_path / "layer") == contents(unharmed.top.directory)


def test_checkpoints_of_other_work_are_not_resumed_from(base: StackFiles, tmp_path: Path) -> None:
    method = {**LORA, "epochs": 1}
    events: list[Progress] = []
    for seed in (3, 4):
        events.clear()
        todo = job(tmp_path, tickets(24), base, method=method, seed=seed)
        tune.tune(todo, events.append, lambda: False)
        assert next(event for event in events if event.stage == "train").done == 1


LONG: Mapping[str, Any] = {
    **PRETRAIN,
    "architecture": {**PRETRAIN["architecture"], "max_position_embeddings": 1024},
    "max_length": 1024,
    "epochs": 1,
}


def test_rows_that_engines_have_no_room_for_are_refused(tmp_path: Path) -> None:
    """A wish is rounded up as an engine does, and that is what counts."""
    rows = [{**row, "prompt": f"{row['prompt']}{'1234567' * 50}"} for row in tickets(30)]
    short = {**EXTRACT, "context_tokens": 200}
    with pytest.raises(InvalidInput, match="longer than the 256 tokens that engines read") as told:
        run(job(tmp_path, rows, None, method=LONG, task=short))
    assert "Raise task.context_tokens" in told.value.next_step


def test_more_than_the_base_reads_is_not_promised(base: StackFiles, tmp_path: Path) -> None:
    more = {**EXTRACT, "context_tokens": 129}
    with pytest.raises(InvalidInput, match=r"task\.context_tokens is 129, but the base") as told:
        run(job(tmp_path, tickets(30), base, task=more))
    assert told.value.next_step == "Lower task.context_tokens."


@pytest.mark.parametrize("gated", [True, False])
def test_a_layer_whose_engine_has_no_room_here_is_not_trained_to_be_gated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gated: bool
) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 100_000_000)
    stages: list[str] = []
    todo = job(tmp_path, tickets(30), None, method={**PRETRAIN, "epochs": 1}, gated=gated)
    refused = (
        pytest.raises(InvalidInput, match=r"takes about 0\.\d GB of memory, and 0\.1 GB are free")
        if gated
        else nullcontext()
    )
    with refused as told:
        tune.tune(todo, lambda event: stages.append(event.stage), lambda: False)
    assert ("train" in stages) is not gated
    assert told is None or "task.context_tokens" in told.value.next_step
