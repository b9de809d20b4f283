"""Model directories are understood from their headers, or refused in one sentence."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.refusals import one_clear_sentence
from tests.families.vision.foreign import PROCESSOR, PROCESSOR_NAME, edit, remove, write

from dizuo.core.progress import silent
from dizuo.families.errors import ModelRefused
from dizuo.families.vision.importing import import_model, inspect
from dizuo.families.vision.model_directory import read_directory


def cut(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def index(weight_map: Any) -> Callable[[Path], object]:
    def change(model: Path) -> None:
        (model / "model.safetensors").unlink()
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return change


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (remove("config.json"), r"There is no config\.json"),
    "configuration that is not JSON": (write("config.json", b"{"), "is not JSON of a model"),
    "configuration in binary": (write("config.json", b"\xff\xfe\x00"), "is not JSON of a model"),
    "configuration that is nested too deep": (
        write("config.json", b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
        "is not JSON of a model",
    ),
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
    "architectures that are a number": (
        edit("config.json", architectures=5),
        "architectures in config.json are not a list of names",
    ),
    "architectures that are numbers": (
        edit("config.json", architectures=[5]),
        "architectures in config.json are not a list of names",
    ),
    "an architecture that is no Unicode": (
        edit("config.json", architectures=["\ud800\n"]),
        r"is a '\\ud800\\n', not an image classifier",
    ),
    "more channels than memory": (
        edit("config.json", num_channels=10**12),
        "gives pictures '1000000000000' channels",
    ),
    "channels that are text": (edit("config.json", num_channels="3"), "pictures '3' channels"),
    "no labels": (edit("config.json", id2label={}), "has no labels, or"),
    "a label that is no Unicode": (
        edit("config.json", id2label={"0": "\ud800"}),
        "one that is not valid Unicode",
    ),
    "labels with a gap": (edit("config.json", id2label={"0": "a", "2": "b"}), "not numbered"),
    "labels that are a list": (edit("config.json", id2label=["a"]), "not numbered from 0"),
    "no preprocessing": (remove(PROCESSOR_NAME), r"no preprocessor_config\.json"),
    "no size": (edit(PROCESSOR_NAME, size=None), "does not say how"),
    "no mean": (edit(PROCESSOR_NAME, image_mean=None), "does not say how"),
    "two means": (edit(PROCESSOR_NAME, image_mean=[0.5, 0.5]), "does not say how"),
    "a size that is text": (edit(PROCESSOR_NAME, size="large"), "does not say how"),
    "pictures of any shape": (edit(PROCESSOR_NAME, size={"shortest_edge": 32}), "does not say"),
    "an edge of nothing": (
        edit(PROCESSOR_NAME, size={"shortest_edge": 0}, do_center_crop=True, crop_size=0),
        "does not say how",
    ),
    "a crop of nothing": (
        edit(PROCESSOR_NAME, size={"shortest_edge": 8}, do_center_crop=True, crop_size=0),
        "does not say how",
    ),
    "an infinite mean": (edit(PROCESSOR_NAME, image_mean=[math.inf] * 3), "does not say how"),
    "a mean that is no number": (edit(PROCESSOR_NAME, image_mean=[math.nan] * 3), "does not say"),
    "a mean beyond floats": (edit(PROCESSOR_NAME, image_mean=[10**400] * 3), "does not say how"),
    "a deviation of next to nothing": (
        edit(PROCESSOR_NAME, image_std=[1e-300] * 3),
        "does not say how",
    ),
    "an infinite deviation": (edit(PROCESSOR_NAME, image_std=[math.inf] * 3), "does not say how"),
    "an infinite scale": (edit(PROCESSOR_NAME, rescale_factor=math.inf), "does not say how"),
    "a crop beyond floats": (
        edit(
            PROCESSOR_NAME,
            size={"shortest_edge": 32},
            image_processor_type="ConvNext",
            crop_pct=10**400,
        ),
        "does not say how",
    ),
    "Lanczos": (edit(PROCESSOR_NAME, resample=1), "asks for resampling '1'"),
    "an index of nothing": (index({}), "names no files"),
    "an index that is a list": (index([]), "names no files"),
    "a shard that is missing": (
        index({"a": "model-1.safetensors"}),
        "model-1.safetensors' is miss",
    ),
    "a shard of an endless name": (index({"a": "m" * 5000 + ".safetensors"}), "' is missing"),
    "a shard that is no Unicode": (index({"a": "\ud800\0.safetensors"}), "is missing"),
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
        one_clear_sentence(caught.value.message)
        assert caught.value.next_step
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
