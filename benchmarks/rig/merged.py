"""The other side: each scenario as one ONNX model, its layers merged into the weights.

The graph is what `torch.onnx.export` gives for the plain network, with the same preprocessing
inside and no slot; ONNX Runtime optimises it when it loads it, as it does ours.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch

from benchmarks.rig.classifier import Built
from dizuo.core.files import write_atomic
from dizuo.families.vision.adapter import HEAD_BIAS, HEAD_WEIGHT, Adapter, compose, read_adapter
from dizuo.families.vision.layer import ADAPTER_NAME, read_manifest
from dizuo.families.vision.network import base_network

_MAX_SIDE = 4096


def plain_graph(base: Built) -> onnx.ModelProto:
    """The base's graph without anything that a layer could change."""
    network = base_network(base.trained.base.directory, base.base)
    network.eval().requires_grad_(False)
    size = torch.export.Dim
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (torch.zeros((2, 24, 25, 3), dtype=torch.uint8),),
            dynamo=True,
            optimize=False,  # so that weights keep the names under which `merged` finds them
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
    return _without_notes(program.model_proto)


def _without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what only a debugger reads, so that it does not count as bytes of the model."""
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, model.graph, model):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in model.graph.initializer:
        del tensor.metadata_props[:]
    del model.graph.value_info[:]
    return model


def write_merged(plain: onnx.ModelProto, stack: Built, path: Path) -> Path:
    """The stack as one ONNX file: every layer added to the plain graph's weights in fp32."""
    adapter = _composed(stack)
    changed = {HEAD_WEIGHT: adapter.head_weight, HEAD_BIAS: adapter.head_bias}
    changed |= {f"backbone.{m}.weight": pair.delta() for m, pair in adapter.pairs.items()}
    model = onnx.ModelProto()
    model.CopyFrom(plain)
    for tensor in model.graph.initializer:
        change = changed.pop(tensor.name, None)
        if change is None:
            continue
        is_head = tensor.name in (HEAD_WEIGHT, HEAD_BIAS)
        weight = change if is_head else onnx.numpy_helper.to_array(tensor) + change
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(weight, "f4"), tensor.name))
    assert not changed, f"the plain graph has no {sorted(changed)[0]}"
    write_atomic(path, model.SerializeToString(deterministic=True))
    return path


def _composed(stack: Built) -> Adapter:
    return compose(
        [
            read_adapter(layer.directory / ADAPTER_NAME, read_manifest(layer.directory).modules)
            for layer in stack.trained.layers[1:]
        ]
    )
