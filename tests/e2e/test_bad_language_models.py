"""Bad language models at `dizuo model import`: refused by their headers, never unpickled."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.cli.door import dizuo
from tests.e2e.refusals import RunningHub, refusal_of, refused
from tests.e2e.test_bad_models import (
    Bomb,
    Spoil,
    configured,
    cut,
    edited,
    holding,
    pickled_as,
    without,
)
from tests.families.text.gguf_factory import make_checkpoint, make_tokenizer, save_tokenizer

from dizuo.core.progress import silent
from dizuo.families.text.gguf_base import write_base

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARD = "model-00001-of-00002.safetensors"
TOKENIZER = "tokenizer.json"
TEMPLATE = "chat_template.jinja"
EMBEDDING = "model.embed_tokens.weight"
GGUF_NAME = "tiny.gguf"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3 as Transformers saves it."""
    folder = tmp_path_factory.mktemp("model") / "qwen"
    make_checkpoint(folder, "qwen3")
    return folder


@pytest.fixture(scope="module")
def gguf_file(whole: Path) -> Path:
    """The same as a GGUF file."""
    path = whole.parent / GGUF_NAME
    write_base(whole, path, "q8_0", silent)
    return path


def sharded(spoil: Spoil) -> Spoil:
    """The weights in two shards with an index, and what spoils them."""

    def split(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        (folder / WEIGHTS).unlink()
        names = sorted(tensors)
        halves = {SHARD: names[::2], SHARD.replace("1-", "2-"): names[1::2]}
        for shard, held in halves.items():
            save_file({name: tensors[name] for name in held}, folder / shard, {"format": "pt"})
        weight_map = {name: shard for shard, held in halves.items() for name in held}
        (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
        spoil(folder)

    return split


def with_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    def spoil(folder: Path) -> None:
        tensors = load_file(folder / WEIGHTS)
        change(tensors)
        save_file(tensors, folder / WEIGHTS, {"format": "pt"})

    return spoil


def resized(tensors: dict[str, torch.Tensor]) -> None:
    tensors[EMBEDDING] = torch.cat([tensors[EMBEDDING], tensors[EMBEDDING][:3]])


def damaged(tensors: dict[str, torch.Tensor]) -> None:
    tensors["model.norm.weight"][3] = float("nan")


def of_a_larger_model(folder: Path) -> None:
    """The tokenizer of a model with more tokens than this one has embeddings."""
    texts = ["".join(chr(0x4E00 + 7 * row + column) for column in range(7)) for row in range(40)]
    larger = make_tokenizer("qwen2", 700, texts * 3)
    assert larger.get_vocab_size() > make_tokenizer().get_vocab_size()
    save_tokenizer(larger, folder)


def sentencepiece_alone(folder: Path) -> None:
    """As the first Llama and Mistral came: no `tokenizer.json`."""
    (folder / TOKENIZER).rename(folder / "tokenizer.model")


def tokenized(**changes: Any) -> Spoil:
    def change(folder: Path) -> None:
        tokenizer = json.loads((folder / TOKENIZER).read_bytes())
        tokenizer["model"].update(changes)
        (folder / TOKENIZER).write_text(json.dumps(tokenizer))

    return change


def adapter_alone(folder: Path) -> None:
    """As PEFT saves one."""
    (folder / "config.json").rename(folder / "adapter_config.json")
    (folder / WEIGHTS).rename(folder / "adapter_model.safetensors")


def endless(folder: Path) -> None:
    edited("tokenizer_config.json", {"eos_token": None})(folder)
    configured(eos_token_id=None)(folder)


# how the directory is spoilt, what is said, the next step
CASES: dict[str, tuple[Spoil, str, str]] = {
    "no configuration": (
        without("config.json"),
        r"There is no config\.json in the model's folder",
        "save_pretrained",
    ),
    "an adapter alone": (
        adapter_alone,
        r"The folder holds an adapter \(adapter_config\.json\), not a whole model",
        "merge_and_unload",
    ),
    "no weights": (without(WEIGHTS), "There are no weights in the model's folder", WEIGHTS),
    "an unsupported architecture": (
        configured(model_type="mamba"),
        "The architecture 'mamba' cannot be written as GGUF",
        "Supported: llama, qwen2, qwen3",
    ),
    "no architecture": (configured(model_type=None), "architecture", "Supported: llama"),
    "another class of model": (
        configured(architectures=["Qwen3ForSequenceClassification"]),
        "Qwen3ForSequenceClassification",
        "Qwen3ForCausalLM",
    ),
    "weights that are quantised": (
        configured(quantization_config={"quant_method": "awq"}),
        "quantised already",
        "",
    ),
    "a configuration that is not JSON": (
        holding("config.json", b"{"),
        r"config\.json is not a JSON object",
        "Fetch it again",
    ),
    "a configuration nested too deep": (
        holding("config.json", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        r"config\.json is not a JSON object",
        "Fetch it again",
    ),
    "a width that is text": (configured(hidden_size="wide"), "hidden_size", "."),
    "more layers than weights": (
        configured(num_hidden_layers=3, layer_types=None),
        r"The model's weights lack model\.layers\.2",
        "Fetch the model again",
    ),
    "pickled weights only": (
        pickled_as("pytorch_model.bin"),
        r"The weights are pickled \(pytorch_model\.bin\), and unpickling runs code",
        "save it again with save_pretrained",
    ),
    "a pickle under another name": (
        pickled_as(WEIGHTS),
        r"model\.safetensors is cut short or is not a safetensors file",
        "Fetch the model again",
    ),
    "weights cut in half": (
        cut(WEIGHTS, 0.5),
        r"model\.safetensors is cut short or is not a safetensors file",
        "Fetch the model again",
    ),
    "a shard that is missing": (
        sharded(without(SHARD)),
        f"The file {SHARD} is missing",
        "Fetch the model again",
    ),
    "a shard cut in half": (
        sharded(cut(SHARD, 0.5)),
        f"{SHARD} is cut short or is not a safetensors file",
        "Fetch the model again",
    ),
    "an index that leads out of the folder": (
        sharded(holding(INDEX, b'{"weight_map": {"a": "../../etc/shadow.safetensors"}}')),
        r"names '\.\./\.\./etc/shadow\.safetensors', which is not a safetensors file beside it",
        "Fetch the model again",
    ),
    "an index that names nothing": (
        sharded(holding(INDEX, b"[1]")),
        f"{INDEX} does not say which files hold the weights",
        "Fetch the model again",
    ),
    "a resized vocabulary": (
        with_tensors(resized),
        r"The model's weights give model\.embed_tokens\.weight the shape",
        "Fetch the model again",
    ),
    "the tokenizer of a larger model": (
        of_a_larger_model,
        r"has ids that the model's \d+ embeddings do not reach",
        "one and the same model",
    ),
    "no tokenizer": (
        without(TOKENIZER),
        r"There is no tokenizer\.json in the model's folder",
        "save_pretrained",
    ),
    "a SentencePiece tokenizer alone": (
        sentencepiece_alone,
        r"The model's tokenizer is SentencePiece's \(tokenizer\.model\)",
        "llama.cpp's own converter",
    ),
    "a SentencePiece tokenizer, converted": (
        tokenized(type="Unigram"),
        "The model's tokenizer is of type 'Unigram', not byte-level BPE",
        "llama.cpp's own converter",
    ),
    "BPE over characters": (
        tokenized(byte_fallback=True),
        "SentencePiece's BPE over characters, not byte-level BPE",
        "llama.cpp's own converter",
    ),
    "a tokenizer that is cut": (
        cut(TOKENIZER, 0.5),
        r"tokenizer\.json is not a JSON object",
        "Fetch the model again",
    ),
    "a tokenizer without its words": (
        tokenized(vocab="none"),
        r"The model's tokenizer has no usable model\.vocab",
        "Fetch the model again",
    ),
    "no chat template": (
        without(TEMPLATE),
        "The model has no chat template, so it cannot be asked by chat",
        f"instruction-tuned version, or add a {TEMPLATE}",
    ),
    "a chat template that is no text": (
        holding(TEMPLATE, b"\xff\xfe"),
        "chat template is not valid Unicode",
        "Fetch the model again",
    ),
    "no token that ends an answer": (
        endless,
        "The model's tokenizer names no token that ends an answer",
        "Set eos_token",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_spoilt_directory_is_refused_by_its_headers(
    at_hub: RunningHub, whole: Path, tmp_path: Path, case: tuple[Spoil, str, str]
) -> None:
    spoil, says, next_step = case
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    spoil(folder)
    with at_hub.unchanged():
        told = refused("model", "import", str(folder), "--family", "text", "--name", "spoilt")
    told.matches("model_refused", says, next_step)
    assert str(at_hub.home) not in told.message
    assert not (tmp_path / "unpickled").exists()


def patched(part: int, data: bytes) -> Spoil:
    """A file whose header lies about its second tensor: 3 is the shape, 4 the type, 5 the place."""

    def patch(path: Path) -> None:
        field = gguf.GGUFReader(path).tensors[1].field
        start = field.offset + sum(one.nbytes for one in field.parts[:part])
        whole = path.read_bytes()
        path.write_bytes(whole[:start] + data + whole[start + len(data) :])

    return patch


def replaced(before: bytes, after: bytes) -> Spoil:
    def replace(path: Path) -> None:
        whole = path.read_bytes()
        assert before in whole
        path.write_bytes(whole.replace(before, after))

    return replace


def written(*, kind: str = "model", num_tokens: int = 8, template: str = "x") -> Spoil:
    """A file as the gguf package writes it, of one tensor with eight embeddings."""

    def write(path: Path) -> None:
        writer = gguf.GGUFWriter(path, "qwen3")
        writer.add_type(kind)
        writer.add_context_length(64)
        writer.add_token_list([f"t{number}" for number in range(num_tokens)])
        writer.add_chat_template(template)
        writer.add_tensor("token_embd.weight", np.ones((8, 32), dtype=np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    return write


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Bomb(path.parent / "unpickled")))


NOT_WHOLE = rf"{GGUF_NAME} is not a whole GGUF file: "
FETCH = "Fetch the file again"
# how the file is spoilt, what is said, the next step
FILES: dict[str, tuple[Spoil, str, str]] = {
    "cut in half": (lambda path: cut(path.name, 0.5)(path.parent), f"{NOT_WHOLE}it is cut", FETCH),
    "cut in the header": (
        lambda path: cut(path.name, 0.01)(path.parent),
        f"{NOT_WHOLE}it is cut short",
        FETCH,
    ),
    "nothing": (lambda path: path.write_bytes(b""), f"{GGUF_NAME} is not a GGUF file", r"\.gguf"),
    "text": (lambda path: path.write_text("hello"), f"{GGUF_NAME} is not a GGUF file", r"\.gguf"),
    "a pickle": (pickled, f"{GGUF_NAME} is not a GGUF file", r"\.gguf"),
    "a version of the future": (
        replaced(b"GGUF\x03", b"GGUF\x09"),
        f"{NOT_WHOLE}it is of version 9",
        FETCH,
    ),
    "a tensor that lies elsewhere": (
        patched(5, struct.pack("<Q", 1 << 40)),
        f"{NOT_WHOLE}.* does not begin where the one before it ends",
        FETCH,
    ),
    "a tensor that is larger than the file": (
        patched(3, struct.pack("<Q", 1 << 40)),
        f"{NOT_WHOLE}it is cut short inside",
        FETCH,
    ),
    "a tensor of an unknown type": (
        patched(4, struct.pack("<I", 9999)),
        f"{NOT_WHOLE}.* is of the unknown type 9999",
        FETCH,
    ),
    "more tensors than the file can hold": (
        lambda path: path.write_bytes(path.read_bytes()[:8] + b"\xff" * 8 + bytes(100)),
        f"{NOT_WHOLE}'' has 0 dimensions",
        FETCH,
    ),
    "an adapter": (
        written(kind="adapter"),
        rf"{GGUF_NAME} holds no model \(its type is adapter\)",
        "Import a model's file",
    ),
    "fewer tokens than embeddings": (
        written(num_tokens=5),
        f"{GGUF_NAME} has 8 embeddings for 5 tokens",
        "one and the same model",
    ),
    "no chat template": (
        written(template=""),
        f"{GGUF_NAME} has no chat template",
        "instruction-tuned",
    ),
}


@pytest.mark.parametrize("case", FILES.values(), ids=list(FILES))
def test_a_spoilt_file_is_refused_by_its_header(
    at_hub: RunningHub, gguf_file: Path, tmp_path: Path, case: tuple[Spoil, str, str]
) -> None:
    spoil, says, next_step = case
    path = Path(shutil.copy(gguf_file, tmp_path / GGUF_NAME))
    spoil(path)
    with at_hub.unchanged():
        told = refused("model", "import", str(path), "--family", "text", "--name", "spoilt")
    told.matches("model_refused", says, next_step)
    assert not (tmp_path / "unpickled").exists()


def test_two_files_at_once(at_hub: RunningHub, gguf_file: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(gguf_file, tmp_path / name)
    with at_hub.unchanged():
        told = refused("model", "import", str(tmp_path), "--family", "text", "--name", "spoilt")
    told.matches("model_refused", "The folder holds 2 GGUF files", "Import one of them")


# headers say nothing about these: the run that opens the model refuses them
IN_THE_RUN: dict[str, tuple[Spoil, str, str]] = {
    "weights that are no numbers": (
        with_tensors(damaged),
        r"The model's weights hold numbers in model\.norm\.weight that are not finite",
        "Fetch the model again",
    ),
    "a chat template that cannot be read": (
        holding(TEMPLATE, b"{% for m in messages %}"),
        "chat template cannot write these messages: Unexpected end of template",
        "model's documentation",
    ),
    "a file that llama.cpp does not know": (
        replaced(b"qwen3", b"qwenX"),
        rf"llama\.cpp cannot run {GGUF_NAME}",
        "Fetch the file again",
    ),
}
SLOW = {"a chat template that cannot be read"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in IN_THE_RUN],
)
def test_a_model_that_cannot_answer_ends_its_run_in_one_sentence(
    at_hub: RunningHub, whole: Path, gguf_file: Path, tmp_path: Path, name: str
) -> None:
    spoil, says, next_step = IN_THE_RUN[name]
    if "file" in name:
        model = Path(shutil.copy(gguf_file, tmp_path / GGUF_NAME))
    else:
        model = Path(shutil.copytree(whole, tmp_path / "model"))
    spoil(model)
    before = at_hub.client.stacks(), blobs(at_hub)
    said = dizuo("model", "import", str(model), "--family", "text", "--name", "spoilt", "--json")
    assert said.status == 1, said
    refusal_of(said.json).matches("run_failed", says, next_step)
    assert (at_hub.client.stacks(), blobs(at_hub)) == before


def blobs(hub: RunningHub) -> set[str]:
    """What the hub's registry holds."""
    return {path.name for path in (hub.home / "layout" / "blobs" / "sha256").iterdir()}
