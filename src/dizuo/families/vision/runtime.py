"""Vision stacks on ONNX Runtime: one session holds the base, each stack is a set of tensors. Light.

The layers of a stack are composed into one adapter when the engine opens; a request overrides the
graph's slot with it. Sessions are safe for concurrent calls, and nothing here changes after
opening, so calls may come from any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as pybind
from pydantic import ValidationError

from dizuo.artifacts.model import StackFiles
from dizuo.families.base import Answer, Distribution, Observation
from dizuo.families.errors import LayerRefused, UnknownStack
from dizuo.families.vision import calibration
from dizuo.families.vision.adapter import Floats, compose, read_adapter
from dizuo.families.vision.calibration import Calibration, likeliest
from dizuo.families.vision.imaging import Picture, centre_crop
from dizuo.families.vision.layer import (
    ADAPTER_NAME,
    GRAPH_NAME,
    WEIGHTS_PROPERTY,
    Manifest,
    Preprocessing,
    check_engine,
    read_preprocessing,
    read_stack,
)
from dizuo.families.vision.protocol import metadata, request_pictures, response
from dizuo.families.vision.slots import slot_feeds

_ROWS_PER_RUN = 32
"""Bounds the memory of one run; a larger request runs in turns."""

_LOAD_ERRORS: tuple[type[Exception], ...] = (
    OSError,
    pybind.Fail,
    pybind.InvalidArgument,
    pybind.InvalidGraph,
    pybind.InvalidProtobuf,
    pybind.NoSuchFile,
    pybind.NotImplemented,
    pybind.RuntimeException,
)


@dataclass(frozen=True, slots=True)
class _Stack:
    """A stack ready to run; `feeds` override the session's slot and head."""

    session: onnxruntime.InferenceSession
    served: tuple[str, int]
    labels: tuple[str, ...]
    calibration: Calibration
    feeds: Mapping[str, Floats]


class OnnxEngine:
    """Stacks on one base; see `dizuo.families.base.Engine`."""

    def __init__(self, preprocessing: Preprocessing, stacks: Mapping[str, _Stack]) -> None:
        self._preprocessing = preprocessing
        self._stacks = stacks

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        """Answer an Open Inference Protocol request; see `dizuo.families.vision.protocol`.

        Raises:
            UnknownStack: the engine does not hold it, or is closed.
            InvalidInput: the request does not have the family's form.
        """
        chosen = self._stack(stack)
        pictures = request_pictures(request, self._preprocessing.channels)
        embeddings, logits = self._run(chosen, pictures)
        probabilities = chosen.calibration.probabilities(logits)
        return Answer(
            response(request, chosen.served, chosen.labels, probabilities),
            _observations(chosen, embeddings, probabilities),
        )

    def expect(self, stack: str, request: Mapping[str, Any], _taken: Sequence[int]) -> Distribution:
        """How likely each class is, for a request of one picture: the only choice there is.

        Raises:
            UnknownStack: the engine does not hold it, or is closed.
            InvalidInput: the request does not have the family's form.
        """
        chosen = self._stack(stack)
        _embeddings, logits = self._run(
            chosen, request_pictures(request, self._preprocessing.channels)
        )
        outcomes, logprobs = likeliest(chosen.calibration.probabilities(logits)[0])
        return Distribution(tuple(outcomes), tuple(logprobs))

    def describe(self, stack: str) -> dict[str, Any]:
        """The model's Open Inference Protocol metadata.

        Raises:
            UnknownStack: the engine does not hold it, or is closed.
        """
        chosen = self._stack(stack)
        return metadata(chosen.served, chosen.labels, self._preprocessing.channels)

    def close(self) -> None:
        """Refuse calls from now on; the session goes once those that still run have ended."""
        self._stacks = {}

    def _stack(self, name: str) -> _Stack:
        chosen = self._stacks.get(name)
        if chosen is None:
            raise UnknownStack(
                f"There is no model {name[:80]!r} here.",
                next_step=f"Served here: {', '.join(sorted(self._stacks)) or 'none'}.",
            )
        return chosen

    def _run(self, stack: _Stack, pictures: Sequence[Picture]) -> tuple[Floats, Floats]:
        """Embeddings and logits of pictures of any sizes, in order."""
        cropped = [centre_crop(picture, self._preprocessing.centre_crop) for picture in pictures]
        order: list[int] = []
        parts: list[tuple[Floats, Floats]] = []
        for indices in _groups(cropped):
            images = np.ascontiguousarray(np.stack([cropped[index] for index in indices]))
            feeds = {"image": images, **stack.feeds}
            embedding, logits = stack.session.run(["embedding", "logits"], feeds)
            parts.append((embedding, logits))
            order.extend(indices)
        positions = np.argsort(np.asarray(order))
        return (
            np.concatenate([part[0] for part in parts])[positions],
            np.concatenate([part[1] for part in parts])[positions],
        )


def _groups(pictures: Sequence[Picture]) -> list[list[int]]:
    """Indices of pictures of one size, at most _ROWS_PER_RUN together."""
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, picture in enumerate(pictures):
        by_shape.setdefault(picture.shape, []).append(index)
    return [
        indices[start : start + _ROWS_PER_RUN]
        for indices in by_shape.values()
        for start in range(0, len(indices), _ROWS_PER_RUN)
    ]


def _observations(
    stack: _Stack, embeddings: Floats, probabilities: Floats
) -> tuple[Observation, ...]:
    confidences = probabilities.max(axis=1)
    columns = zip(
        probabilities.argmax(axis=1).tolist(),
        confidences.tolist(),
        stack.calibration.confidence_percentiles(confidences).tolist(),
        stack.calibration.novelty_percentiles(embeddings).tolist(),
        strict=True,
    )
    return tuple(
        Observation(stack.labels[best], min(confidence, 1.0), sure, new)
        for best, confidence, sure, new in columns
    )


def open_engine(stacks: Mapping[str, StackFiles], *, threads: int) -> OnnxEngine:
    """One engine for stacks that share a base, keyed by the name they are served under.

    Raises:
        LayerRefused: a layer does not fit this base or this engine, or the bases differ.
    """
    manifests = {name: read_stack(files) for name, files in stacks.items()}
    bases = {chain[0].weights for chain in manifests.values()}
    if len(bases) != 1:
        raise LayerRefused(
            f"An engine holds one base; these stacks have {len(bases)}.",
            next_step="Open one engine for each base.",
        )
    for name, files in stacks.items():
        for layer, manifest in zip(files.layers, manifests[name], strict=True):
            check_engine(layer, manifest, onnxruntime.__version__)
    base = next(iter(stacks.values())).base.directory
    session = _open_session(base, next(iter(bases)), threads)
    loaded = {name: _load(name, files, manifests[name], session) for name, files in stacks.items()}
    return OnnxEngine(read_preprocessing(base), loaded)


def _open_session(base: Path, weights: str, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(
            (base / GRAPH_NAME).read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except _LOAD_ERRORS as error:
        raise LayerRefused(
            f"The base in {base.name} has no {GRAPH_NAME} that ONNX Runtime can open.",
            next_step="Fetch or build the base again.",
        ) from error
    made_from = session.get_modelmeta().custom_metadata_map.get(WEIGHTS_PROPERTY)
    if made_from != weights:
        raise LayerRefused(
            f"The {GRAPH_NAME} in {base.name} was made from other weights than the base names.",
            next_step="Export the base again.",
        )
    return session


def _load(
    name: str,
    files: StackFiles,
    manifests: Sequence[Manifest],
    session: onnxruntime.InferenceSession,
) -> _Stack:
    """Compose a stack's adapters into what overrides the slot; a base alone overrides nothing."""
    adapters = [
        read_adapter(layer.directory / ADAPTER_NAME, manifest.modules)
        for layer, manifest in zip(files.layers[1:], manifests[1:], strict=True)
    ]
    top = manifests[-1]
    if adapters and len(adapters[-1].head_bias) != len(top.labels):
        raise LayerRefused(f"The layer {files.top.name} has another number of labels than classes.")
    feeds = slot_feeds(compose(adapters)) if adapters else {}
    slot = {value.name: value.shape for value in session.get_overridable_initializers()}
    for tensor, value in feeds.items():
        if not _fits(value, slot.get(tensor, ())):
            raise LayerRefused(
                f"The layer {files.top.name} has a {tensor} that does not fit the base's graph.",
                next_step="Build it again from the stack it goes on.",
            )
    ready = {tensor: np.ascontiguousarray(value) for tensor, value in feeds.items()}
    tuned = _read_calibration(files, top)
    return _Stack(session, (name, files.version), top.labels, tuned, ready)


def _read_calibration(files: StackFiles, manifest: Manifest) -> Calibration:
    try:
        found = calibration.read(files.top.directory / calibration.FILE_NAME)
    except (OSError, ValueError, ValidationError) as error:
        raise LayerRefused(
            f"The layer {files.top.name} has no {calibration.FILE_NAME} that can be read.",
            next_step="Build the layer again.",
        ) from error
    expected = (len(manifest.labels), manifest.embedding_size)
    if found.means.shape != expected:
        raise LayerRefused(
            f"The {calibration.FILE_NAME} of layer {files.top.name} is for another layer."
        )
    return found


def _fits(value: NDArray[np.float32], shape: Sequence[int | str]) -> bool:
    """Whether a tensor has a slot's shape; texts in the shape stand for any size."""
    return value.ndim == len(shape) and all(
        isinstance(size, str) or size == given
        for size, given in zip(shape, value.shape, strict=True)
    )
