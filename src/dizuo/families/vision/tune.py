"""Making a vision layer: a base from scratch, or an adapter on a stack. Heavy."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from dizuo.core.digests import sha256_file, sha256_json
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import TunedLayer, TuneJob
from dizuo.families.vision import calibration, spec
from dizuo.families.vision.calibration import Evidence
from dizuo.families.vision.layer import MANIFEST_NAME, Preprocessing
from dizuo.families.vision.lessons import Course, Pictures, examine, teach
from dizuo.families.vision.making import (
    Below,
    Witness,
    layer_files,
    write_adapter_layer,
    write_answers,
    write_base,
)
from dizuo.families.vision.network import (
    LoraShape,
    Network,
    adapter_of,
    add_adapter,
    build_network,
    merged_network,
    new_head,
)
from dizuo.families.vision.recipe import (
    LoraMethod,
    PretrainMethod,
    ResNetArchitecture,
    parse_method,
    parse_task,
)

MIN_ROWS = 20
_HELD_OUT_SHARE = 0.1
_MIN_HELD_OUT = 30
_MAX_HELD_OUT_SHARE = 1 / 3
_ADAPTER = "tuned"


@dataclass(frozen=True, slots=True)
class Lot:
    """The rows of a job: images, class numbers, and which rows are learned from or held out.
    Replayed ones are all learned from: they say nothing about how well this task is done."""

    images: tuple[bytes, ...]
    classes: tuple[int, ...]
    trained: tuple[int, ...]
    held_out: tuple[int, ...]

    def learned(self, network: Network) -> Pictures:
        """The rows to learn from, for this network."""
        images = [self.images[index] for index in self.trained]
        return Pictures(images, [self.classes[index] for index in self.trained], network.preprocess)

    def checked(self, network: Network) -> Pictures:
        """The rows held out, for this network."""
        images = [self.images[index] for index in self.held_out]
        classes = [self.classes[index] for index in self.held_out]
        return Pictures(images, classes, network.preprocess)


def tune(job: TuneJob, report: Reporter, cancelled: Callable[[], bool]) -> TunedLayer:
    """Train one layer; the same job gives the same bytes, killed on the way or not.

    Raises:
        Cancelled: `cancelled()` became true.
        InvalidInput: the rows cannot be trained on.
        LayerRefused: the parent's layers do not fit each other.
    """
    report(Progress("prepare", message="reading the rows and the parent"))
    torch.manual_seed(job.seed)
    method = parse_method(job.method)
    if isinstance(method, PretrainMethod):
        return _pretrain(job, method, report, cancelled)
    return _adapt(job, method, report, cancelled)


def _pretrain(
    job: TuneJob, method: PretrainMethod, report: Reporter, cancelled: Callable[[], bool]
) -> TunedLayer:
    labels = _labels(job, ())
    lot = _lot(job, labels)
    config = _resnet_config(method.architecture, labels)
    network = build_network(config, _preprocessing(method.architecture))
    learned = lot.learned(network)
    teach(network, learned, _course(job, method, ()), report, cancelled)
    write_base(network, config, labels, job.output)
    return _finish(job, network, labels, lot, learned)


def _adapt(
    job: TuneJob, method: LoraMethod, report: Reporter, cancelled: Callable[[], bool]
) -> TunedLayer:
    if job.parent is None:
        raise InvalidInput("A LoRA layer needs a parent.", next_step="Name it in `from`.")
    network, manifests = merged_network(job.parent)
    labels = _labels(job, manifests[-1].labels)
    lot = _lot(job, labels)
    shape = LoraShape(_ADAPTER, method.rank, method.scaling * method.rank)
    modules = manifests[0].modules
    add_adapter(network, modules, shape)
    if labels != manifests[-1].labels:
        network.head = new_head(network.embedding_size, len(labels))
    digests = tuple(sha256_file(layer.directory / MANIFEST_NAME) for layer in job.parent.layers)
    learned = lot.learned(network)
    teach(network, learned, _course(job, method, digests), report, cancelled)
    adapter = adapter_of(network, modules, shape)
    write_adapter_layer(adapter, labels, Below(manifests[0], digests), job.output)
    return _finish(job, network, labels, lot, learned)


def _finish(
    job: TuneJob, network: Network, labels: tuple[str, ...], lot: Lot, learned: Pictures
) -> TunedLayer:
    """Calibrate, record what the network in memory answers, and measure."""
    trained = examine(network, learned, range(len(learned)))
    held_out = examine(network, lot.checked(network), range(len(lot.held_out)))
    tuned = calibration.fit(trained, held_out, job.output / calibration.FILE_NAME)
    order = (*lot.held_out, *lot.trained)
    write_answers(
        Witness(network, tuned, labels), [lot.images[index] for index in order], job.output
    )
    metrics = {
        "num_trained": float(len(lot.trained)),
        "num_held_out": float(len(lot.held_out)),
        "trained_accuracy": _accuracy(trained),
        "held_out_accuracy": _accuracy(held_out),
        "temperature": tuned.temperature,
    }
    return TunedLayer(layer_files(job.output), metrics)


def _accuracy(evidence: Evidence) -> float:
    return float((evidence.logits.argmax(axis=1) == evidence.classes).mean())


def _labels(job: TuneJob, parent_labels: tuple[str, ...]) -> tuple[str, ...]:
    """The recipe's labels, else the parent's if they cover the rows, else those of the rows.

    Raises:
        InvalidInput: the rows have a label the recipe does not list, or fewer than two.
    """
    found = {spec.truth(row) for row in job.rows}
    listed = parse_task(job.task).labels
    if listed is not None:
        unlisted = sorted(found - set(listed))
        if unlisted:
            raise InvalidInput(
                f"The rows have the label {unlisted[0]!r}, which the recipe does not list.",
                next_step="Add it to task.labels, or correct the rows.",
            )
        return tuple(listed)
    if parent_labels and found <= set(parent_labels):
        return parent_labels
    if len(found) < 2:
        raise InvalidInput(
            "The rows have fewer than two labels.", next_step="Add rows of other labels."
        )
    return tuple(sorted(found))


def _lot(job: TuneJob, labels: Sequence[str]) -> Lot:
    num_own = len(job.rows) - job.num_replayed
    if num_own < MIN_ROWS:
        raise InvalidInput(
            f"There are {num_own} rows; training needs at least {MIN_ROWS}.",
            next_step="Add rows to the dataset.",
        )
    numbers = {label: number for number, label in enumerate(labels)}
    trained, held_out = split(num_own, job.seed)
    return Lot(
        images=tuple(row["image"] for row in job.rows),
        classes=tuple(numbers[spec.truth(row)] for row in job.rows),
        trained=(*trained, *range(num_own, len(job.rows))),
        held_out=held_out,
    )


def split(num_rows: int, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which rows to learn from and which to hold out, by the seed alone.

    A tenth is held out, at least 30 rows, but never more than a third.
    """
    wanted = max(math.ceil(_HELD_OUT_SHARE * num_rows), _MIN_HELD_OUT)
    num_held_out = min(wanted, int(_MAX_HELD_OUT_SHARE * num_rows))
    order = [int(index) for index in np.random.default_rng(seed).permutation(num_rows)]
    return tuple(order[num_held_out:]), tuple(order[:num_held_out])


def _course(job: TuneJob, method: PretrainMethod | LoraMethod, below: tuple[str, ...]) -> Course:
    rows = hashlib.sha256()
    for row in job.rows:
        rows.update(hashlib.sha256(row["image"]).digest() + spec.truth(row).encode() + b"\0")
    work = sha256_json(
        {
            "method": method.model_dump(),
            "task": dict(job.task),
            "seed": job.seed,
            "rows": rows.hexdigest(),
            "num_replayed": job.num_replayed,
            "below": list(below),
        }
    )
    return Course(method, job.seed, work, job.checkpoints)


def _resnet_config(architecture: ResNetArchitecture, labels: Sequence[str]) -> dict[str, Any]:
    settings = architecture.model_dump(exclude={"type", "image"})
    return {
        **settings,
        "model_type": "resnet",
        "architectures": ["ResNetForImageClassification"],
        "num_channels": architecture.image.channels,
        "id2label": {str(number): label for number, label in enumerate(labels)},
        "label2id": {label: number for number, label in enumerate(labels)},
    }


def _preprocessing(architecture: ResNetArchitecture) -> Preprocessing:
    image = architecture.image
    half = (0.5,) * image.channels
    return Preprocessing(
        height=image.height, width=image.width, channels=image.channels, mean=half, std=half
    )
