"""Whatever bytes come: rows, rejects with a reason, or one refusal. Never anything else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.datasets.scene import jsonl, parquet_of, tar_of

from dizuo.datasets.errors import SourceRefused
from dizuo.datasets.importing.base import Format, read_source
from dizuo.datasets.model import Candidate, Reject

ROWS = jsonl({"text": "abc", "label": "x"}, {"text": {"path": "a/b"}, "n": 1.5}) * 3
SEEDS = {
    Format.JSONL: ROWS,
    Format.CSV: b'text,label:path,"n\nm"\nabc,x,1\n"d,e",a/b,2\n' * 3,
    Format.PARQUET: parquet_of({"text": ["abc", "d", None], "n": [1.5, 2.0, 3.0]}),
    Format.IMAGES: tar_of({"7/a.png": b"one", "8/b.png": b"two"}),
}


def read_bytes(data: bytes, form: Format) -> list[Candidate | Reject] | str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source"
        path.write_bytes(data)
        try:
            return list(read_source(path, form, ("text", "label"), Path(folder) / "scratch"))
        except SourceRefused as error:
            return error.message


def check(found: list[Candidate | Reject] | str) -> None:
    if isinstance(found, str):
        assert found.endswith(".")
        assert "\n" not in found
        return
    for record in found:
        assert record.place
        if isinstance(record, Reject):
            assert record.reason
            assert not record.reason.endswith(".")


@pytest.mark.parametrize("form", list(Format))
@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300))
@example(b"\x1f\x8b")
@example(b"BZh9")
@example(b"\xfd7zXZ\x00")
def test_any_bytes(form: Format, data: bytes) -> None:
    check(read_bytes(data, form))


@pytest.mark.parametrize("form", list(Format))
@settings(max_examples=60, deadline=None)
@given(chance=st.data())
def test_good_sources_with_some_bytes_changed(form: Format, chance: st.DataObject) -> None:
    data = bytearray(SEEDS[form])
    for _ in range(chance.draw(st.integers(1, 6))):
        at = chance.draw(st.integers(0, len(data) - 1))
        data[at] = chance.draw(st.integers(0, 255))
    cut = chance.draw(st.integers(1, len(data)))
    check(read_bytes(bytes(data[:cut]), form))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=12), st.binary(max_size=5)), max_size=5))
def test_any_names_in_a_tar_file(files: list[tuple[str, bytes]]) -> None:
    named = [(name, data) for name, data in files if "\0" not in name and _encodes(name)]
    found = read_bytes(tar_of(named), Format.IMAGES)
    check(found)
    for record in found if isinstance(found, list) else []:
        if isinstance(record, Candidate):
            assert not record.place.startswith("/")
            assert ".." not in record.place.split("/")


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
