"""Weights are found in one file or several, and nothing else is opened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dizuo.families.errors import ModelRefused
from dizuo.families.text.layer import WEIGHTS_INDEX_NAME, WEIGHTS_NAME
from dizuo.families.text.weight_files import open_tensors, weight_files

NUMBERS = torch.arange(12, dtype=torch.bfloat16).reshape(4, 3)


def save_shards(directory: Path, names: dict[str, str]) -> None:
    for tensor, file in names.items():
        save_file({tensor: NUMBERS}, directory / file)
    (directory / WEIGHTS_INDEX_NAME).write_text(json.dumps({"weight_map": names}), encoding="utf-8")


def test_reads_rows_of_a_tensor_without_reading_it_whole(tmp_path: Path) -> None:
    save_file({"a": NUMBERS}, tmp_path / WEIGHTS_NAME)
    with open_tensors(tmp_path) as tensors:
        assert tensors.shape("a") == (4, 3)
        assert tensors.dtype("a") == "BF16"
        assert torch.equal(tensors.rows("a", 1, 3), NUMBERS[1:3])


def test_reads_several_files_as_one(tmp_path: Path) -> None:
    save_shards(tmp_path, {"a": "model-1.safetensors", "b": "model-2.safetensors"})
    with open_tensors(tmp_path) as tensors:
        assert sorted(tensors.slices) == ["a", "b"]


def test_prefers_the_single_file(tmp_path: Path) -> None:
    save_shards(tmp_path, {"a": "model-1.safetensors"})
    save_file({"a": NUMBERS}, tmp_path / WEIGHTS_NAME)
    assert weight_files(tmp_path) == (tmp_path / WEIGHTS_NAME,)


def test_refuses_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="There are no weights in the model's folder"):
        weight_files(tmp_path)


def test_refuses_pickled_weights(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(ModelRefused, match=r"The weights are pickled \(pytorch_model.bin\)"):
        weight_files(tmp_path)


@pytest.mark.parametrize("text", ["[", "[]", "{}", '{"weight_map": 1}', "[" * 100_000])
def test_refuses_an_index_that_names_no_files(tmp_path: Path, text: str) -> None:
    (tmp_path / WEIGHTS_INDEX_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(ModelRefused, match="does not say which files hold the weights"):
        weight_files(tmp_path)


def test_refuses_an_index_that_leads_out_of_the_folder(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "../model.safetensors"}}
    (tmp_path / WEIGHTS_INDEX_NAME).write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(ModelRefused, match="not a safetensors file beside it"):
        weight_files(tmp_path)


def test_refuses_a_missing_shard(tmp_path: Path) -> None:
    save_shards(tmp_path, {"a": "model-1.safetensors", "b": "model-2.safetensors"})
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(ModelRefused, match=r"The file model-2\.safetensors is missing"):
        weight_files(tmp_path)


def test_refuses_a_file_that_is_cut_short(tmp_path: Path) -> None:
    save_file({"a": NUMBERS}, tmp_path / WEIGHTS_NAME)
    whole = (tmp_path / WEIGHTS_NAME).read_bytes()
    (tmp_path / WEIGHTS_NAME).write_bytes(whole[:-1])
    with (
        pytest.raises(ModelRefused, match=r"model\.safetensors is cut short"),
        open_tensors(tmp_path),
    ):
        pass
