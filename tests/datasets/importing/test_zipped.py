"""Zip files, good, hostile and broken."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from tests.datasets.scene import jsonl, zip_of

from dizuo.datasets.content import MAX_FIELD_BYTES
from dizuo.datasets.errors import SourceRefused
from dizuo.datasets.importing import unpacking
from dizuo.datasets.importing.base import Format, read_source
from dizuo.datasets.model import Candidate, Reject

Records = list[Candidate | Reject]


def read(folder: Path, data: bytes, form: Format = Format.IMAGES) -> Records:
    path = folder / "source"
    path.write_bytes(data)
    return list(read_source(path, form, ("image", "label"), folder / "scratch"))


def labels(records: Records) -> list[tuple[str, str]]:
    return [(one.place, one.columns["label"]) for one in records if isinstance(one, Candidate)]


def refused(records: Records) -> list[tuple[str, str]]:
    return [(one.place, one.reason) for one in records if isinstance(one, Reject)]


def test_pictures_in_folders_are_rows(tmp_path: Path) -> None:
    data = zip_of(
        {"all/": b"", "all/7/a.png": b"one", "all/8/b.png": b"two", "__MACOSX/._a.png": b"x"}
    )
    records = read(tmp_path, data)
    assert labels(records) == [("all/7/a.png", "7"), ("all/8/b.png", "8")]
    assert refused(records) == []


def test_a_table_names_the_files_beside_it(tmp_path: Path) -> None:
    rows = jsonl({"image": "a/1.png", "label": "7"})
    records = read(tmp_path, zip_of({"rows.jsonl": rows, "a/1.png": b"one"}), Format.JSONL)
    assert [one.columns for one in records if isinstance(one, Candidate)] == [
        {"image": b"one", "label": "7"}
    ]


def test_hostile_members_are_refused_alone(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("7/a.png", b"one")
        archive.writestr("../evil.png", b"x")
        archive.writestr("/abs/evil.png", b"x")
        archive.writestr("7\\..\\..\\evil.png", b"x")
        archive.writestr("7/large.png", b"0" * (MAX_FIELD_BYTES + 1))
        link = zipfile.ZipInfo("7/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    records = read(tmp_path, stream.getvalue())
    assert labels(records) == [("7/a.png", "7")]
    assert refused(records) == [
        ("../evil.png", "its path leads out of the folder"),
        ("/abs/evil.png", "its path leads out of the folder"),
        ("7/../../evil.png", "its path leads out of the folder"),
        ("7/large.png", "it holds 8,388,609 bytes; at most 8,388,608 are accepted"),
        ("7/link.png", "it is not a regular file"),
    ]
    assert not list(tmp_path.rglob("evil.png"))


def test_an_encrypted_member_is_refused_alone(tmp_path: Path) -> None:
    data = bytearray(zip_of({"7/a.png": b"one", "7/b.png": b"two"}))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<H", data, central + 8, 1)
    assert refused(read(tmp_path, bytes(data))) == [("7/a.png", "it is encrypted")]


def test_names_of_a_chinese_windows_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Such a program writes GBK and does not say so."""
    data = zip_of({"AAAA/a.png": b"one"}).replace(b"AAAA", "裂纹".encode("gbk"))
    assert labels(read(tmp_path, data)) == [("裂纹/a.png", "裂纹")]


def test_names_that_do_not_say_that_they_are_utf_8_are_read_as_it(tmp_path: Path) -> None:
    data = zip_of({"AAAAAA/a.png": b"one"}).replace(b"AAAAAA", "裂纹".encode())
    assert labels(read(tmp_path, data)) == [("裂纹/a.png", "裂纹")]


def test_a_broken_zip_file_is_refused(tmp_path: Path) -> None:
    whole = zip_of({f"7/{n}.png": os.urandom(3000) for n in range(20)})
    with pytest.raises(SourceRefused, match="zip file is broken or was cut off after 0 files"):
        read(tmp_path, whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    with pytest.raises(SourceRefused, match="zip file is broken"):
        read(tmp_path, bytes(flipped))


def test_a_member_that_holds_more_than_it_says_is_refused(tmp_path: Path) -> None:
    data = bytearray(zip_of({"7/a.png": b"0" * 10_000_000}))
    central = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, central + 24, 10)
    with pytest.raises(SourceRefused, match="zip file is broken"):
        read(tmp_path, bytes(data))
    assert sum(path.stat().st_size for path in (tmp_path / "scratch").iterdir()) <= 10


@pytest.mark.parametrize(("limit", "value"), [("MAX_UNPACKED_BYTES", 450), ("MAX_FILES", 4)])
def test_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(unpacking, limit, value)
    with pytest.raises(SourceRefused, match="The zip file unpacks to more than"):
        read(tmp_path, zip_of({f"7/{n}.png": b"x" * 100 for n in range(5)}))


def test_an_empty_zip_file_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, zip_of({})) == []
