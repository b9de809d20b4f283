"""Uploads: whole or not there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput, TooLarge
from dizuo.datasets import uploads
from dizuo.datasets.errors import SourceRefused, UploadMissing
from dizuo.datasets.uploads import Upload


class BrokenOff(Exception):
    """The sender went away."""


async def chunks(*parts: bytes, error: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if error:
        raise error


def receive(home: Path, stream: AsyncIterator[bytes], max_bytes: int = 100) -> Upload:
    async def run() -> Upload:
        return await uploads.receive(stream, home, max_bytes)

    return anyio.run(run)


def test_an_upload_is_kept_under_its_digest(home: Path) -> None:
    kept = receive(home, chunks(b"ab", b"", b"c"))
    assert kept == Upload(sha256_bytes(b"abc"), 3)
    assert uploads.upload_path(home, kept.digest).read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("parts", "error", "raised"),
    [
        ((b"x" * 60, b"x" * 60), None, TooLarge),
        ((), None, SourceRefused),
        ((b"",), None, SourceRefused),
        ((b"half",), BrokenOff(), BrokenOff),
    ],
)
def test_what_does_not_arrive_whole_is_not_kept(
    home: Path, parts: tuple[bytes, ...], error: Exception | None, raised: type[Exception]
) -> None:
    with pytest.raises(raised):
        receive(home, chunks(*parts, error=error))
    assert not list((home / "uploads").iterdir())


def test_the_limit_itself_is_accepted(home: Path) -> None:
    assert receive(home, chunks(b"x" * 100)).size_bytes == 100


@pytest.mark.parametrize("length", ["101", "9" * 20])
def test_too_much_is_refused_when_it_is_announced(length: str) -> None:
    with pytest.raises(TooLarge, match="at most 100 bytes"):
        uploads.check_announced(length, 100)


@pytest.mark.parametrize("length", [None, "100", "", "-1", "none", "9" * 5000])
def test_what_is_not_announced_is_counted_instead(length: str | None) -> None:
    uploads.check_announced(length, 100)


def test_what_was_not_uploaded_is_not_found(home: Path) -> None:
    with pytest.raises(UploadMissing, match="There is no upload"):
        uploads.upload_path(home, "sha256:" + "0" * 64)
    for text in ("", "../../etc/passwd", "sha256:../x", "0" * 64):
        with pytest.raises(InvalidInput, match="is not a digest"):
            uploads.upload_path(home, text)


def test_old_uploads_and_parts_are_swept(home: Path) -> None:
    assert uploads.sweep(home, 0) == 0
    old, young = receive(home, chunks(b"old")), receive(home, chunks(b"young"))
    part = home / "uploads" / "tmp.part"
    part.write_bytes(b"half of one")
    for path in (part, uploads.upload_path(home, old.digest)):
        os.utime(path, (1_000, 1_000))
    assert uploads.sweep(home, 1_000_000 + uploads.KEEP_MS) == 0
    assert uploads.sweep(home, 1_000_001 + uploads.KEEP_MS) == 2
    assert [path.name for path in (home / "uploads").iterdir()] == [young.digest[7:]]
