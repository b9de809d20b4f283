"""Partial blobs: taken up, forgotten, and never confused with a finished one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dizuo.artifacts.errors import BlobBusy
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Blob
from dizuo.artifacts.partial import open_partial, still_names
from dizuo.core.digests import sha256_bytes

DATA = b"0123456789" * 1000
BLOB = Blob(sha256_bytes(DATA), len(DATA))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def test_bytes_are_taken_up_where_they_ended(layout: Layout) -> None:
    with open_partial(layout, BLOB) as partial:
        partial.write(DATA[:4000])
        assert not partial.is_right()
    with open_partial(layout, BLOB) as partial:
        assert partial.num_bytes == 4000
        partial.write(DATA[4000:])
        assert partial.is_right()
        partial.adopt()
    assert layout.read(BLOB.digest) == DATA
    assert list(layout.partial_directory.iterdir()) == []


def test_wrong_bytes_of_the_right_length_are_not_right(layout: Layout) -> None:
    with open_partial(layout, BLOB) as partial:
        partial.write(DATA[:-1] + b"X")
        assert not partial.is_right()
        partial.restart()
        assert partial.num_bytes == 0
        partial.write(DATA)
        assert partial.is_right()


def test_a_discarded_one_begins_from_nothing(layout: Layout) -> None:
    with open_partial(layout, BLOB) as partial:
        partial.write(DATA[:4000])
        partial.discard()
    with open_partial(layout, BLOB) as partial:
        assert partial.num_bytes == 0


def test_only_one_holds_it(layout: Layout) -> None:
    with (
        open_partial(layout, BLOB),
        pytest.raises(BlobBusy, match="Another process"),
        open_partial(Layout(layout.root), BLOB),
    ):
        pass
    with open_partial(layout, BLOB) as partial:
        assert partial.num_bytes == 0


def test_whether_a_path_still_names_an_open_file(tmp_path: Path) -> None:
    path = tmp_path / "partial"
    path.write_bytes(b"x")
    descriptor = os.open(path, os.O_RDWR)
    try:
        assert still_names(path, descriptor)
        path.rename(tmp_path / "blob")
        assert not still_names(path, descriptor)
        path.write_bytes(b"another")
        assert not still_names(path, descriptor)
    finally:
        os.close(descriptor)
