"""A disk that is full, for real: in a process that may not write files beyond a length."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.artifacts.conftest import WEIGHT_BYTES, Family, weights
from tests.artifacts.memory_source import MemorySource

from dizuo.artifacts.disk import require_room, telling_full_disk
from dizuo.artifacts.errors import DiskFull
from dizuo.artifacts.fetch import fetch_stack
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.artifacts.stacks import unpack

MAX_FILE_BYTES = 100_000
PREAMBLE = f"""
import json, resource, sys
from pathlib import Path
from dizuo.artifacts.fetch import fetch_stack
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.stacks import unpack
from dizuo.core.errors import DizuoError
from tests.artifacts.memory_source import MemorySource
hub, place, digest = Layout(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_FSIZE, ({MAX_FILE_BYTES}, {MAX_FILE_BYTES}))
try:
"""
EPILOGUE = """
except DizuoError as error:
    print(json.dumps(error.as_dict()["error"]))
"""


@dataclass(frozen=True, slots=True)
class Child:
    """Runs one statement in a process whose files cannot grow beyond MAX_FILE_BYTES."""

    hub: Layout
    place: Path
    digest: str

    def run(self, statement: str) -> dict[str, Any]:
        """The error that the statement ended in, in its JSON form."""
        code = f"{PREAMBLE}    {statement}\n{EPILOGUE}"
        command = [sys.executable, "-c", code, str(self.hub.root), str(self.place), self.digest]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=Path(__file__).parents[2],
        )
        assert done.returncode == 0, done.stderr
        error: dict[str, Any] = json.loads(done.stdout)
        return error


def assert_clear(error: dict[str, Any]) -> None:
    assert error["code"] == "disk_full"
    assert error["retryable"] is True
    assert error["message"].startswith("The disk has no room left for")
    assert error["next_step"]


def test_a_fetch_that_fills_the_disk_goes_on_when_there_is_room(
    shared_family: Family, tmp_path: Path
) -> None:
    size = shared_family.layout.path(shared_family.base).stat().st_size
    child = Child(shared_family.layout, tmp_path / "site", shared_family.base)

    error = child.run(
        f"fetch_stack(MemorySource(hub), Layout(place), digest, {size}, 'onnx')",
    )

    assert_clear(error)
    site = Layout(tmp_path / "site")
    staged = [path.stat().st_size for path in site.partial_directory.iterdir()]
    assert staged == [MAX_FILE_BYTES]
    fetched = fetch_stack(
        MemorySource(shared_family.layout), site, shared_family.base, size, "onnx"
    )
    assert fetched.bytes_fetched <= WEIGHT_BYTES[Level.L0] - MAX_FILE_BYTES + 1000
    files = unpack(site, shared_family.base, "onnx", tmp_path / "slot")
    assert (files.top.directory / "model.weights").read_bytes() == weights(Level.L0, "onnx")


def test_a_blob_that_does_not_fit_leaves_the_layout_as_it_was(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 2 * MAX_FILE_BYTES)
    layout = Layout(tmp_path / "layout")
    child = Child(layout, large, "")

    assert_clear(child.run("hub.put_file(place)"))
    assert_clear(child.run("hub.put_bytes(place.read_bytes())"))

    assert list(layout.blob_directory.iterdir()) == []


def test_unpacking_copies_that_do_not_fit_leaves_nothing(shared_family: Family) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        child = Child(shared_family.layout, Path(folder) / "slot", shared_family.base)

        assert_clear(child.run("unpack(hub, digest, 'onnx', place)"))

        assert [path.name for path in Path(folder).iterdir()] == [".slot.lock"]


def test_what_cannot_fit_is_not_begun(tmp_path: Path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(DiskFull, match="are free"):
        require_room(tmp_path, 1 << 62)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_kind_of_no_room_is_the_same_sentence(number: int) -> None:
    with pytest.raises(DiskFull, match="no room left for a blob"), telling_full_disk("a blob"):
        raise OSError(number, "no room")


def test_other_errors_of_the_disk_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), telling_full_disk("a blob"):
        (tmp_path / "absent").read_bytes()
