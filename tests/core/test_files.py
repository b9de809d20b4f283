"""Files are whole or not there: after an error, a full disk, a SIGKILL."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dizuo.core.files import (
    make_directories,
    open_atomic,
    write_atomic,
    write_json,
    write_together,
)

OLD, NEW = b"old" * 1000, b"new" * 700_000


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "file"
    write_atomic(path, OLD)
    assert path.read_bytes() == OLD
    write_atomic(path, NEW)
    assert path.read_bytes() == NEW
    assert os.listdir(path.parent) == ["file"]


def test_a_block_that_raises_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, OLD)

    def fail() -> None:
        with open_atomic(path) as stream:
            stream.write(NEW)
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail()
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_during_the_write_sees_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, OLD)
    with open_atomic(path) as stream:
        stream.write(NEW)
        stream.flush()
        assert path.read_bytes() == OLD
    assert path.read_bytes() == NEW


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    with open_atomic(path, mode=0o600) as stream:
        stream.write(b"hush")
        (temporary,) = tmp_path.iterdir()
        assert temporary.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mode & 0o777 == 0o600


def test_many_files_are_written_together(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    contents = {f"{number}": bytes([number]) * 1000 for number in range(30)}
    write_together(folder, contents, mode=0o600)
    write_together(folder, {"0": b"other", "more": b""}, mode=0o600)
    expected = {**contents, "0": b"other", "more": b""}
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == expected
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    write_together(folder, {})
    assert len(os.listdir(folder)) == 31


def test_of_files_written_together_none_is_there_if_one_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_atomic(tmp_path / "old", OLD)
    synced, fsync = itertools.count(1), os.fsync

    def full(descriptor: int) -> None:
        if next(synced) == 5:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_together(tmp_path, {"old": NEW, **{f"{number}": NEW for number in range(20)}})
    assert os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == OLD


def test_json_in_its_canonical_form(tmp_path: Path) -> None:
    write_json(tmp_path / "v.json", {"b": 1, "a": [True, None]})
    assert (tmp_path / "v.json").read_bytes() == b'{"a":[true,null],"b":1}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "v.json", float("nan"))
    assert json.loads((tmp_path / "v.json").read_bytes()) == {"a": [True, None], "b": 1}


def test_folders_in_the_way(tmp_path: Path) -> None:
    make_directories(tmp_path / "a" / "b")
    make_directories(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        write_atomic(tmp_path / "file" / "below", b"")
    with pytest.raises(IsADirectoryError):
        write_atomic(tmp_path / "a", b"")
    assert sorted(os.listdir(tmp_path)) == ["a", "file"]


def test_many_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=write_atomic, args=(path, data)) for data in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


_LIMITED = """
import resource, sys
from pathlib import Path
from dizuo.core.files import write_atomic
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_atomic(Path(sys.argv[1]), b"new" * 700_000)
except OSError as error:
    sys.exit(f"refused: {error.strerror}")
"""


def test_no_room_for_the_new_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, OLD)
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.stderr.strip() == "refused: File too large"
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["file"]


_ENDLESS = """
import sys
from pathlib import Path
from dizuo.core.files import write_atomic
path, versions = Path(sys.argv[1]), [b"a" * 300_000, b"b" * 400_000]
print("ready", flush=True)
while True:
    for data in versions:
        write_atomic(path, data)
    print("round", flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for rounds in (1, 2, 3):
        with subprocess.Popen(
            [sys.executable, "-c", _ENDLESS, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            for _ in range(rounds + 1):
                assert writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        assert writer.returncode == -signal.SIGKILL
        assert path.read_bytes() in (b"a" * 300_000, b"b" * 400_000)
        strays = [name for name in os.listdir(tmp_path) if name != "file"]
        assert all(name.startswith(".file.") and name.endswith(".tmp") for name in strays)
