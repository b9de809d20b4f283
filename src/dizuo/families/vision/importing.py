"""Bringing an open image classifier in as a base. Light, but `import_model` is heavy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import TunedLayer
from dizuo.families.errors import LayerRefused, ModelRefused
from dizuo.families.vision import calibration
from dizuo.families.vision.calibration import Evidence
from dizuo.families.vision.imaging import encode_png
from dizuo.families.vision.model_directory import (
    CONFIG_NAME,
    INDEX_NAME,
    PROCESSOR_NAME,
    SUPPORTED,
    ModelDirectory,
    read_config,
    read_directory,
)

if TYPE_CHECKING:
    from dizuo.families.vision.network import Network

FILES: tuple[str, ...] = ("*.safetensors", INDEX_NAME, CONFIG_NAME, PROCESSOR_NAME)
HEADS: Mapping[str, int] = {}

_NUM_GENERATED = 64
_GENERATED_SIDE = 32
_KEPT_TO_OURSELVES = ("_name_or_path", "auto_map", "dtype", "torch_dtype", "transformers_version")


def check_config(directory: Path) -> dict[str, Any]:
    """Refuse what is not one of the image classifiers that are supported, by `config.json` alone.

    Raises:
        ModelRefused: it is not; says why and what to do.
    """
    return {"architecture": read_config(directory)["model_type"]}


def check_task(task: Mapping[str, Any], _found: Mapping[str, Any]) -> None:
    """See that nothing is said of how a classifier is to answer: there is nothing to say.

    Raises:
        InvalidInput: something is.
    """
    if task:
        raise InvalidInput(
            f"An image classifier has no task.{next(iter(task))[:60]} that an import could set.",
            next_step="Leave it out.",
        )


def inspect(directory: Path) -> dict[str, Any]:
    """What the directory holds, from headers.

    Raises:
        ModelRefused: it cannot become a layer; says why and what to do.
    """
    found = read_directory(directory)
    return {
        "architecture": found.config["model_type"],
        "class": SUPPORTED[found.config["model_type"]],
        "num_labels": len(found.labels),
        "labels": list(found.labels),
        "num_parameters": found.num_parameters,
        "weights": [path.name for path in found.weights],
        "preprocessing": found.preprocessing.model_dump(),
    }


def import_model(
    directory: Path,
    output: Path,
    report: Reporter,
    *,
    task: Mapping[str, Any] = MappingProxyType({}),
) -> TunedLayer:
    """The model as an L0 layer in the `safetensors` target.

    No data comes with a model, so its confidence stays as it is and its
    golden set and percentiles are of generated pictures; a layer tuned on it is calibrated on data.

    Raises:
        ModelRefused: as `inspect`, or the weights are not those of the configuration.
        InvalidInput: as `check_task`.
    """
    # PyTorch and Transformers take seconds to import, and `inspect` answers without them.
    from dizuo.families.vision.making import Witness, layer_files, write_answers, write_base

    check_task(task, {})
    found = read_directory(directory)
    report(Progress("import", 0, 2, message="reading the weights"))
    network, config = _load(found)
    report(Progress("import", 1, 2, message="asking it about generated pictures"))
    images = generated_images(found.preprocessing.channels)
    evidence = _examined(network, images)
    write_base(network, config, found.labels, output)
    tuned = calibration.fit_unlabelled(evidence, output / calibration.FILE_NAME)
    write_answers(Witness(network, tuned, found.labels), images, output)
    report(Progress("import", 2, 2))
    return TunedLayer(layer_files(output), {"num_parameters": float(found.num_parameters)})


def _load(found: ModelDirectory) -> tuple[Network, dict[str, Any]]:
    from dizuo.families.vision.network import pretrained_network

    try:
        network, config = pretrained_network(found.path, found.preprocessing)
    except LayerRefused as error:
        raise ModelRefused(error.message, next_step=error.next_step) from error
    if network.head.out_features != len(found.labels):
        raise ModelRefused(
            f"The model has {network.head.out_features} outputs and {len(found.labels)} labels.",
            next_step="Correct id2label in config.json.",
        )
    kept = {name: value for name, value in config.items() if name not in _KEPT_TO_OURSELVES}
    return network, kept


def _examined(network: Network, images: list[bytes]) -> Evidence:
    """What the model says about pictures, which shows whether it takes them at all."""
    from dizuo.families.vision.lessons import Pictures, examine

    pictures = Pictures(images, [0] * len(images), network.preprocess)
    try:
        seen = examine(network, pictures, range(len(images)))
    except (RuntimeError, ValueError) as error:
        raise ModelRefused(
            f"The model does not take pictures as {PROCESSOR_NAME} prepares them.",
            next_step=f"Use the {PROCESSOR_NAME} and {CONFIG_NAME} of one and the same model.",
        ) from error
    if not (np.isfinite(seen.embeddings).all() and np.isfinite(seen.logits).all()):
        raise ModelRefused(
            "The model answers with values that are not finite numbers.",
            next_step="Fetch the model again: its weights are damaged, or were never trained.",
        )
    return Evidence(seen.embeddings, seen.logits, seen.logits.argmax(axis=1))


def generated_images(num_channels: int) -> list[bytes]:
    """Soft random patterns as PNG, always the same ones."""
    random = np.random.default_rng(0)
    coarse = random.random((_NUM_GENERATED, 5, 5, num_channels))
    steps = np.linspace(0, 4, _GENERATED_SIDE)
    low = np.minimum(steps.astype(int), 3)
    share = (steps - low)[:, None, None]
    tall = coarse[:, low] * (1 - share) + coarse[:, low + 1] * share
    share = (steps - low)[:, None]
    wide = tall[:, :, low] * (1 - share) + tall[:, :, low + 1] * share
    return [encode_png(picture) for picture in np.rint(255 * wide).astype(np.uint8)]
