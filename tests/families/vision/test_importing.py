"""Open models come in whole, or are refused with what to do."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.e2e.refusals import one_clear_sentence
from tests.families.vision.factory import Built, first_labels, job, run, stack
from tests.families.vision.foreign import (
    LABELS,
    PROCESSOR,
    PROCESSOR_NAME,
    edit,
    save_model,
    write_null,
)
from transformers import AutoModelForImageClassification

from dizuo.artifacts.model import LayerDirectory, Level
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, silent
from dizuo.families.errors import ModelRefused
from dizuo.families.golden import probe, read_trained_answers
from dizuo.families.vision import export, score
from dizuo.families.vision.importing import generated_images, import_model, inspect
from dizuo.families.vision.layer import read_manifest
from dizuo.families.vision.model_directory import SUPPORTED
from dizuo.families.vision.runtime import open_engine


def imported(model: Path, root: Path, name: str) -> Built:
    output, graph = root / "layer", root / "onnx"
    output.mkdir()
    graph.mkdir()
    import_model(model, output, silent)
    trained = stack(name, "safetensors", [LayerDirectory(Level.L0, name, output)])
    export.export(trained, "onnx", graph, silent)
    return Built(trained, stack(name, "onnx", [LayerDirectory(Level.L0, name, graph)]))


QUICK = {"resnet", "vit", "convnext"}


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in sorted(SUPPORTED)
    ],
)
def test_an_imported_model_is_served_as_transformers_runs_it(
    tmp_path: Path, architecture: str
) -> None:
    model = save_model(tmp_path / "model", architecture)
    built = imported(model, tmp_path, architecture)
    engine = open_engine({architecture: built.onnx}, threads=1)
    golden = read_trained_answers(built.trained.top.directory)
    assert probe(engine, architecture, golden, score).agreement == 1.0
    reference = AutoModelForImageClassification.from_pretrained(model).eval()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    scaled = (pixels / 255 - PROCESSOR["image_mean"]) / np.asarray(PROCESSOR["image_std"])
    with torch.no_grad():
        values = torch.from_numpy(scaled.astype(np.float32)).permute(0, 3, 1, 2)
        expected = reference(pixel_values=values).logits.softmax(dim=1).numpy()
    tensor = {"name": "image", "datatype": "UINT8", "shape": [2, 32, 32, 3]}
    body = {"inputs": [{**tensor, "data": pixels.ravel().tolist()}]}
    outputs = engine.infer(architecture, body).response["outputs"]
    assert outputs[2]["data"] == pytest.approx(expected.ravel().tolist(), abs=1e-4)
    assert set(outputs[0]["data"]) <= set(LABELS)


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(name, marks=[] if name == "vit" else pytest.mark.slow)
        for name in sorted(SUPPORTED)
    ],
)
def test_an_adapter_can_be_laid_on_an_imported_model(tmp_path: Path, architecture: str) -> None:
    base = imported(save_model(tmp_path / "model", architecture), tmp_path, architecture)
    todo = job(tmp_path / "child", first_labels(40, 3, seed=2), base.trained)
    run(todo)
    layers = (*base.onnx.layers, LayerDirectory(Level.L1, "child", todo.output))
    engine = open_engine({"child": stack("child", "onnx", layers)}, threads=1)
    golden = read_trained_answers(todo.output)
    assert probe(engine, "child", golden, score).agreement == 1.0


def test_inspect_tells_from_headers(vit: Path) -> None:
    found = inspect(vit)
    tensors = load_file(vit / "model.safetensors")
    assert found["architecture"] == "vit"
    assert found["labels"] == list(LABELS)
    assert found["num_parameters"] == sum(tensor.size for tensor in tensors.values())
    assert found["weights"] == ["model.safetensors"]
    assert found["preprocessing"]["resample"] == "bicubic"


def test_shards_are_one_model(vit: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "sharded", "vit", max_shard_size="20KB")
    found = inspect(model)
    assert len(found["weights"]) > 2
    assert found["num_parameters"] == inspect(vit)["num_parameters"]
    output = tmp_path / "layer"
    output.mkdir()
    import_model(model, output, silent)
    whole = tmp_path / "whole"
    whole.mkdir()
    import_model(vit, whole, silent)
    assert read_manifest(output).weights == read_manifest(whole).weights


def test_half_precision_becomes_single(model: Path, tmp_path: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    halves = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    save_file(halves, model / "model.safetensors", metadata={"format": "pt"})
    output = tmp_path / "layer"
    output.mkdir()
    events: list[Progress] = []
    import_model(model, output, events.append)
    stored = load_file(output / "model.safetensors")
    assert {str(tensor.dtype) for tensor in stored.values()} == {"float32"}
    assert events[-1].done == events[-1].total


def test_pickles_beside_safetensors_are_left_alone(model: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04never read")
    assert inspect(model)["weights"] == ["model.safetensors"]


class Bomb:
    """Unpickling this leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pth"])
def test_pickled_weights_are_never_unpickled(model: Path, tmp_path: Path, name: str) -> None:
    (model / "model.safetensors").unlink()
    (model / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    for read in (inspect, lambda path: import_model(path, tmp_path / "layer", silent)):
        with pytest.raises(ModelRefused, match="are pickled") as caught:
            read(model)
    assert "save_pretrained" in caught.value.next_step
    assert not (tmp_path / "exploded").exists()


def drop_tensor(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


def not_a_number(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors["classifier.bias"][:] = np.nan
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


MISFITS: dict[str, Callable[[Path], object]] = {
    "a tensor is missing": drop_tensor,
    "another width": edit("config.json", hidden_size=64),
    "more layers": edit("config.json", num_hidden_layers=3),
    "fewer layers": edit("config.json", num_hidden_layers=1),
    "a width that is text": edit("config.json", hidden_size="wide"),
    "labels without names": edit("config.json", id2label=None, label2id=None, num_labels=5),
    "more labels": edit("config.json", id2label={str(n): str(n) for n in range(9)}, label2id={}),
    "pictures larger than it takes": edit(PROCESSOR_NAME, size=64),
    "pictures smaller than it takes": edit(PROCESSOR_NAME, size=4),
    "weights that are no numbers": not_a_number,
}
UNBUILDABLE: dict[str, Callable[[Path], object]] = {
    "an activation of no library": edit("config.json", hidden_act="nope"),
    "patches of nothing": edit("config.json", patch_size=0),
    "no heads": edit("config.json", num_attention_heads=0),
    "a width below nothing": edit("config.json", hidden_size=-1),
    "an image without size": write_null("config.json", "image_size"),
    "a quantisation that is a number": edit("config.json", quantization_config=5),
}


@pytest.mark.parametrize("name", MISFITS)
def test_weights_that_do_not_fit_the_configuration_are_refused(
    model: Path, tmp_path: Path, name: str
) -> None:
    MISFITS[name](model)
    output = tmp_path / "layer"
    output.mkdir()
    with pytest.raises(ModelRefused) as caught:
        import_model(model, output, silent)
    one_clear_sentence(caught.value.message)
    assert caught.value.next_step
    assert list(output.iterdir()) == []


@pytest.mark.parametrize("name", UNBUILDABLE)
def test_configurations_that_no_model_can_be_built_from(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    UNBUILDABLE[name](model)
    output = tmp_path / "layer"
    output.mkdir()
    with (
        caplog.at_level("INFO", logger="dizuo.families.vision"),
        pytest.raises(ModelRefused) as caught,
    ):
        import_model(model, output, silent)
    assert caught.value.message == "config.json does not describe a model that can be built."
    assert "Fetch the model again" in caught.value.next_step
    assert "no model can be built: " in caplog.text  # the log has the reason
    assert list(output.iterdir()) == []


def test_a_configuration_of_absurd_size_costs_no_memory(model: Path, tmp_path: Path) -> None:
    edit("config.json", hidden_size=2_000_000)(model)
    with pytest.raises(ModelRefused, match="weights do not fit"):
        import_model(model, tmp_path / "layer", silent)


def test_generated_images_are_always_the_same_and_differ() -> None:
    images = generated_images(3)
    assert images == generated_images(3)
    assert len(set(images)) == len(images) == 64


def test_nothing_is_said_of_how_a_classifier_answers(vit: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"has no task\.context_tokens") as refused:
        import_model(vit, tmp_path, silent, task={"context_tokens": 4096})
    assert refused.value.next_step
    assert not list(tmp_path.iterdir())
