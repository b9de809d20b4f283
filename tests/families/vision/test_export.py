"""What an engine says is what the trained network in memory says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.families.vision.conftest import Copier
from tests.families.vision.factory import Built, shapes

from dizuo.artifacts.model import FileRole, StackFiles
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, silent
from dizuo.families.errors import LayerRefused
from dizuo.families.golden import (
    ExpectedAnswer,
    probe,
    read_golden,
    read_trained_answers,
)
from dizuo.families.vision import export, score
from dizuo.families.vision.calibration import read, softmax
from dizuo.families.vision.imaging import decode
from dizuo.families.vision.network import merged_network
from dizuo.families.vision.runtime import open_engine
from dizuo.families.vision.spec import request

# A graph computes what PyTorch computes, in another order of additions.
GRAPH_TOLERANCE = 1e-5


def merged_answers(stack: StackFiles, images: list[bytes]) -> np.ndarray:
    network, _ = merged_network(stack)
    temperature = read(stack.top.directory / "calibration.json").temperature
    pictures = np.stack([decode(image, 1) for image in images])
    with torch.no_grad():
        _, logits = network.eval()(torch.from_numpy(pictures))
    return softmax(logits.numpy() / np.float32(temperature))


@pytest.mark.parametrize("name", ["base", "meter", "site", "deep"])
def test_stacks_on_one_session_equal_merged_pytorch(stacks: dict[str, Built], name: str) -> None:
    engine = open_engine({key: built.onnx for key, built in stacks.items()}, threads=1)
    images = [row["image"] for row in shapes(40, seed=9)]
    outputs = engine.infer(name, request([{"image": image} for image in images])).response
    expected = merged_answers(stacks[name].trained, images)
    found = np.asarray(outputs["outputs"][2]["data"]).reshape(expected.shape)
    assert np.abs(found - expected).max() < GRAPH_TOLERANCE


def test_adapters_change_the_answers_of_their_stack_alone(stacks: dict[str, Built]) -> None:
    alone = open_engine({"base": stacks["base"].onnx}, threads=1)
    together = open_engine({key: built.onnx for key, built in stacks.items()}, threads=1)
    asked = request(shapes(20, seed=9))
    before = alone.infer("base", asked)
    together.infer("site", asked)
    assert together.infer("base", asked) == before
    site, meter = together.infer("site", asked), together.infer("meter", asked)
    assert site.response["outputs"][2] != meter.response["outputs"][2]


@pytest.mark.parametrize("name", ["base", "meter", "site", "deep"])
@pytest.mark.parametrize("read", [read_golden, read_trained_answers])
def test_exported_agrees_with_the_network_at_the_end_of_training(
    stacks: dict[str, Built], name: str, read: Callable[[Path], Sequence[ExpectedAnswer]]
) -> None:
    """In memory the adapter is single precision; shipped, it is half: hence the tolerance of
    `score.agrees`, of which less than half is used."""
    engine = open_engine({name: stacks[name].onnx}, threads=1)
    rows = read(stacks[name].trained.top.directory)
    found = probe(engine, name, rows, score)
    assert found.agreement == 1.0
    confidences = [engine.infer(name, row.request).observations[0].confidence for row in rows]
    differences = [abs(row.confidence - c) for row, c in zip(rows, confidences, strict=True)]
    assert max(differences) < score.CONFIDENCE_TOLERANCE / 2


@pytest.mark.parametrize("name", ["base", "site"])
def test_exported_finds_each_class_as_likely(stacks: dict[str, Built], name: str) -> None:
    engine = open_engine({name: stacks[name].onnx}, threads=1)
    for row in read_trained_answers(stacks[name].trained.top.directory):
        (choice,) = row.choices
        assert row.given == ()
        expected = engine.expect(name, row.request, ())
        assert sum(map(math.exp, expected.logprobs)) == pytest.approx(1, abs=1e-4)
        theirs = dict(zip(expected.outcomes, expected.logprobs, strict=True))
        for outcome, logprob in zip(choice.outcomes, choice.logprobs, strict=True):
            assert math.exp(theirs[outcome]) == pytest.approx(math.exp(logprob), abs=0.01)


def test_layers_of_adapters_are_the_same_bytes_in_both_targets(stacks: dict[str, Built]) -> None:
    for built in (stacks["meter"], stacks["site"]):
        for path in built.onnx.top.directory.iterdir():
            assert path.read_bytes() == (built.trained.top.directory / path.name).read_bytes()


def test_files_and_roles(stacks: dict[str, Built], tmp_path: Path) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    adapter.mkdir()
    events: list[Progress] = []
    files = export.export(stacks["base"].trained, "onnx", base, events.append)
    roles = {file.path: file.role for file in files}
    assert roles == {
        "model.onnx": FileRole.WEIGHTS,
        "layer.json": FileRole.CONFIG,
        "config.json": FileRole.CONFIG,
        "preprocessing.json": FileRole.PREPROCESSING,
        "calibration.json": FileRole.CALIBRATION,
        "golden.json": FileRole.GOLDEN,
    }
    assert [event.done for event in events] == [0, 1]
    names = {file.path for file in export.export(stacks["site"].trained, "onnx", adapter, silent)}
    assert names == {"adapter.safetensors", "layer.json", "calibration.json", "golden.json"}


def test_graph_is_the_same_bytes_again_and_names_no_source_paths(
    stacks: dict[str, Built], tmp_path: Path
) -> None:
    export.export(stacks["base"].trained, "onnx", tmp_path, silent)
    graph = (tmp_path / "model.onnx").read_bytes()
    assert graph == (stacks["base"].onnx.top.directory / "model.onnx").read_bytes()
    assert b".py" not in graph


def test_slot_and_head_have_free_rank_and_classes(stacks: dict[str, Built]) -> None:
    graph = onnx.load(stacks["base"].onnx.top.directory / "model.onnx").graph
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes["image"] == ["rows", "height", "width", 1]
    assert shapes["logits"] == ["rows", "classes"]
    assert shapes["embedding"] == ["rows", 16]
    assert shapes["head.weight"] == ["classes", 16]
    assert shapes["head.bias"] == ["classes"]
    ranks = [shape for name, shape in shapes.items() if ".lora_A." in name]
    assert ranks
    assert all(shape[0] == "rank" for shape in ranks)


def test_other_targets_are_refused(stacks: dict[str, Built], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot export to 'gguf'"):
        export.export(stacks["base"].trained, "gguf", tmp_path, silent)


def test_a_base_with_other_weights_is_not_exported(
    stacks: dict[str, Built], copied: Copier, tmp_path: Path
) -> None:
    spoiled = copied(stacks["base"].trained)
    path = spoiled.base.directory / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(LayerRefused, match=r"does not hold the model\.safetensors"):
        export.export(spoiled, "onnx", tmp_path, silent)
