"""A vision layer in the form of a target. Heavy.

`onnx`: a base becomes one graph with preprocessing inside, from uint8 pictures to embedding and
logits. Every weight that layers may change gets a low-rank path beside it (the *slot*), whose A
and B are initializers a caller may override, with a rank that is not fixed; so are the head's
weight and bias, with a number of classes that is not fixed. One session thus serves any stack on
the base. An adapter is the same files in every target.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import torch

from dizuo.artifacts.model import FileRole, LayerFile, StackFiles
from dizuo.core.errors import InvalidInput
from dizuo.core.files import write_atomic
from dizuo.core.progress import Progress, Reporter
from dizuo.families.golden import GOLDEN_NAME
from dizuo.families.vision import calibration
from dizuo.families.vision.adapter import HEAD_BIAS, HEAD_WEIGHT
from dizuo.families.vision.layer import (
    ADAPTER_NAME,
    CONFIG_NAME,
    GRAPH_NAME,
    MANIFEST_NAME,
    PREPROCESSING_NAME,
    WEIGHTS_PROPERTY,
    Manifest,
    read_stack,
)
from dizuo.families.vision.network import LoraShape, Network, add_adapter, base_network
from dizuo.families.vision.slots import SLOT, slot_names

_LIGHT_FILES = {
    MANIFEST_NAME: FileRole.CONFIG,
    CONFIG_NAME: FileRole.CONFIG,
    PREPROCESSING_NAME: FileRole.PREPROCESSING,
    calibration.FILE_NAME: FileRole.CALIBRATION,
    GOLDEN_NAME: FileRole.GOLDEN,
    ADAPTER_NAME: FileRole.WEIGHTS,
}
_MAX_SIDE = 4096
_EXAMPLE_SIDE = 24


def export(stack: StackFiles, target: str, output: Path, report: Reporter) -> tuple[LayerFile, ...]:
    """The files of the stack's own layer in `target`'s form.

    Raises:
        InvalidInput: the family has no such target.
        LayerRefused: the stack's layers do not fit each other.
    """
    if target != "onnx":
        raise InvalidInput(
            f"The vision family cannot export to {target!r}.", next_step="Its targets: onnx."
        )
    manifests = read_stack(stack)
    files = []
    if len(manifests) == 1:
        report(Progress("export", 0, 1, "graph", "writing the ONNX graph"))
        files.append(_export_base(stack.base.directory, manifests[0], output))
        report(Progress("export", 1, 1, "graph"))
    for name, role in _LIGHT_FILES.items():
        if (stack.top.directory / name).is_file():
            shutil.copyfile(stack.top.directory / name, output / name)
            files.append(LayerFile(name, output / name, role))
    return tuple(files)


def _export_base(directory: Path, manifest: Manifest, output: Path) -> LayerFile:
    graph = export_graph(base_network(directory, manifest), manifest)
    write_atomic(output / GRAPH_NAME, graph)
    return LayerFile(GRAPH_NAME, output / GRAPH_NAME, FileRole.WEIGHTS)


def export_graph(network: Network, manifest: Manifest) -> bytes:
    """The ONNX file of a base; adds the slot to `network`."""
    add_adapter(network, manifest.modules, LoraShape(SLOT, 1, 1.0))
    network.eval().requires_grad_(False)
    channels = network.preprocess.settings.channels
    example = torch.zeros((2, _EXAMPLE_SIDE, _EXAMPLE_SIDE + 1, channels), dtype=torch.uint8)
    size = torch.export.Dim
    with _quiet():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            optimize=False,  # the optimiser folds the slot away
            input_names=["image"],
            output_names=["embedding", "logits"],
            dynamic_shapes={
                "image": {
                    0: size("rows", min=1, max=1 << 20),
                    1: size("height", min=1, max=_MAX_SIDE),
                    2: size("width", min=1, max=_MAX_SIDE),
                }
            },
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _open_slot(model, manifest)
    onnx.helper.set_model_props(model, {WEIGHTS_PROPERTY: manifest.weights})
    return bytes(model.SerializeToString(deterministic=True))


def _open_slot(model: onnx.ModelProto, manifest: Manifest) -> None:
    """Make slot and head overridable, their rank and number of classes free; drop what only a
    debugger reads (the exporter notes source paths on every node)."""
    graph = model.graph
    shapes: dict[str, list[int | str]] = {
        HEAD_WEIGHT: ["classes", manifest.embedding_size],
        HEAD_BIAS: ["classes"],
    }
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    for module in manifest.modules:
        for name, axis in zip(slot_names(module), (0, 1), strict=True):
            tensor = tensors[name]
            shapes[name] = [*tensor.dims[:axis], "rank", *tensor.dims[axis + 1 :]]
            zeros = np.zeros(tuple(tensor.dims), dtype=np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(zeros, name))
    for name, shape in shapes.items():
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        graph.input.append(value)
    graph.output[1].type.tensor_type.shape.dim[1].dim_param = "classes"
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, model):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about itself and about torchvision being absent."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
