"""Engines: one session, many stacks, many threads, and only what fits."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.families.vision.conftest import Copier
from tests.families.vision.factory import Built, build, first_labels, inverted, png_16, shapes
from tests.families.vision.test_layer import add_batch_norm, edit

from dizuo.artifacts.model import StackFiles
from dizuo.core.digests import sha256_file
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import silent
from dizuo.families.errors import LayerRefused, UnknownStack
from dizuo.families.vision import export
from dizuo.families.vision.adapter import Adapter, LoraPair, read_adapter, write_adapter
from dizuo.families.vision.imaging import encode_png
from dizuo.families.vision.layer import Preprocessing, read_manifest
from dizuo.families.vision.lessons import Pictures
from dizuo.families.vision.network import Preprocess
from dizuo.families.vision.runtime import OnnxEngine, open_engine
from dizuo.families.vision.spec import request


@pytest.fixture(scope="module")
def engine(stacks: dict[str, Built]) -> OnnxEngine:
    return open_engine({name: built.onnx for name, built in stacks.items()}, threads=1)


def test_an_answer_has_one_observation_a_row(engine: OnnxEngine) -> None:
    answer = engine.infer("meter", {**request(shapes(5)), "id": "abc"})
    assert answer.response["id"] == "abc"
    assert answer.response["model_name"] == "meter"
    assert answer.response["model_version"] == "3"
    label, confidence, probabilities = answer.response["outputs"]
    assert [seen.answer for seen in answer.observations] == label["data"]
    assert [seen.confidence for seen in answer.observations] == confidence["data"]
    assert np.asarray(probabilities["data"]).reshape(5, 3).sum(axis=1) == pytest.approx(1)
    for seen in answer.observations:
        assert 0 <= seen.confidence_percentile <= 1
        assert seen.novelty_percentile is not None
        assert 0 <= seen.novelty_percentile <= 1


def test_what_was_never_seen_looks_newer_than_what_was(engine: OnnxEngine) -> None:
    known = first_labels(60, 3, seed=11)

    def novelty(rows: Mapping[str, Any]) -> float:
        seen = engine.infer("meter", rows).observations
        return float(np.mean([row.novelty_percentile for row in seen]))

    assert novelty(request(inverted(known))) > 0.1 + novelty(request(known))


def test_pixels_and_files_of_the_same_picture_get_the_same_answer(engine: OnnxEngine) -> None:
    picture = np.arange(8 * 9, dtype=np.uint8).reshape(1, 8, 9, 1)
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 9, 1], "data": picture.tolist()}
    by_pixels = engine.infer("site", {"inputs": [tensor]})
    by_file = engine.infer("site", request([{"image": encode_png(picture[0])}]))
    assert by_pixels == by_file


def test_16_bits_are_served_as_they_are_learned(engine: OnnxEngine) -> None:
    deep = np.random.default_rng(4).integers(0, 1 << 16, (12, 12), dtype=np.uint16)
    shallow = (deep >> 8).astype(np.uint8)[:, :, None]
    files = [png_16(deep), encode_png(shallow)]
    one, other = engine.infer("meter", request([{"image": file} for file in files])).observations
    assert one == other
    preprocess = Preprocess(
        Preprocessing(height=12, width=12, channels=1, rescale=1, mean=(0,), std=(1,))
    )
    learned = Pictures(files, [0, 0], preprocess).__getitems__([0, 1])["pixels"]
    assert learned[0].equal(learned[1])
    assert np.array_equal(learned[0, 0].numpy(), shallow[:, :, 0])


def test_rows_of_different_sizes_come_back_in_order(engine: OnnxEngine) -> None:
    random = np.random.default_rng(1)
    pictures = [
        random.integers(0, 256, (8 + index % 3, 8, 1), dtype=np.uint8) for index in range(70)
    ]
    rows = [{"image": encode_png(picture)} for picture in pictures]
    together = engine.infer("meter", request(rows)).observations
    for row, seen in zip(rows, together, strict=True):
        alone = engine.infer("meter", request([row])).observations[0]
        assert alone.answer == seen.answer
        assert alone.confidence == pytest.approx(seen.confidence, abs=1e-5)


def test_threads_do_not_mix_stacks(engine: OnnxEngine, stacks: dict[str, Built]) -> None:
    bodies = [request(shapes(3, seed=seed)) for seed in range(4)]
    jobs = [(name, body) for body in bodies for name in stacks] * 12
    alone = {(name, id(body)): engine.infer(name, body) for name, body in jobs[:16]}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda job: engine.infer(*job), jobs))
    for (name, body), answer in zip(jobs, answers, strict=True):
        expected = alone[name, id(body)].response["outputs"][2]["data"]
        assert answer.response["outputs"][2]["data"] == pytest.approx(expected, abs=1e-5)


def test_unknown_models_wrong_input_and_closed_engines(stacks: dict[str, Built]) -> None:
    engine = open_engine({"meter": stacks["meter"].onnx}, threads=1)
    with pytest.raises(UnknownStack, match="no model 'other' here") as caught:
        engine.infer("other", request(shapes(1)))
    assert "meter" in caught.value.next_step
    with pytest.raises(UnknownStack):
        engine.describe("other")
    with pytest.raises(InvalidInput):
        engine.infer("meter", {"inputs": []})
    engine.close()
    with pytest.raises(UnknownStack):
        engine.infer("meter", request(shapes(1)))


def test_a_stack_is_described(engine: OnnxEngine, stacks: dict[str, Built]) -> None:
    described = engine.describe("meter")
    labels = read_manifest(stacks["meter"].onnx.top.directory).labels
    assert described["parameters"]["labels"] == list(labels)
    assert described["inputs"][0]["shape"] == [-1, -1, -1, 1]


def no_graph(stack: StackFiles) -> None:
    (stack.base.directory / "model.onnx").unlink()


def half_a_graph(stack: StackFiles) -> None:
    path = stack.base.directory / "model.onnx"
    path.write_bytes(path.read_bytes()[:4000])


def no_calibration(stack: StackFiles) -> None:
    (stack.top.directory / "calibration.json").unlink()


def calibration_of_the_base(stack: StackFiles) -> None:
    shutil.copy(stack.base.directory / "calibration.json", stack.top.directory)


def replace_adapter(stack: StackFiles, change: Callable[[Adapter], Adapter]) -> None:
    path = stack.top.directory / "adapter.safetensors"
    modules = read_manifest(stack.top.directory).modules
    write_adapter(change(read_adapter(path, modules)), path)
    edit(stack.top.directory / "layer.json", weights=sha256_file(path))


def of_another_shape(stack: StackFiles) -> None:
    def change(adapter: Adapter) -> Adapter:
        name, pair = next(iter(adapter.pairs.items()))
        wider = LoraPair(np.repeat(pair.a, 2, axis=1), pair.b)
        return Adapter({**adapter.pairs, name: wider}, adapter.head_weight, adapter.head_bias)

    replace_adapter(stack, change)


def fewer_classes(stack: StackFiles) -> None:
    replace_adapter(stack, lambda a: Adapter(a.pairs, a.head_weight[:2], a.head_bias[:2]))


def wrong_engine(stack: StackFiles) -> None:
    edit(stack.top.directory / "layer.json", onnxruntime={"at_least": [9, 0], "below": [9, 9]})


SPOILERS: dict[str, tuple[Callable[[StackFiles], None], str]] = {
    "no graph": (no_graph, r"no model\.onnx"),
    "half a graph": (half_a_graph, r"no model\.onnx that ONNX Runtime can open"),
    "no calibration": (no_calibration, r"meter has no calibration\.json"),
    "another calibration": (calibration_of_the_base, "for another layer"),
    "batch norm that moved": (add_batch_norm, r"holds norm\.running_mean"),
    "tensors of another shape": (of_another_shape, "does not fit the base's graph"),
    "fewer classes than labels": (fewer_classes, "another number of labels"),
    "an engine it does not run on": (wrong_engine, r"runs on ONNX Runtime 9\.0 up to 9\.9"),
}


@pytest.mark.parametrize("name", SPOILERS)
def test_what_does_not_fit_is_refused(stacks: dict[str, Built], copied: Copier, name: str) -> None:
    spoil, says = SPOILERS[name]
    stack = copied(stacks["meter"].onnx)
    spoil(stack)
    with pytest.raises(LayerRefused, match=says):
        open_engine({"meter": stack}, threads=1)


@pytest.fixture(scope="module")
def other_base(stacks: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("other")
    return build(root, "other", shapes(400, seed=3), None)


def test_stacks_on_two_bases_need_two_engines(stacks: dict[str, Built], other_base: Built) -> None:
    with pytest.raises(LayerRefused, match="these stacks have 2"):
        open_engine({"a": stacks["base"].onnx, "b": other_base.onnx}, threads=1)


def test_a_layer_is_refused_on_another_base(stacks: dict[str, Built], other_base: Built) -> None:
    layers = (*other_base.onnx.layers, *stacks["meter"].onnx.layers[1:])
    mixed = StackFiles("mixed", 1, "sha256:" + "0" * 64, "onnx", layers)
    with pytest.raises(LayerRefused, match="meter was made for another base"):
        open_engine({"mixed": mixed}, threads=1)


def test_a_graph_of_other_weights_is_refused(
    stacks: dict[str, Built], other_base: Built, copied: Copier
) -> None:
    stack = copied(stacks["base"].onnx)
    shutil.copy(other_base.onnx.base.directory / "model.onnx", stack.base.directory)
    with pytest.raises(LayerRefused, match="made from other weights"):
        open_engine({"base": stack}, threads=1)


def test_a_centre_crop_is_what_the_network_sees(
    stacks: dict[str, Built], copied: Copier, tmp_path: Path
) -> None:
    trained = copied(stacks["base"].trained)
    path = trained.base.directory / "preprocessing.json"
    edit(path, centre_crop=0.5)
    edit(trained.base.directory / "layer.json", preprocessing=sha256_file(path))
    output = tmp_path / "cropping"
    output.mkdir()
    export.export(trained, "onnx", output, silent)
    layer = type(trained.base)(trained.base.level, trained.base.name, output)
    cropping = open_engine(
        {"base": StackFiles("base", 3, trained.digest, "onnx", (layer,))}, threads=1
    )
    plain = open_engine({"base": stacks["base"].onnx}, threads=1)
    picture = np.random.default_rng(2).integers(0, 256, (16, 20, 1), dtype=np.uint8)
    whole = cropping.infer("base", request([{"image": encode_png(picture)}]))
    centre = plain.infer("base", request([{"image": encode_png(picture[4:12, 6:14])}]))
    seen: Any = whole.response["outputs"][2]["data"]
    assert seen == pytest.approx(centre.response["outputs"][2]["data"], abs=1e-5)
