"""What a Hugging Face image-classification directory holds, told from its headers. Light.

Only `config.json`, `preprocessor_config.json` and the headers of safetensors files are read.
Pickled weights are never opened: unpickling runs whatever code they carry.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from dizuo.families.errors import ModelRefused
from dizuo.families.vision.layer import Preprocessing

CONFIG_NAME = "config.json"
PROCESSOR_NAME = "preprocessor_config.json"
SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
SUPPORTED: Mapping[str, str] = {
    "beit": "BeitForImageClassification",
    "convnext": "ConvNextForImageClassification",
    "convnextv2": "ConvNextV2ForImageClassification",
    "dinov2": "Dinov2ForImageClassification",
    "dinov2_with_registers": "Dinov2WithRegistersForImageClassification",
    "regnet": "RegNetForImageClassification",
    "resnet": "ResNetForImageClassification",
    "swin": "SwinForImageClassification",
    "swinv2": "Swinv2ForImageClassification",
    "vit": "ViTForImageClassification",
}
"""Architectures whose export and adapters have been tested: `model_type` to class."""

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_MAX_JSON_BYTES = 20_000_000
_RESAMPLES = {2: "bilinear", 3: "bicubic"}
_CONVNEXT_WARP_EDGE = 384


@dataclass(frozen=True, slots=True)
class ModelDirectory:
    """A directory that can become a base: its configuration, its labels in order, the files its
    weights are in, how many numbers those hold, and how it wants pictures."""

    path: Path
    config: Mapping[str, Any]
    labels: tuple[str, ...]
    weights: tuple[Path, ...]
    num_parameters: int
    preprocessing: Preprocessing


def read_directory(path: Path) -> ModelDirectory:
    """Read and check a directory.

    Raises:
        ModelRefused: it cannot become a layer; says why and what to do.
    """
    if not path.is_dir():
        raise ModelRefused(f"{path} is not a folder.", next_step="Give the folder of a model.")
    config = read_config(path)
    weights = _weight_files(path)
    return ModelDirectory(
        path=path,
        config=config,
        labels=_labels(config),
        weights=weights,
        num_parameters=sum(_count_parameters(file) for file in weights),
        preprocessing=_preprocessing(path, config),
    )


def read_config(path: Path) -> dict[str, Any]:
    """The `config.json` of an image classifier that is supported.

    Raises:
        ModelRefused: there is none, or it describes something else.
    """
    config = _read_json(path, CONFIG_NAME)
    if not config.get("model_type"):
        raise ModelRefused(
            f"A model whose {CONFIG_NAME} names no architecture is not supported.",
            next_step="Fetch the model again: model_type is missing.",
        )
    architecture = str(config["model_type"])
    if architecture not in SUPPORTED:
        raise ModelRefused(
            f"The architecture {architecture[:60]!r} is not supported.",
            next_step=f"Supported: {', '.join(sorted(SUPPORTED))}.",
        )
    _check_class(config, SUPPORTED[architecture])
    return config


def _check_class(config: Mapping[str, Any], wanted: str) -> None:
    """Transformers writes what the model is a member of; where that is left out it may be ours."""
    classes = config.get("architectures") or [wanted]
    if not isinstance(classes, list) or not all(isinstance(one, str) for one in classes):
        raise ModelRefused(
            f"The architectures in {CONFIG_NAME} are not a list of names.",
            next_step="Fetch the model again.",
        )
    if wanted not in classes:
        raise ModelRefused(
            f"The model is a {classes[0][:60]!r}, not an image classifier.",
            next_step=f"Import a {wanted}.",
        )


def _read_json(directory: Path, name: str) -> dict[str, Any]:
    path = directory / name
    if not path.is_file():
        raise ModelRefused(
            f"There is no {name} in the model's folder.",
            next_step="Import a folder that save_pretrained or a model hub has written.",
        )
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):  # RecursionError: nested thousands of levels deep
        value = None
    if not isinstance(value, dict):
        raise ModelRefused(f"{name} is not JSON of a model.", next_step="Fetch the model again.")
    return value


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """`id2label` in order; Transformers leaves it out where it has its default of two labels."""
    named = config.get("id2label")
    if named is None:
        return ("LABEL_0", "LABEL_1")
    try:
        by_number = {int(number): str(label) for number, label in named.items()}
        labels = tuple(by_number[number] for number in range(len(by_number)))
    except (AttributeError, ValueError, KeyError) as error:
        raise ModelRefused(
            f"The labels in {CONFIG_NAME} are not numbered from 0.", next_step="Correct id2label."
        ) from error
    if not labels or any(map(_is_no_unicode, labels)):
        raise ModelRefused(
            f"{CONFIG_NAME} has no labels, or one that is not valid Unicode.",
            next_step="Correct id2label.",
        )
    return labels


def _is_no_unicode(text: str) -> bool:
    """Whether a text from JSON holds half a surrogate pair, which cannot be written down again."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _weight_files(directory: Path) -> tuple[Path, ...]:
    if (directory / SINGLE_NAME).is_file():
        return (directory / SINGLE_NAME,)
    if (directory / INDEX_NAME).is_file():
        return _shards(directory)
    pickled = sorted(path.name for pattern in _PICKLED for path in directory.glob(pattern))
    if pickled:
        raise ModelRefused(
            f"The weights are pickled ({pickled[0]}), and unpickling runs code that they carry.",
            next_step="Where you trust them, load the model with Transformers and save it again "
            "with save_pretrained, which writes model.safetensors.",
        )
    raise ModelRefused(
        "There are no weights in the model's folder.", next_step=f"Add {SINGLE_NAME}."
    )


def _shards(directory: Path) -> tuple[Path, ...]:
    weight_map = _read_json(directory, INDEX_NAME).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelRefused(f"{INDEX_NAME} names no files.", next_step="Fetch the model again.")
    names = sorted({str(name) for name in weight_map.values()})
    beside = {path.name for path in directory.iterdir() if path.is_file()}
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelRefused(
                f"{INDEX_NAME} names {name[:80]!r}, which is not a safetensors file beside it.",
                next_step="Fetch the model again.",
            )
        if name not in beside:
            raise ModelRefused(
                f"The file {name[:80]!r} is missing.", next_step="Fetch the model again."
            )
    return tuple(directory / name for name in names)


def _count_parameters(path: Path) -> int:
    try:
        with safe_open(path, framework="numpy") as tensors:
            shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelRefused(
            f"{path.name} is cut short or is not a safetensors file.",
            next_step="Fetch the model again.",
        ) from error
    return sum(math.prod(shape) for shape in shapes)


def _preprocessing(directory: Path, config: Mapping[str, Any]) -> Preprocessing:
    """How the model's own image processor treats a picture, in our terms."""
    processor = _read_json(directory, PROCESSOR_NAME)
    rescales = processor.get("do_rescale", True)
    try:
        channels = _channels(config)
        height, width, centre_crop = _size(processor)
        mean, std = _normalisation(processor, channels)
        return Preprocessing(
            height=height,
            width=width,
            channels=channels,
            centre_crop=centre_crop,
            resample=_resample(processor),
            rescale=processor.get("rescale_factor", 1 / 255) if rescales else 1.0,
            mean=mean,
            std=std,
        )
    except (ValidationError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise ModelRefused(
            f"{PROCESSOR_NAME} does not say how pictures become what the model sees.",
            next_step="It needs size, image_mean and image_std, each a number within reason.",
        ) from error


def _channels(config: Mapping[str, Any]) -> Any:
    channels = config.get("num_channels", 3)
    if type(channels) is not int or channels not in (1, 3):
        raise ModelRefused(
            f"{CONFIG_NAME} gives pictures {str(channels)[:20]!r} channels.",
            next_step="Supported: num_channels 1 and 3.",
        )
    return channels


def _normalisation(
    processor: Mapping[str, Any], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel; those that change nothing where it is off."""
    if not processor.get("do_normalize", True):
        return (0.0,) * channels, (1.0,) * channels
    return (
        _per_channel(processor["image_mean"], channels),
        _per_channel(processor["image_std"], channels),
    )


def _size(processor: Mapping[str, Any]) -> tuple[int, int, float | None]:
    """Height and width the network sees, and the share of the shorter side that is kept."""
    size = processor["size"]
    if isinstance(size, int):
        return _side(size), _side(size), None
    if not isinstance(size, Mapping):
        raise TypeError("the size is neither a number nor a mapping")
    if "height" in size and not processor.get("do_center_crop", False):
        return _side(size["height"]), _side(size["width"]), None
    edge = _side(size.get("shortest_edge", size.get("height")))
    kind = str(processor.get("image_processor_type", processor.get("feature_extractor_type", "")))
    if kind.startswith("ConvNext"):
        warped = edge >= _CONVNEXT_WARP_EDGE
        return edge, edge, None if warped else float(processor.get("crop_pct", 224 / 256))
    if size.get("width", edge) != edge or not processor.get("do_center_crop", False):
        raise ValueError("pictures would keep different shapes")
    crop = processor["crop_size"]
    height, width = (crop, crop) if isinstance(crop, int) else (crop["height"], crop["width"])
    if height != width or _side(height) > edge:
        raise ValueError("the crop is not a square inside the picture")
    # A picture with a set height and width is warped first; its square is then all of it.
    return height, width, height / edge


def _side(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise ValueError("a side is not a number of pixels")
    return value


def _resample(processor: Mapping[str, Any]) -> Any:
    number = processor.get("resample", 2)
    if number not in _RESAMPLES:
        raise ModelRefused(
            f"{PROCESSOR_NAME} asks for resampling {str(number)[:20]!r}.",
            next_step="Supported: 2 (bilinear) and 3 (bicubic).",
        )
    return _RESAMPLES[number]


def _per_channel(values: Any, channels: int) -> tuple[float, ...]:
    given = [values] * channels if isinstance(values, int | float) else list(values)
    return tuple(float(value) for value in given)
