"""A model in three parts, and what is wired into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.families.vision.factory import png
from torch import nn

from dizuo.families.errors import LayerRefused
from dizuo.families.vision import lessons
from dizuo.families.vision.adapter import Adapter, LoraPair
from dizuo.families.vision.layer import Preprocessing
from dizuo.families.vision.lessons import Pictures, threads_for
from dizuo.families.vision.network import (
    LoraShape,
    Network,
    adaptable_modules,
    adapter_of,
    add_adapter,
    build_network,
    head_path,
    load_network,
    merge,
    save_weights,
)

SETTINGS = Preprocessing(height=12, width=12, channels=1, mean=(0.5,), std=(0.5,))
CONFIG = {
    "model_type": "resnet",
    "num_channels": 1,
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
    "id2label": {"0": "a", "1": "b"},
}
SHAPE = LoraShape("test", 2, 6.0)


def network() -> Network:
    torch.manual_seed(0)
    return build_network(CONFIG, SETTINGS).eval()


def pictures(num_rows: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (num_rows, 9, 14, 1), dtype=torch.uint8, generator=generator)


def with_adapter() -> tuple[Network, Adapter]:
    changed = network()
    modules = adaptable_modules(changed.backbone)
    add_adapter(changed, modules, SHAPE)
    with torch.no_grad():
        for name, parameter in changed.named_parameters():
            if ".lora_B." in name:
                parameter.normal_(std=0.2)
    return changed.eval(), adapter_of(changed, modules, SHAPE)


def test_preprocessing_is_resize_rescale_normalise() -> None:
    flat = torch.full((1, 30, 20, 1), 255, dtype=torch.uint8)
    seen = network().preprocess(flat)
    assert seen.shape == (1, 1, 12, 12)
    assert torch.allclose(seen, torch.ones_like(seen), atol=1e-5)


def test_the_embedding_is_what_reaches_the_head() -> None:
    parts = network()
    with torch.no_grad():
        embedding, logits = parts(pictures())
    assert embedding.shape == (4, parts.embedding_size)
    assert torch.equal(logits, parts.head(embedding))


def test_merging_an_adapter_equals_wearing_it() -> None:
    worn, adapter = with_adapter()
    merged = network()
    merge(merged, adapter)
    with torch.no_grad():
        expected, found = worn(pictures())[1], merged(pictures())[1]
        assert not torch.allclose(expected, network()(pictures())[1], atol=1e-3)
    assert torch.allclose(expected, found, atol=1e-5)


def test_only_adapter_and_head_learn_and_batch_norm_does_not_move() -> None:
    worn, _ = with_adapter()
    learning = {name for name, p in worn.named_parameters() if p.requires_grad}
    assert all(".lora_" in name or name.startswith("head.") for name in learning)
    before = {name: b.clone() for name, b in worn.backbone.named_buffers()}
    worn.train()
    worn(pictures(8))
    after = dict(worn.backbone.named_buffers())
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert worn.backbone.training


def test_a_base_in_training_moves_its_batch_norm() -> None:
    fresh = network()
    before = {name: b.clone() for name, b in fresh.backbone.named_buffers()}
    fresh.train()
    fresh(pictures(8))
    after = dict(fresh.backbone.named_buffers())
    assert any(not torch.equal(after[name], value) for name, value in before.items())


def test_an_adapter_of_another_shape_is_not_merged() -> None:
    _, adapter = with_adapter()
    name = next(iter(adapter.pairs))
    wrong = LoraPair(np.zeros((1, 3, 3, 3), np.float32), np.zeros((8, 1, 1, 1), np.float32))
    changed = Adapter({**adapter.pairs, name: wrong}, adapter.head_weight, adapter.head_bias)
    with pytest.raises(LayerRefused, match="another shape than the base has"):
        merge(network(), changed)


def test_which_modules_can_be_adapted() -> None:
    module = nn.ModuleDict(
        {
            "linear": nn.Linear(4, 4),
            "conv": nn.Conv2d(4, 4, 3, stride=2, padding=1),
            "grouped": nn.Conv2d(4, 4, 3, groups=4),
            "dilated": nn.Conv2d(4, 4, 3, dilation=2),
            "reflecting": nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
            "norm": nn.BatchNorm2d(4),
        }
    )
    assert adaptable_modules(module) == ("linear", "conv")


def test_a_model_without_a_linear_head_is_refused() -> None:
    with pytest.raises(LayerRefused, match="no linear head"):
        head_path(nn.Sequential(nn.Linear(4, 4)))


def test_weights_read_back_and_those_of_another_model_are_refused(tmp_path: Path) -> None:
    saved = network()
    path = save_weights(saved, tmp_path)
    first = path.read_bytes()
    again = load_network(CONFIG, SETTINGS, [path])
    with torch.no_grad():
        assert torch.equal(again(pictures())[1], saved(pictures())[1])
    assert save_weights(again, tmp_path).read_bytes() == first
    with pytest.raises(LayerRefused, match=r"do not fit config\.json"):
        load_network({**CONFIG, "hidden_sizes": [8, 24]}, SETTINGS, [path])


def test_small_networks_work_on_one_thread_and_give_the_others_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threads_for(network()):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
        large = Preprocessing(height=4096, width=4096, channels=1, mean=(0.5,), std=(0.5,))
        with threads_for(build_network(CONFIG, large)):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_pictures_are_the_same_kept_or_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    images = [png(random.integers(0, 256, (9, 9 + index))) for index in range(5)]
    kept = Pictures(images, [0, 1, 0, 1, 0], network().preprocess)
    one = kept[3]
    assert one["classes"].tolist() == [1]
    assert torch.equal(one["pixels"], kept.__getitems__([3, 0])["pixels"][:1])
    monkeypatch.setattr(lessons, "_CACHE_BYTES", 0)
    read = Pictures(images, [0, 1, 0, 1, 0], network().preprocess)
    assert torch.equal(one["pixels"], read[3]["pixels"])
