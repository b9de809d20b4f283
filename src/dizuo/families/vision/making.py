"""Writing a layer's folder: what training and importing have in common. Heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dizuo.artifacts.model import FileRole, LayerFile
from dizuo.core.digests import sha256_file
from dizuo.core.files import write_json
from dizuo.families.golden import (
    GOLDEN_NAME,
    MAX_GOLDEN_ROWS,
    MAX_TRAINED_ANSWERS,
    TRAINED_ANSWERS_NAME,
    TrainedAnswer,
    kept,
    write_golden,
    write_trained_answers,
)
from dizuo.families.vision import calibration
from dizuo.families.vision.adapter import Adapter, write_adapter
from dizuo.families.vision.calibration import Calibration, likeliest
from dizuo.families.vision.imaging import decode, encode_png, shrink_to
from dizuo.families.vision.layer import (
    ADAPTER_FORMAT,
    ADAPTER_NAME,
    CONFIG_NAME,
    MANIFEST_NAME,
    PREPROCESSING_NAME,
    WEIGHTS_NAME,
    Manifest,
)
from dizuo.families.vision.lessons import Pictures, examine
from dizuo.families.vision.network import Network, adaptable_modules, save_weights
from dizuo.families.vision.protocol import bytes_request

FILE_ROLES: Mapping[str, FileRole] = {
    MANIFEST_NAME: FileRole.CONFIG,
    CONFIG_NAME: FileRole.CONFIG,
    PREPROCESSING_NAME: FileRole.PREPROCESSING,
    WEIGHTS_NAME: FileRole.WEIGHTS,
    ADAPTER_NAME: FileRole.WEIGHTS,
    calibration.FILE_NAME: FileRole.CALIBRATION,
    GOLDEN_NAME: FileRole.GOLDEN,
    TRAINED_ANSWERS_NAME: FileRole.TRAINED_ANSWERS,
}
_CONFIDENCE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Below:
    """What an adapter is laid on: the base's manifest, and the digests of the manifests of every
    layer below, base first."""

    base: Manifest
    digests: tuple[str, ...]


def write_base(
    network: Network, config: Mapping[str, Any], labels: Sequence[str], output: Path
) -> Manifest:
    """Write a base's configuration, preprocessing, weights and manifest."""
    settings = network.preprocess.settings
    write_json(output / CONFIG_NAME, config)
    write_json(output / PREPROCESSING_NAME, settings.model_dump())
    weights = sha256_file(save_weights(network, output))
    manifest = Manifest(
        kind="base",
        architecture=str(config["model_type"]),
        labels=tuple(labels),
        embedding_size=network.embedding_size,
        modules=adaptable_modules(network.backbone),
        weights=weights,
        base_weights=weights,
        preprocessing=sha256_file(output / PREPROCESSING_NAME),
    )
    write_json(output / MANIFEST_NAME, manifest.model_dump())
    return manifest


def write_adapter_layer(
    adapter: Adapter, labels: Sequence[str], below: Below, output: Path
) -> Manifest:
    """Write an adapter and its manifest, pinned to what it is laid on."""
    write_adapter(adapter, output / ADAPTER_NAME)
    manifest = Manifest(
        kind="lora",
        architecture=below.base.architecture,
        labels=tuple(labels),
        embedding_size=below.base.embedding_size,
        modules=tuple(sorted(adapter.pairs)),
        weights=sha256_file(output / ADAPTER_NAME),
        base_weights=below.base.weights,
        preprocessing=below.base.preprocessing,
        below=below.digests,
        adapter_format=ADAPTER_FORMAT,
        rank=max(pair.rank for pair in adapter.pairs.values()),
    )
    write_json(output / MANIFEST_NAME, manifest.model_dump())
    return manifest


@dataclass(frozen=True, slots=True)
class Witness:
    """A network in memory that can say what it answers, with its calibration and labels."""

    network: Network
    tuned: Calibration
    labels: tuple[str, ...]

    def answers(self, images: Sequence[bytes]) -> list[TrainedAnswer]:
        """What it answers to each picture, and how likely it finds each class."""
        pictures = Pictures(images, [0] * len(images), self.network.preprocess)
        evidence = examine(self.network, pictures, range(len(images)))
        probabilities = self.tuned.probabilities(evidence.logits)
        return [
            TrainedAnswer(
                request=bytes_request([image]),
                answer=self.labels[int(row.argmax())],
                confidence=round(min(float(row.max()), 1.0), _CONFIDENCE_DIGITS),
                choices=(kept(*likeliest(row)),),
            )
            for image, row in zip(images, probabilities, strict=True)
        ]


def write_answers(witness: Witness, images: Sequence[bytes], output: Path) -> None:
    """Write the golden set (the first pictures, made small) and the trained answers."""
    settings = witness.network.preprocess.settings
    longest = 2 * max(settings.height, settings.width)
    small = [_small(image, settings.channels, longest) for image in images[:MAX_GOLDEN_ROWS]]
    write_golden(output / GOLDEN_NAME, [row.golden() for row in witness.answers(small)])
    answers = witness.answers(list(images[:MAX_TRAINED_ANSWERS]))
    write_trained_answers(output / TRAINED_ANSWERS_NAME, answers)


def _small(image: bytes, num_channels: int, longest_side: int) -> bytes:
    """The picture as it came if it is small enough, else smaller, as PNG."""
    picture = decode(image, num_channels)
    shrunk = shrink_to(picture, longest_side)
    return image if shrunk is picture else encode_png(shrunk)


def layer_files(output: Path) -> tuple[LayerFile, ...]:
    """The files of a finished layer's folder, with their roles."""
    return tuple(
        LayerFile(name, output / name, role)
        for name, role in FILE_ROLES.items()
        if (output / name).is_file()
    )
