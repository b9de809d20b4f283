"""Layers are made the same, bit for bit, whatever happens on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.numpy import load_file
from tests.families.vision.conftest import Copier
from tests.families.vision.factory import LORA, PRETRAIN, Built, first_labels, job, run, shapes
from tests.families.vision.test_layer import edit

from dizuo.artifacts.model import FileRole, Level
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, silent
from dizuo.families.base import Cancelled, Row
from dizuo.families.errors import LayerRefused
from dizuo.families.vision import tune
from dizuo.families.vision.layer import read_manifest
from dizuo.families.vision.network import merged_network
from dizuo.stacks.recipe import MAX_SEED

REPOSITORY = Path(__file__).parents[3]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def test_a_base_has_its_files_and_metrics(tmp_path: Path) -> None:
    events: list[Progress] = []
    tuned = tune.tune(job(tmp_path, shapes(120), None), events.append, lambda: False)
    assert {file.path: file.role for file in tuned.files} == {
        "layer.json": FileRole.CONFIG,
        "config.json": FileRole.CONFIG,
        "preprocessing.json": FileRole.PREPROCESSING,
        "model.safetensors": FileRole.WEIGHTS,
        "calibration.json": FileRole.CALIBRATION,
        "golden.json": FileRole.GOLDEN,
        "trained-answers.json": FileRole.TRAINED_ANSWERS,
    }
    assert all(file.source == tmp_path / "layer" / file.path for file in tuned.files)
    assert tuned.metrics["num_trained"] + tuned.metrics["num_held_out"] == 120
    trained = [event for event in events if event.stage == "train"]
    assert trained[-1].done == trained[-1].total > 0
    assert "loss" in (trained[-1].metrics or {})


TO_A_POINT = {
    **PRETRAIN,
    "architecture": {**PRETRAIN["architecture"], "image": {"height": 8, "width": 8, "channels": 1}},
}
"""The last feature map is a single point, of which one row cannot tell a mean."""


@pytest.mark.parametrize(
    ("num_rows", "batch_size", "num_steps"),
    [(61, 8, 2 * 5), (61, 40, 2 * 1), (61, 41, 2 * 1), (62, 41, 2 * 1), (64, 40, 2 * 2)],
)
def test_a_last_batch_of_one_row_is_left_out(
    tmp_path: Path, num_rows: int, batch_size: int, num_steps: int
) -> None:
    method = {**TO_A_POINT, "batch_size": batch_size}
    events: list[Progress] = []
    todo = job(tmp_path, shapes(num_rows), None, method=method)
    tuned = tune.tune(todo, events.append, lambda: False)
    trained = [event for event in events if event.stage == "train"]
    assert trained[-1].done == trained[-1].total == num_steps
    assert tuned.metrics["num_trained"] == num_rows - num_rows // 3


def test_the_largest_seed_is_taken(tmp_path: Path) -> None:
    assert run(job(tmp_path, shapes(40), None, seed=MAX_SEED)).metrics["num_trained"] == 27


def test_an_adapter_learns_from_a_last_batch_of_one_row(
    stacks: dict[str, Built], tmp_path: Path
) -> None:
    rows = first_labels(60, 3, seed=1)
    method = {**LORA, "epochs": 2, "batch_size": 39}
    events: list[Progress] = []
    todo = job(tmp_path, rows, stacks["base"].trained, method=method)
    tune.tune(todo, events.append, lambda: False)
    assert events[-1].total == 4


def test_an_adapter_has_its_files_and_pins(stacks: dict[str, Built]) -> None:
    directory = stacks["site"].trained.top.directory
    assert sorted(contents(directory)) == [
        "adapter.safetensors",
        "calibration.json",
        "golden.json",
        "layer.json",
        "trained-answers.json",
    ]
    manifest = read_manifest(directory)
    assert manifest.rank == LORA["rank"]
    assert len(manifest.below) == 2
    assert manifest.labels == read_manifest(stacks["meter"].trained.top.directory).labels
    assert json.loads((directory / "golden.json").read_bytes())["rows"]


def test_batch_norm_and_base_stay_as_they_are(stacks: dict[str, Built]) -> None:
    """An adapter's file has no statistics, and the base's weights are the parent's own."""
    names = load_file(stacks["meter"].trained.top.directory / "adapter.safetensors").keys()
    assert all(".lora_" in name or name.startswith("head.") for name in names)
    base, _ = merged_network(stacks["base"].trained)
    merged, _ = merged_network(stacks["site"].trained)
    theirs = dict(merged.backbone.named_buffers())
    statistics = {n: b for n, b in base.backbone.named_buffers() if "running" in n}
    assert statistics
    assert all(bool((theirs[name] == value).all()) for name, value in statistics.items())


def test_the_head_is_kept_while_the_labels_are_the_same(
    stacks: dict[str, Built], tmp_path: Path
) -> None:
    """Nearly without learning, a child with its parent's labels answers as the parent does."""
    still = {**LORA, "epochs": 1, "learning_rate": 1e-9, "augment": 0}
    rows = first_labels(60, 3, seed=1)
    run(job(tmp_path / "same", rows, stacks["meter"].trained, method=still))
    run(job(tmp_path / "other", shapes(80), stacks["meter"].trained, method=still))
    head = load_file(stacks["meter"].trained.top.directory / "adapter.safetensors")["head.weight"]
    same = load_file(tmp_path / "same" / "layer" / "adapter.safetensors")["head.weight"]
    other = load_file(tmp_path / "other" / "layer" / "adapter.safetensors")["head.weight"]
    assert abs(same.astype(float) - head).max() < 1e-3
    assert len(other) == len({row["label"] for row in shapes(80)})


def test_rows_with_some_of_the_parents_labels_keep_them_all(
    stacks: dict[str, Built], tmp_path: Path
) -> None:
    two = [row for row in first_labels(90, 3, seed=1) if row["label"] != "new arch-left"]
    assert len({row["label"] for row in two}) == 2
    run(job(tmp_path, two, stacks["meter"].trained))
    parent = read_manifest(stacks["meter"].trained.top.directory)
    assert read_manifest(tmp_path / "layer").labels == parent.labels


def test_the_recipe_may_list_the_labels(tmp_path: Path) -> None:
    labels = sorted({row["label"] for row in shapes(60)} | {"one more"}, reverse=True)
    task = {"kind": "classify", "labels": labels}
    run(job(tmp_path, shapes(60), None, task=task))
    assert read_manifest(tmp_path / "layer").labels == tuple(labels)


@pytest.mark.parametrize(
    ("rows", "task", "says"),
    [
        (shapes(10), {"kind": "classify"}, "There are 10 rows; training needs at least 20"),
        (
            [{**row, "label": "a"} for row in shapes(30)],
            {"kind": "classify"},
            "fewer than two labels",
        ),
        (shapes(30), {"kind": "classify", "labels": ["a", "b"]}, "which the recipe does not list"),
        (
            [{**row, "image": b"hello"} for row in shapes(30)],
            {"kind": "classify"},
            "The image cannot be read",
        ),
    ],
    ids=["too few", "one label", "an unlisted label", "not a picture"],
)
def test_rows_that_cannot_be_trained_on(
    tmp_path: Path, rows: Sequence[Row], task: dict[str, object], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        run(job(tmp_path, rows, None, task=task))
    assert contents(tmp_path / "layer") == {}


def test_lora_needs_a_parent(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="needs a parent"):
        run(job(tmp_path, shapes(30), None, method=LORA, level=Level.L1))


def test_a_parent_that_does_not_fit_is_refused(
    stacks: dict[str, Built], copied: Copier, tmp_path: Path
) -> None:
    spoiled = copied(stacks["meter"].trained)
    edit(spoiled.top.directory / "layer.json", base_weights="sha256:" + "0" * 64)
    with pytest.raises(LayerRefused, match="meter was made for another base"):
        run(job(tmp_path / "child", first_labels(30, 3, seed=1), spoiled))


def test_cancelling_stops_at_once_and_what_was_done_is_not_lost(
    stacks: dict[str, Built], tmp_path: Path
) -> None:
    todo = job(tmp_path / "stopped", first_labels(60, 3, seed=1), stacks["base"].trained)
    asked = iter(range(100))
    with pytest.raises(Cancelled):
        tune.tune(todo, silent, lambda: next(asked) >= 5)
    assert next(asked) == 6
    assert list(todo.checkpoints.glob("checkpoint-*"))
    whole = job(tmp_path / "whole", todo.rows, stacks["base"].trained)
    run(todo)
    run(whole)
    assert contents(todo.output) == contents(whole.output)


def test_replayed_rows_are_learned_and_not_held_out(
    stacks: dict[str, Built], tmp_path: Path
) -> None:
    own, replayed = first_labels(30, 3, seed=1), first_labels(60, 3, seed=2)
    todo = job(tmp_path, [*own, *replayed], stacks["meter"].trained, num_replayed=60)
    metrics = run(todo).metrics
    assert (metrics["num_trained"], metrics["num_held_out"]) == (80, 10)
    calibrated = json.loads((todo.output / "calibration.json").read_bytes())
    assert calibrated["num_rows"] == 10
    few = job(tmp_path / "few", [*own[:19], *replayed], stacks["meter"].trained, num_replayed=60)
    with pytest.raises(InvalidInput, match="There are 19 rows; training needs at least 20"):
        run(few)


@pytest.mark.parametrize("num_rows", [20, 40, 100, 300, 1000])
def test_the_split_depends_on_the_seed_alone(num_rows: int) -> None:
    trained, held_out = tune.split(num_rows, 5)
    assert sorted((*trained, *held_out)) == list(range(num_rows))
    assert (trained, held_out) == tune.split(num_rows, 5)
    assert held_out != tune.split(num_rows, 6)[1]
    wanted = max(30, num_rows // 10)
    assert len(held_out) == min(wanted, num_rows // 3)


# 120 of 150 rows are learned from, 4 steps an epoch: 24 steps, a checkpoint after every third.
METHOD = {**PRETRAIN, "epochs": 6, "augment": 0.05}
CHILD = """
import os, signal, sys
from pathlib import Path
from dizuo.families import checkpoints
from dizuo.families.vision import tune
from tests.families.vision.factory import job, shapes
from tests.families.vision.test_tune import METHOD

moment, root = sys.argv[1], Path(sys.argv[2])
seal, write_json = checkpoints.seal, checkpoints.write_json

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def seal_and_die(folder, work):
    if not folder.name.endswith("-9"):
        return seal(folder, work)
    if moment == "half a file is written":
        path = folder / "optimizer.pt"
        path.write_bytes(path.read_bytes()[:100])
        die()
    checkpoints.write_json = lambda path, value: die()
    seal(folder, work)

def report(event):
    if moment == "between two checkpoints" and event.stage == "train" and event.done == 8:
        die()

checkpoints.seal = seal_and_die
tune.tune(job(root, shapes(150), None, method=METHOD), report, lambda: False)
"""


@pytest.fixture(scope="module")
def unharmed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    todo = job(tmp_path_factory.mktemp("unharmed"), shapes(150), None, method=METHOD)
    run(todo)
    return contents(todo.output)


@pytest.mark.parametrize(
    "moment",
    ["half a file is written", "the manifest is not yet written", "between two checkpoints"],
)
def test_killed_while_it_trains_then_resumed_gives_the_same_bytes(
    tmp_path: Path, unharmed: dict[str, bytes], moment: str
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", CHILD, moment, str(tmp_path)],
        cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}", "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert contents(tmp_path / "layer") == {}
    resumed: list[Progress] = []
    todo = job(tmp_path, shapes(150), None, method=METHOD)
    tune.tune(todo, resumed.append, lambda: False)
    first = next(event for event in resumed if event.stage == "train")
    assert first.done == 7
    assert contents(tmp_path / "layer") == unharmed


def test_checkpoints_of_other_work_are_not_resumed_from(
    tmp_path: Path, unharmed: dict[str, bytes]
) -> None:
    other = job(tmp_path, shapes(150, seed=4), None, method=METHOD)
    run(other)
    again = replace(other, output=tmp_path / "again", rows=shapes(150))
    again.output.mkdir()
    run(again)
    assert contents(again.output) == unharmed
