"""Laying stacks out on disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.artifacts.conftest import Family, weights

from dizuo.artifacts.errors import BlobCorrupt, BlobMissing, DestinationTaken, TargetMissing
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.artifacts.stacks import read_stack, unpack
from dizuo.artifacts.unpacking import MARKER


@pytest.fixture
def other_filesystem() -> Iterator[Path]:
    """A folder that no hard link from the layout reaches."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def leftovers(folder: Path) -> list[str]:
    """What is in a folder besides lock files."""
    return [path.name for path in folder.iterdir() if not path.name.endswith(".lock")]


def top_weights(family: Family) -> Path:
    """The stored blob of the scenario's own weights."""
    own = read_stack(family.layout, family.scenario).targets["onnx"].layers[-1]
    digest = next(file.blob.digest for file in own.files if file.path == "model.weights")
    return family.layout.path(digest)


def damage(path: Path) -> None:
    """The disk gives back other bytes of the same length."""
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_a_folder_per_layer_with_the_files_of_the_target(family: Family, tmp_path: Path) -> None:
    destination = tmp_path / "slots" / "one"

    files = unpack(family.layout, family.scenario, "onnx", destination)

    assert (files.name, files.version, files.digest) == ("site3", 1, family.scenario)
    assert files.target == "onnx"
    assert [layer.directory for layer in files.layers] == [
        destination / "L0/shapes",
        destination / "L1/meter-reading",
        destination / "L2/site3",
    ]
    assert files.base.directory == destination / "L0/shapes"
    assert files.top.level is Level.L2
    for layer in files.layers:
        assert (layer.directory / "model.weights").read_bytes() == weights(layer.level, "onnx")
        assert (layer.directory / "data/golden.json").exists()
    assert leftovers(destination.parent) == ["one"]


def test_files_are_hard_links_and_read_only(family: Family, tmp_path: Path) -> None:
    files = unpack(family.layout, family.scenario, "onnx", tmp_path / "slot")
    path = files.top.directory / "model.weights"
    assert path.stat().st_ino == top_weights(family).stat().st_ino
    assert path.stat().st_mode & 0o222 == 0


def test_files_are_copies_where_links_do_not_reach(family: Family, other_filesystem: Path) -> None:
    files = unpack(family.layout, family.scenario, "onnx", other_filesystem / "slot")
    path = files.top.directory / "model.weights"
    assert path.read_bytes() == weights(Level.L2, "onnx")
    assert path.stat().st_dev != top_weights(family).stat().st_dev


def test_unpacking_again_leaves_the_folder_as_it_is(family: Family, tmp_path: Path) -> None:
    first = unpack(family.layout, family.scenario, "onnx", tmp_path / "slot")
    before = (tmp_path / "slot").stat().st_ino
    assert unpack(family.layout, family.scenario, "onnx", tmp_path / "slot") == first
    assert (tmp_path / "slot").stat().st_ino == before


@pytest.mark.parametrize("loss", ["file gone", "file changed", "file cut", "folder gone"])
def test_a_damaged_folder_is_laid_out_anew(
    family: Family, other_filesystem: Path, loss: str
) -> None:
    files = unpack(family.layout, family.scenario, "onnx", other_filesystem / "slot")
    path = files.top.directory / "model.weights"
    if loss == "file gone":
        path.unlink()
    elif loss == "file changed":
        damage(path)
    elif loss == "file cut":
        os.truncate(path, 10)
    else:
        shutil.rmtree(files.top.directory)

    again = unpack(family.layout, family.scenario, "onnx", other_filesystem / "slot")

    assert again == files
    assert path.read_bytes() == weights(Level.L2, "onnx")
    assert leftovers(other_filesystem) == ["slot"]


def test_a_folder_that_holds_something_else_is_not_touched(family: Family, tmp_path: Path) -> None:
    (tmp_path / "slot").mkdir()
    (tmp_path / "slot/notes.txt").write_text("mine")
    with pytest.raises(DestinationTaken, match="something else"):
        unpack(family.layout, family.scenario, "onnx", tmp_path / "slot")
    assert (tmp_path / "slot/notes.txt").read_text() == "mine"

    (tmp_path / "file").write_text("mine")
    with pytest.raises(DestinationTaken):
        unpack(family.layout, family.scenario, "onnx", tmp_path / "file")

    unpack(family.layout, family.industry, "onnx", tmp_path / "other")
    for digest, target in ((family.scenario, "onnx"), (family.industry, "safetensors")):
        with pytest.raises(DestinationTaken):
            unpack(family.layout, digest, target, tmp_path / "other")


def test_a_tampered_blob_is_refused_and_put_aside(family: Family, tmp_path: Path) -> None:
    path = top_weights(family)
    damage(path)

    with pytest.raises(BlobCorrupt, match="damaged"):
        unpack(family.layout, family.scenario, "onnx", tmp_path / "slots" / "one")

    assert leftovers(tmp_path / "slots") == []
    assert not path.exists()
    # Its name is free again, so the next fetch or build brings the right bytes.
    family.layout.put_bytes(weights(Level.L2, "onnx"))
    files = unpack(family.layout, family.scenario, "onnx", tmp_path / "slots" / "one")
    assert (files.top.directory / "model.weights").read_bytes() == weights(Level.L2, "onnx")


def test_a_missing_blob_leaves_nothing_behind(family: Family, tmp_path: Path) -> None:
    top_weights(family).unlink()
    with pytest.raises(BlobMissing):
        unpack(family.layout, family.scenario, "onnx", tmp_path / "slots" / "one")
    assert leftovers(tmp_path / "slots") == []


def test_a_target_that_was_not_built(family: Family, tmp_path: Path) -> None:
    with pytest.raises(TargetMissing):
        unpack(family.layout, family.scenario, "gguf-q4_0", tmp_path / "slots" / "one")
    assert not (tmp_path / "slots").exists()


LOOP = """
import sys
from pathlib import Path
import shutil
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.stacks import unpack
layout, digest, slots = Layout(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3])
while True:
    unpack(layout, digest, "onnx", slots / "one")
    print("unpacked", flush=True)
    shutil.rmtree(slots / "one")
"""


@pytest.mark.parametrize("rounds", [1, 2, 4, 7])
def test_a_killed_unpacking_leaves_the_folder_whole_or_absent(
    family: Family, tmp_path: Path, rounds: int
) -> None:
    slots = tmp_path / "slots"
    command = [sys.executable, "-c", LOOP, str(family.layout.root), family.scenario, str(slots)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(rounds):
        assert process.stdout.readline() == "unpacked\n"
    process.kill()
    process.communicate()

    if not (slots / "one" / MARKER).exists():
        shutil.rmtree(slots / "one", ignore_errors=True)  # killed while it was being removed
    files = unpack(family.layout, family.scenario, "onnx", slots / "one")
    for layer in files.layers:
        assert (layer.directory / "model.weights").read_bytes() == weights(layer.level, "onnx")
    assert leftovers(slots) == ["one"]


def test_neighbours_whose_names_begin_alike_keep_their_temporary_folders(
    family: Family, tmp_path: Path
) -> None:
    busy = tmp_path / ".one.two.01234567-89ab-7def-8123-456789abcdef.tmp"
    mine = tmp_path / ".one.01234567-89ab-7def-8123-456789abcdef.tmp"
    busy.mkdir()
    mine.mkdir()
    unpack(family.layout, family.scenario, "onnx", tmp_path / "one")
    assert busy.exists()
    assert not mine.exists()


def test_two_layouts_may_unpack_the_same_stack(family: Family, tmp_path: Path) -> None:
    again = Layout(family.layout.root)
    one = unpack(family.layout, family.scenario, "onnx", tmp_path / "one")
    two = unpack(again, family.scenario, "onnx", tmp_path / "two")
    assert [layer.name for layer in one.layers] == [layer.name for layer in two.layers]
