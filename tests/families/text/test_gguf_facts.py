"""A GGUF file is told from its header, and no header is believed beyond the file's end."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as TensorType
from tests.families.text.gguf_factory import make_checkpoint

from dizuo.core.progress import silent
from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.gguf_facts import GgufFacts, inspect_gguf

VERSION_AT = 4
NUM_TENSORS_AT = 8


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("qwen3")
    make_checkpoint(directory, "qwen3", tie_word_embeddings=True)
    write_base(directory, directory / "model.gguf", "q4_0", silent)
    return directory / "model.gguf"


def write(path: Path, metadata: dict[str, Any] | None = None, *, tensors: int = 1) -> Path:
    """A file as the gguf package writes it; None leaves a key out."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_token_list(["a", "b", "c"])
    for key, value in (metadata or {}).items():
        if isinstance(value, int):
            writer.add_uint32(key, value)
        elif value is None:
            writer.kv_data[0].pop(key)
        else:
            writer.add_key_value(key, *value)
    for number in range(tensors):
        numbers = np.ones((2, 32), dtype=np.float32)
        writer.add_tensor(
            f"{number}.weight", gguf.quantize(numbers, TensorType.Q8_0), raw_dtype=TensorType.Q8_0
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ModelRefused) as refused:
        inspect_gguf(path)
    assert refused.value.next_step
    return refused.value.message


def test_tells_what_an_exported_base_holds(exported: Path) -> None:
    facts = inspect_gguf(exported)
    tensors = gguf.GGUFReader(exported).tensors
    assert facts.architecture == "qwen3"
    assert facts.context_length == 256
    assert facts.has_chat_template
    assert facts.num_parameters == sum(tensor.n_elements for tensor in tensors)
    assert facts.vocabulary_size == 421
    assert facts.tensor_types == {"F32": 9, "Q4_0": 14, "Q8_0": 1}


def test_reads_what_the_gguf_package_writes(tmp_path: Path) -> None:
    nested = ([[1, 2], [3]], gguf.GGUFValueType.ARRAY)
    path = write(tmp_path / "m.gguf", {"general.alignment": 32, "x.nested": nested}, tensors=2)
    assert inspect_gguf(path) == GgufFacts("llama", 128, 64, 3, False, {"Q8_0": 2})


def test_does_not_count_rotary_factors(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    renamed = path.read_bytes().replace(b"0.weight", b"rope_.wt")
    path.write_bytes(renamed)
    assert inspect_gguf(path).num_parameters == 0


def test_as_many_embeddings_as_tokens(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes().replace(_text("0.weight"), _text("token_embd.weight")))
    assert refusal(path) == "m.gguf has 2 embeddings for 3 tokens."


def _text(name: str) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode()


def test_a_file_cut_anywhere_is_refused(exported: Path, tmp_path: Path) -> None:
    whole = exported.read_bytes()
    path = tmp_path / "cut.gguf"
    chance = random.Random(0)
    lengths = [*range(24), *(chance.randrange(24, len(whole) - 32) for _ in range(200))]
    for length in lengths:
        path.write_bytes(whole[:length])
        assert refusal(path).startswith("cut.gguf is not a")


def test_says_where_a_file_is_cut(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(exported.read_bytes()[:-500])
    assert refusal(path) == (
        "cut.gguf is not a whole GGUF file: it is cut short inside blk.1.ffn_down.weight."
    )


def test_a_spoilt_header_is_read_or_refused_but_never_breaks(
    exported: Path, tmp_path: Path
) -> None:
    whole = exported.read_bytes()
    path = tmp_path / "spoilt.gguf"
    chance = random.Random(1)
    for _ in range(200):
        spoilt = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            spoilt[chance.choice((chance.randrange(1500), chance.randrange(20_000)))] = (
                chance.randrange(256)
            )
        path.write_bytes(spoilt)
        with suppress(ModelRefused):
            inspect_gguf(path)


@pytest.mark.parametrize("data", [b"", b"GGU", b"PK\x03\x04 a zip", bytes(100)])
def test_refuses_what_is_no_gguf(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(data)
    assert refusal(tmp_path / "m.gguf") == "m.gguf is not a GGUF file."


def test_refuses_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.gguf") == "none.gguf cannot be read."
    assert refusal(tmp_path).endswith(" cannot be read.")


@pytest.mark.parametrize("version", [0, 1, 4, 0x03000000])
def test_refuses_other_versions(version: int, tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, VERSION_AT, version)
    path.write_bytes(data)
    assert f"it is of version {version}; versions 2 and 3 are known" in refusal(path)


def test_refuses_more_tensors_than_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    data = bytearray(path.read_bytes())
    struct.pack_into("<Q", data, NUM_TENSORS_AT, 1 << 60)
    path.write_bytes(data)
    assert "is not a whole GGUF file" in refusal(path)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (b"1.weight", b"0.weight", "it holds 0.weight twice"),
        (
            b"0.weight\x02\0\0\0\x20\0\0\0",
            b"0.weight\x02\0\0\0\x21\0\0\0",
            "the rows of 0.weight do not divide into blocks",
        ),
        (b"0.weight\x02\0\0\0", b"0.weight\x05\0\0\0", "0.weight has 5 dimensions"),
        (b"0.weight\x02\0\0\0", b"0.weight\0\0\0\0", "0.weight has 0 dimensions"),
        (
            b"0.weight\x02\0\0\0\x20\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x08",
            b"0.weight\x02\0\0\0\x20\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\xfe",
            "0.weight is of the unknown type 254",
        ),
        (
            b"0.weight\x02\0\0\0\x20\0\0\0\0\0\0\0\x02",
            b"0.weight\x02\0\0\0\x20\0\0\0\0\0\0\0\x03",
            "1.weight does not begin where the one before it ends",
        ),
        (
            b"llama.context_length\x04",
            b"llama.context_length\x63",
            "it has a value of the unknown type 99",
        ),
        (
            b"llama.context_length",
            b"general.architecture",
            "it sets general.architecture twice",
        ),
    ],
)
def test_refuses_a_header_that_contradicts_itself(
    old: bytes, new: bytes, sentence: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "m.gguf", tensors=2)
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    assert refusal(path) == f"m.gguf is not a whole GGUF file: {sentence}."


def test_refuses_arrays_nested_too_deeply(tmp_path: Path) -> None:
    nested = ([[[1]]], gguf.GGUFValueType.ARRAY)
    assert "it nests arrays too deeply" in refusal(write(tmp_path / "m.gguf", {"x": nested}))


def test_refuses_an_odd_alignment(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf", {"general.alignment": 24})
    assert "its alignment is not a power of two" in refusal(path)


TEXT = gguf.GGUFValueType.STRING


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"general.type": ("adapter", TEXT)}, "m.gguf holds no model (its type is adapter)."),
        ({"general.architecture": None}, "m.gguf holds no model (its type is None)."),
        ({"split.count": 3}, "m.gguf is one of 3 parts."),
        (
            {"llama.context_length": None},
            "m.gguf has no weights, context length or vocabulary.",
        ),
        (
            {"tokenizer.ggml.tokens": None},
            "m.gguf has no weights, context length or vocabulary.",
        ),
    ],
)
def test_refuses_what_is_no_language_model(
    metadata: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    assert refusal(write(tmp_path / "m.gguf", metadata)) == sentence


def test_refuses_a_file_of_metadata_only(tmp_path: Path) -> None:
    assert "has no weights" in refusal(write(tmp_path / "m.gguf", tensors=0))
