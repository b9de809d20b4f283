"""Open models come in whole, or are refused with what to do."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tests.families.vision.factory import Built, first_labels, job, run, stack
from transformers import AutoConfig, AutoModelForImageClassification

from dizuo.artifacts.model import LayerDirectory, Level
from dizuo.core.progress import Progress, silent
from dizuo.families.errors import ModelRefused
from dizuo.families.golden import TRAINED_ANSWERS_NAME, probe, read_golden
from dizuo.families.vision import export, score
from dizuo.families.vision.importing import generated_images, import_model, inspect
from dizuo.families.vision.layer import read_manifest
from dizuo.families.vision.model_directory import SUPPORTED, read_directory
from dizuo.families.vision.runtime import open_engine

TRANSFORMER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
WINDOWED = {
    "image_size": 32,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [1, 1],
    "num_heads": [2, 2],
    "window_size": 4,
}
STAGES = {"hidden_sizes": [8, 16], "depths": [1, 1]}
TINY: dict[str, dict[str, Any]] = {
    "beit": TRANSFORMER,
    "convnext": {**STAGES, "num_stages": 2},
    "convnextv2": {**STAGES, "num_stages": 2},
    "dinov2": {**TRANSFORMER, "mlp_ratio": 2},
    "dinov2_with_registers": {**TRANSFORMER, "mlp_ratio": 2},
    "regnet": {**STAGES, "embedding_size": 8, "groups_width": 4},
    "resnet": {**STAGES, "embedding_size": 8, "layer_type": "bottleneck"},
    "swin": WINDOWED,
    "swinv2": WINDOWED,
    "vit": TRANSFORMER,
}
PROCESSOR: dict[str, Any] = {
    "size": {"height": 32, "width": 32},
    "resample": 3,
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.3],
}
LABELS = ("cat", "dog", "fox", "owl", "pig")


def save_model(directory: Path, architecture: str, **options: Any) -> Path:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        architecture,
        **TINY[architecture],
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    AutoModelForImageClassification.from_config(config).save_pretrained(directory, **options)
    (directory / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return directory


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("vit"), "vit")


@pytest.fixture
def model(vit: Path, tmp_path: Path) -> Path:
    """A directory that a test may spoil."""
    return Path(shutil.copytree(vit, tmp_path / "model"))


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
    golden = read_golden(built.trained.top.directory, TRAINED_ANSWERS_NAME)
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
    golden = read_golden(todo.output, TRAINED_ANSWERS_NAME)
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


def edit(name: str, **changes: Any) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        path = model / name
        kept = {**json.loads(path.read_bytes()), **changes}
        path.write_text(json.dumps({k: v for k, v in kept.items() if v is not None}))

    return change


def write(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda model: (model / name).write_bytes(data)


def remove(name: str) -> Callable[[Path], object]:
    return lambda model: (model / name).unlink()


def cut(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def index(weight_map: Any) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        (model / "model.safetensors").unlink()
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return change


PROCESSOR_NAME = "preprocessor_config.json"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (remove("config.json"), r"There is no config\.json"),
    "configuration that is not JSON": (write("config.json", b"{"), "is not JSON of a model"),
    "configuration in binary": (write("config.json", b"\xff\xfe\x00"), "is not JSON of a model"),
    "configuration that is a list": (write("config.json", b"[]"), "is not JSON of a model"),
    "no weights": (remove("model.safetensors"), "There are no weights"),
    "weights cut short": (cut, "cut short or is not a safetensors file"),
    "empty weights": (write("model.safetensors", b""), "cut short or is not a safetensors file"),
    "a pickle by another name": (
        write("model.safetensors", pickle.dumps({"a": 1})),
        "is not a safetensors file",
    ),
    "an unknown architecture": (edit("config.json", model_type="yolos"), "'yolos' is not supp"),
    "no architecture": (edit("config.json", model_type=None), "is not supported"),
    "not a classifier": (
        edit("config.json", architectures=["ViTForMaskedImageModeling"]),
        "not an image classifier",
    ),
    "labels with a gap": (edit("config.json", id2label={"0": "a", "2": "b"}), "not numbered"),
    "labels that are a list": (edit("config.json", id2label=["a"]), "not numbered from 0"),
    "no preprocessing": (remove(PROCESSOR_NAME), r"no preprocessor_config\.json"),
    "no size": (edit(PROCESSOR_NAME, size=None), "does not say how"),
    "no mean": (edit(PROCESSOR_NAME, image_mean=None), "does not say how"),
    "two means": (edit(PROCESSOR_NAME, image_mean=[0.5, 0.5]), "does not say how"),
    "a size that is text": (edit(PROCESSOR_NAME, size="large"), "does not say how"),
    "pictures of any shape": (edit(PROCESSOR_NAME, size={"shortest_edge": 32}), "does not say"),
    "Lanczos": (edit(PROCESSOR_NAME, resample=1), "asks for resampling '1'"),
    "an index of nothing": (index({}), "names no files"),
    "an index that is a list": (index([]), "names no files"),
    "a shard that is missing": (index({"a": "model-1.safetensors"}), "model-1.safetensors is miss"),
    "a shard outside": (index({"a": "../model.safetensors"}), "is not a safetensors file beside"),
    "a pickled shard": (index({"a": "pytorch_model.bin"}), "is not a safetensors file beside"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_directories_get_one_sentence_and_change_nothing(
    model: Path, tmp_path: Path, name: str
) -> None:
    spoil, says = BAD[name]
    spoil(model)
    output = tmp_path / "layer"
    output.mkdir()
    for read in (inspect, lambda path: import_model(path, output, silent)):
        with pytest.raises(ModelRefused, match=says) as caught:
            read(model)
        assert caught.value.message.endswith(".")
        assert caught.value.next_step
    assert list(output.iterdir()) == []


def drop_tensor(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})


MISFITS: dict[str, Callable[[Path], object]] = {
    "a tensor is missing": drop_tensor,
    "another width": edit("config.json", hidden_size=64),
    "more layers": edit("config.json", num_hidden_layers=3),
    "fewer layers": edit("config.json", num_hidden_layers=1),
    "a width that is text": edit("config.json", hidden_size="wide"),
    "labels without names": edit("config.json", id2label=None, label2id=None, num_labels=5),
    "more labels": edit("config.json", id2label={str(n): str(n) for n in range(9)}, label2id={}),
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
    assert caught.value.message.count("\n") == 0
    assert list(output.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="is not a folder"):
        inspect(tmp_path / "none")


SIZES: list[tuple[str, dict[str, Any], tuple[int, int, float | None]]] = [
    ("exact", {"size": {"height": 20, "width": 30}}, (20, 30, None)),
    ("a number", {"size": 32}, (32, 32, None)),
    (
        "shortest edge and crop",
        {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": 224},
        (224, 224, 224 / 256),
    ),
    (
        "crop as a mapping",
        {
            "size": {"shortest_edge": 40},
            "do_center_crop": True,
            "crop_size": {"height": 32, "width": 32},
        },
        (32, 32, 0.8),
    ),
    (
        "ConvNeXt",
        {
            "size": {"shortest_edge": 224},
            "crop_pct": 0.875,
            "image_processor_type": "ConvNextImageProcessor",
        },
        (224, 224, 0.875),
    ),
    (
        "a large ConvNeXt",
        {"size": {"shortest_edge": 384}, "feature_extractor_type": "ConvNextFeatureExtractor"},
        (384, 384, None),
    ),
]


@pytest.mark.parametrize(
    ("processor", "expected"), [case[1:] for case in SIZES], ids=[case[0] for case in SIZES]
)
def test_sizes_as_image_processors_write_them(
    model: Path, processor: dict[str, Any], expected: tuple[int, int, float | None]
) -> None:
    (model / PROCESSOR_NAME).write_text(json.dumps({**PROCESSOR, **processor}))
    found = read_directory(model).preprocessing
    assert (found.height, found.width, found.centre_crop) == expected


def test_scaling_and_normalising_may_be_off(model: Path) -> None:
    edit(PROCESSOR_NAME, do_rescale=False, do_normalize=False)(model)
    found = read_directory(model).preprocessing
    assert (found.rescale, found.mean, found.std) == (1.0, (0.0,) * 3, (1.0,) * 3)
    edit(PROCESSOR_NAME, do_rescale=True, do_normalize=True, image_mean=0.5)(model)
    found = read_directory(model).preprocessing
    assert (found.rescale, found.mean) == (1 / 255, (0.5,) * 3)


def test_two_labels_have_no_names_unless_given(model: Path) -> None:
    edit("config.json", id2label=None)(model)
    assert read_directory(model).labels == ("LABEL_0", "LABEL_1")


def test_generated_images_are_always_the_same_and_differ() -> None:
    images = generated_images(3)
    assert images == generated_images(3)
    assert len(set(images)) == len(images) == 64
