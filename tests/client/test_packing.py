"""Folders and files as streams of bytes."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizuo.client.packing import CannotSend, pack

NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/."), min_size=1, max_size=30
).filter(lambda name: len(name.encode()) < 200)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)


def _write(folder: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """Write those that do not lie below another file; returns what was written."""
    written = {}
    for name, data in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue
        written[name] = data
    return written


def _unpacked(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


@given(st.dictionaries(PATHS, st.binary(max_size=1500), min_size=1, max_size=6))
@settings(max_examples=40)
def test_a_folder_comes_out_as_it_went_in(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("folder")
    written = _write(folder, files)
    parcel = pack(folder)
    data = b"".join(parcel.pieces())
    assert len(data) == parcel.size_bytes
    assert _unpacked(data) == written


def test_the_same_content_has_the_same_bytes(tmp_path: Path) -> None:
    files = {"b/2.txt": b"two", "a.txt": b"one", "b/1.txt": b""}
    _write(tmp_path / "one", files)
    _write(tmp_path / "other", dict(reversed(files.items())))
    os.utime(tmp_path / "one" / "a.txt", (1, 1))
    os.chmod(tmp_path / "one" / "a.txt", 0o600)
    first, other = (b"".join(pack(tmp_path / name).pieces()) for name in ("one", "other"))
    assert first == other
    parcel = pack(tmp_path / "one")
    assert b"".join(parcel.pieces()) == b"".join(parcel.pieces())


def test_hidden_files_stay_here_and_links_to_files_are_files(tmp_path: Path) -> None:
    _write(tmp_path / "m", {".git/config": b"x", ".secret": b"x", "w.bin": b"weights"})
    (tmp_path / "m" / "link.bin").symlink_to(tmp_path / "m" / "w.bin")
    assert _unpacked(b"".join(pack(tmp_path / "m").pieces())) == {
        "link.bin": b"weights",
        "w.bin": b"weights",
    }


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    data = os.urandom(600_000)
    (tmp_path / "rows.jsonl").write_bytes(data)
    parcel = pack(tmp_path / "rows.jsonl")
    assert (parcel.size_bytes, parcel.is_folder) == (600_000, False)
    assert b"".join(parcel.pieces()) == data


def test_what_cannot_be_sent(tmp_path: Path) -> None:
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    _write(tmp_path / "odd", {"ok": b""})
    os.close(os.open(os.fsencode(tmp_path / "odd") + b"/\xff", os.O_CREAT | os.O_WRONLY))
    for name, words in (
        ("missing", "cannot be read: No such file"),
        ("empty", "There are no files in"),
        ("pipe", "is neither a file nor a folder"),
        ("dangling", "cannot be read: No such file"),
        ("odd", "is not valid text"),
    ):
        with pytest.raises(CannotSend) as refused:
            pack(tmp_path / name)
        assert words in refused.value.message


def test_a_file_that_changes_while_it_is_sent(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"x" * 1000)
    parcel = pack(path)
    path.write_bytes(b"x" * 2000)
    assert len(b"".join(parcel.pieces())) == 1000
    path.write_bytes(b"x" * 10)
    with pytest.raises(CannotSend, match="became shorter"):
        list(parcel.pieces())
    path.unlink()
    with pytest.raises(CannotSend, match="cannot be read"):
        list(parcel.pieces())
