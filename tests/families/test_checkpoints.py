"""A checkpoint counts when, and only when, every byte of it is what its manifest says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.digests import sha256_bytes
from dizuo.families.checkpoints import MANIFEST_NAME, newest, prune, seal, verifies

WORK = sha256_bytes(b"this work")
OTHER = sha256_bytes(b"other work")


def written(root: Path, step: int) -> Path:
    folder = root / f"checkpoint-{step}"
    (folder / "inner").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights %d" % step)
    (folder / "inner" / "state.json").write_bytes(b"{}")
    return folder


def sealed(root: Path, step: int, work: str = WORK) -> Path:
    folder = written(root, step)
    seal(folder, work)
    return folder


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))


SPOILERS: dict[str, Callable[[Path], object]] = {
    "no manifest": lambda folder: (folder / MANIFEST_NAME).unlink(),
    "half a manifest": lambda folder: (folder / MANIFEST_NAME).write_bytes(b'{"format":1,'),
    "an empty manifest": lambda folder: (folder / MANIFEST_NAME).write_bytes(b""),
    "a newer format": lambda folder: (folder / MANIFEST_NAME).write_text(
        (folder / MANIFEST_NAME).read_text().replace('"format":1', '"format":2')
    ),
    "a flipped bit": lambda folder: flip(folder / "model.safetensors"),
    "a file cut short": lambda folder: (folder / "model.safetensors").write_bytes(b"wei"),
    "a missing file": lambda folder: (folder / "inner" / "state.json").unlink(),
    "a file too many": lambda folder: (folder / "optimizer.pt").write_bytes(b""),
}


def test_a_sealed_checkpoint_counts(tmp_path: Path) -> None:
    assert verifies(sealed(tmp_path, 4), WORK)


def test_what_is_only_written_does_not(tmp_path: Path) -> None:
    written(tmp_path, 4)
    assert newest(tmp_path, WORK) is None


def test_other_work_does_not(tmp_path: Path) -> None:
    sealed(tmp_path, 4, OTHER)
    assert newest(tmp_path, WORK) is None


@pytest.mark.parametrize("spoiler", SPOILERS)
def test_the_newest_that_verifies_is_chosen(tmp_path: Path, spoiler: str) -> None:
    good, spoiled = sealed(tmp_path, 9), sealed(tmp_path, 10)
    assert newest(tmp_path, WORK) == spoiled
    SPOILERS[spoiler](spoiled)
    assert not verifies(spoiled, WORK)
    assert newest(tmp_path, WORK) == good


def test_steps_are_numbers_not_texts(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        sealed(tmp_path, step)
    assert newest(tmp_path, WORK) == tmp_path / "checkpoint-100"


def test_prune_keeps_the_newest_two_whole_ones_and_what_is_not_a_checkpoint(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        sealed(tmp_path, step)
    written(tmp_path, 5)
    sealed(tmp_path, 6, OTHER)
    (tmp_path / "notes").mkdir()
    prune(tmp_path, WORK)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint-3",
        "checkpoint-4",
        "notes",
    ]


def test_a_folder_that_is_not_there_has_no_checkpoints(tmp_path: Path) -> None:
    assert newest(tmp_path / "none", WORK) is None
    prune(tmp_path / "none", WORK)


def test_what_an_interrupted_write_left_does_not_spoil_a_checkpoint(tmp_path: Path) -> None:
    folder = written(tmp_path, 1)
    (folder / f".{MANIFEST_NAME}.x.tmp").write_bytes(b'{"form')
    seal(folder, WORK)
    assert verifies(folder, WORK)


@given(contents=st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=40), min_size=1))
def test_any_single_change_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("any") / "checkpoint-1"
    folder.mkdir()
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    seal(folder, WORK)
    assert verifies(folder, WORK)
    for name, data in contents.items():
        (folder / name).write_bytes(data + b"!")
        assert not verifies(folder, WORK)
        (folder / name).write_bytes(data)
