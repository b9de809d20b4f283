"""Uploads: raw bytes kept under their digest until an import reads them."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool

from dizuo.core.digests import require_digest
from dizuo.core.errors import TooLarge
from dizuo.core.files import fsync_directory
from dizuo.datasets.errors import SourceRefused, UploadMissing

MAX_UPLOAD_BYTES = 16 * 2**30
KEEP_MS = 7 * 24 * 3600 * 1000
_PART_SUFFIX = ".part"


@dataclass(frozen=True, slots=True)
class Upload:
    """What was kept."""

    digest: str
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def check_announced(content_length: str | None, max_bytes: int = MAX_UPLOAD_BYTES) -> None:
    """Refuse by what the sender says it will send, before any of it is read.

    Args:
        content_length: the header, if there is one.
        max_bytes: the most that is accepted.

    Raises:
        TooLarge: it is more than this place accepts.
    """
    if content_length is None or not re.fullmatch("[0-9]{1,20}", content_length):
        return  # a stream of unknown length is counted as it comes
    if int(content_length) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(
        f"An upload may have at most {max_bytes:,} bytes.", next_step="Upload it in parts."
    )


async def receive(
    chunks: AsyncIterator[bytes], home: Path, max_bytes: int = MAX_UPLOAD_BYTES
) -> Upload:
    """Keep a stream of bytes under its digest; the same bytes again are the same upload.

    Writing happens in a thread. If the stream breaks off nothing is kept.

    Raises:
        TooLarge: more bytes came than are accepted.
        SourceRefused: none came.
    """
    folder = home / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    hasher, size = hashlib.sha256(), 0
    descriptor, temporary = tempfile.mkstemp(suffix=_PART_SUFFIX, dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                hasher.update(chunk)
                await run_in_threadpool(stream.write, chunk)
            if size == 0:
                raise SourceRefused("The upload is empty.", next_step="Send the file's bytes.")
            stream.flush()
            await run_in_threadpool(os.fsync, stream.fileno())
        os.replace(temporary, folder / hasher.hexdigest())
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    await run_in_threadpool(fsync_directory, folder)
    return Upload(f"sha256:{hasher.hexdigest()}", size)


def sweep(home: Path, now_ms: int, *, wanted: Collection[str] = (), keep_ms: int = KEEP_MS) -> int:
    """Remove uploads, and parts of them that a killed hub left, that nobody sent or sent again for
    `keep_ms`; a dataset does not need the upload it was made from. Those whose digest is `wanted`
    stay. Returns how many were removed."""
    folder = home / "uploads"
    if not folder.is_dir():
        return 0
    names = {digest.removeprefix("sha256:") for digest in wanted}
    deadline_ns = (now_ms - keep_ms) * 1_000_000
    num_removed = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # a part that has just got its name
            if path.name not in names and path.stat().st_mtime_ns < deadline_ns:
                path.unlink()
                num_removed += 1
    return num_removed


def upload_path(home: Path, digest: str) -> Path:
    """The file of an upload.

    Raises:
        InvalidInput: this is no digest.
        UploadMissing: nothing was uploaded under it.
    """
    path = home / "uploads" / require_digest(digest).removeprefix("sha256:")
    if not path.is_file():
        raise UploadMissing(
            f"There is no upload {digest}.", next_step="Send it first: PUT /api/v1/uploads."
        )
    return path
