"""Model archives: what is unpacked of them, and what is refused before it is."""

from __future__ import annotations

import shutil
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tests.families.text.gguf_factory import make_checkpoint
from tests.runs.archives import archive

from dizuo.artifacts.errors import DiskFull
from dizuo.core.progress import silent
from dizuo.datasets.uploads import MAX_UPLOAD_BYTES
from dizuo.families.errors import ModelRefused
from dizuo.families.text import importing
from dizuo.families.text.gguf_base import write_base
from dizuo.runs import model_archive
from dizuo.runs.model_archive import MAX_MODEL_BYTES, sketch_model, unpack_model

Open = Callable[[Path, Path], Path | None]


def sketched(archive: Path, destination: Path) -> Path | None:
    return sketch_model(archive, destination, importing)


both = pytest.mark.parametrize("read", [unpack_model, sketched])


@both
def test_directory_packed_with_its_name_is_the_model(read: Open, tmp_path: Path) -> None:
    packed = archive(tmp_path / "m.tar", ("resnet/config.json", b"{}"), ("resnet/a/b", b"c"))
    found = read(packed, tmp_path / "out")
    assert found is not None
    assert found.name == "resnet"
    assert (found / "a" / "b").read_bytes() == b"c"


@both
@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b"])
def test_name_that_leads_out_is_refused(read: Open, tmp_path: Path, name: str) -> None:
    packed = archive(tmp_path / "m.tar", (name, b"x"))
    with pytest.raises(ModelRefused, match="not a plain file"):
        read(packed, tmp_path / "out")
    assert not (tmp_path / "b").exists()


@both
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_refused(read: Open, tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "m.tar", "w") as opened:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "/etc/passwd"
        opened.addfile(member)
    with pytest.raises(ModelRefused, match="not a plain file"):
        read(tmp_path / "m.tar", tmp_path / "out")


@both
@pytest.mark.parametrize("kept_bytes", [0, 100, 700])
def test_archive_that_was_cut_off_is_refused(read: Open, tmp_path: Path, kept_bytes: int) -> None:
    packed = archive(tmp_path / "m.tar", ("config.json", b"x" * 600))
    packed.write_bytes(packed.read_bytes()[:kept_bytes])
    with pytest.raises(ModelRefused, match="broken or was cut off"):
        read(packed, tmp_path / "out")


@both
def test_name_that_comes_twice_is_refused(read: Open, tmp_path: Path) -> None:
    packed = archive(tmp_path / "m.tar", ("a", b"1"), ("a", b"2"))
    with pytest.raises(ModelRefused):
        read(packed, tmp_path / "out")


@both
def test_too_many_files_are_refused(read: Open, tmp_path: Path) -> None:
    packed = archive(tmp_path / "m.tar", *((f"f{n}", b"") for n in range(1001)))
    with pytest.raises(ModelRefused, match="1,000 files"):
        read(packed, tmp_path / "out")


WEIGHTS = save({"a": np.random.default_rng(0).random((1000, 300)), "b": np.zeros(7, np.float16)})


def test_a_sketch_has_texts_whole_and_of_the_rest_the_headers(tmp_path: Path) -> None:
    config = b'{"model_type": "resnet"}' + b" " * 100_000
    packed = archive(
        tmp_path / "m.tar",
        ("config.json", config),
        ("README.md", b"hello"),
        ("chat_template.jinja", b"t" * 100_000),
        ("other.jinja", b"t" * 100_000),
        ("model.safetensors", WEIGHTS),
        ("pytorch_model.bin", b"\x80" * 5_000_000),
    )
    found = sketched(packed, tmp_path / "out")
    assert found is not None
    assert (found / "config.json").read_bytes() == config
    assert (found / "README.md").read_bytes() == b"hello"
    assert (found / "chat_template.jinja").read_bytes() == b"t" * 100_000
    assert (found / "other.jinja").read_bytes() == b"\0" * 100_000
    sizes = {path.name: path.stat().st_size for path in found.iterdir()}
    assert (sizes["model.safetensors"], sizes["pytorch_model.bin"]) == (len(WEIGHTS), 5_000_000)
    on_disk = sum(path.stat().st_blocks * 512 for path in found.iterdir())
    assert on_disk < len(config) + 100_000 + 50_000
    with safe_open(found / "model.safetensors", framework="numpy") as tensors:
        assert tensors.get_slice("a").get_shape() == [1000, 300]


def test_a_sketch_of_many_gigabytes_takes_no_room(tmp_path: Path) -> None:
    """The archive itself is sparse too: so it is larger than many disks are."""
    header = b'{"a":{"dtype":"F32","shape":[4000000000],"data_offsets":[0,16000000000]}}'
    start = struct.pack("<Q", len(header)) + header
    member = tarfile.TarInfo("model.safetensors")
    member.size = len(start) + 16_000_000_000
    with (tmp_path / "m.tar").open("wb") as stream:
        stream.write(member.tobuf(tarfile.GNU_FORMAT) + start)
        stream.truncate(512 + member.size + -member.size % 512 + 1024)
    found = sketched(tmp_path / "m.tar", tmp_path / "out")
    assert found is not None
    weights = found / "model.safetensors"
    assert weights.stat().st_size == member.size
    assert weights.stat().st_blocks * 512 < 100_000
    with safe_open(weights, framework="numpy") as tensors:
        assert tensors.get_slice("a").get_shape() == [4_000_000_000]


@pytest.mark.parametrize(
    "weights",
    [
        WEIGHTS[:4],
        WEIGHTS[:60],
        WEIGHTS[:-1],
        WEIGHTS + b"x",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 90_000_000) + b"{}",
        struct.pack("<Q", 4) + b"\xff{}\x00" * 50_000,
    ],
    ids=["no length", "half a header", "cut", "longer", "endless", "too long", "no JSON"],
)
def test_a_sketch_is_as_broken_as_the_whole(tmp_path: Path, weights: bytes) -> None:
    packed = archive(tmp_path / "m.tar", ("model.safetensors", weights))
    for number, read in enumerate((unpack_model, sketched)):
        found = read(packed, tmp_path / str(number))
        assert found is not None
        assert (found / "model.safetensors").stat().st_size == len(weights)
        with pytest.raises(SafetensorError):
            safe_open(found / "model.safetensors", framework="numpy")


def test_texts_and_headers_are_bounded_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_archive, "MAX_SKETCH_BYTES", 2**20)
    many = [(f"{n}.json", b"x" * 300_000) for n in range(4)]
    packed = archive(tmp_path / "m.tar", *many)
    with pytest.raises(ModelRefused, match="texts and headers hold more than 1 MiB"):
        sketched(packed, tmp_path / "out")
    assert unpack_model(packed, tmp_path / "whole")


@both
@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_small_archive_of_much_is_refused(read: Open, tmp_path: Path, mode: str) -> None:
    zeros = ("model.safetensors", bytes(5_000_000))
    packed = archive(tmp_path / "m.tar", ("config.json", b"{}"), zeros, mode=mode)
    assert packed.stat().st_size < 25_000
    with pytest.raises(ModelRefused, match="more than 200 times its size") as caught:
        read(packed, tmp_path / "out")
    assert "not compressed" in caught.value.next_step
    assert sum(path.stat().st_blocks for path in (tmp_path / "out").rglob("*.safetensors")) == 0


@both
def test_a_compressed_archive_of_weights_is_taken(read: Open, tmp_path: Path) -> None:
    packed = archive(tmp_path / "m.tar", ("model.safetensors", WEIGHTS), mode="w:gz")
    assert read(packed, tmp_path / "out")


def test_a_large_compressed_archive_is_left_to_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_archive, "_MAX_UNPACKED_TO_SKETCH", 1_000_000)
    packed = archive(tmp_path / "m.gz", ("model.safetensors", WEIGHTS), mode="w:gz")
    assert sketched(packed, tmp_path / "out") is None
    plain = archive(tmp_path / "m.tar", ("model.safetensors", WEIGHTS))
    assert sketched(plain, tmp_path / "plain") is not None


def test_what_the_disk_has_no_room_for_is_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = archive(tmp_path / "m.tar", ("model.safetensors", WEIGHTS))
    full = SimpleNamespace(free=len(WEIGHTS) - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: full)
    with pytest.raises(DiskFull):
        unpack_model(packed, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_no_model_is_taken_that_could_not_be_sent() -> None:
    assert MAX_MODEL_BYTES == MAX_UPLOAD_BYTES


@pytest.mark.parametrize("form", ["directory", "gguf"])
def test_the_text_family_inspects_a_sketch_as_it_does_the_whole(tmp_path: Path, form: str) -> None:
    model, packed = tmp_path / "model", tmp_path / "m.tar"
    make_checkpoint(model, "qwen2")
    if form == "gguf":
        checkpoint, model = model, tmp_path / "file"
        model.mkdir()
        write_base(checkpoint, model / "tiny.gguf", "q8_0", silent)
    archive(packed, *((path.name, path.read_bytes()) for path in sorted(model.iterdir())))
    sketch = sketched(packed, tmp_path / "sketch")
    assert sketch is not None
    assert importing.inspect(sketch) == importing.inspect(model)


def test_of_a_large_gguf_the_header_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "HEADS", {".gguf": 100_000})
    packed = archive(tmp_path / "m.tar", ("m.gguf", b"GGUF" * 1_000_000))
    found = sketched(packed, tmp_path / "out")
    assert found is not None
    file = found / "m.gguf"
    assert file.stat().st_size == 4_000_000
    assert file.stat().st_blocks * 512 < 150_000
    assert file.read_bytes()[:100_000] == b"GGUF" * 25_000
