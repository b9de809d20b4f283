"""Samples on disk, on their way to the hub.

One file a sample, named by the sample's digest: queueing the same sample twice is queueing it once,
and a file is removed only when the hub has said what became of it. Files sort by age, so the oldest
leave first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from dizuo.core.digests import canonical_json
from dizuo.core.files import write_together
from dizuo.edge.wire import Sample

_SUFFIX = ".json"
_log = logging.getLogger(__name__)


def encode_sample(sample: Sample) -> bytes:
    """The bytes of a sample, as they are queued, counted and sent."""
    return canonical_json(sample.model_dump(mode="json"))


@dataclass(frozen=True, slots=True)
class Leaving:
    """A sample that may leave: the bytes that leave, `encode_sample` of it, and why they may."""

    sample: Sample
    encoded: bytes
    why: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued file: the sample's digest, and its size."""

    digest: str
    path: Path
    size_bytes: int


class Outbox:
    """A folder of samples. One process uses it, threads may call at once.

    Args:
        directory: the folder; made when the first sample comes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._items = {item.digest: item for item in _found(directory)}
        self._size_bytes = sum(item.size_bytes for item in self._items.values())
        for torn in directory.glob(".*.tmp"):  # left by a killed process, never part of the queue
            torn.unlink()

    def waiting(self) -> list[Waiting]:
        """What is queued, oldest first."""
        with self._lock:
            return sorted(self._items.values(), key=lambda item: item.path.name)

    def count(self) -> int:
        """How many samples wait."""
        return len(self._items)

    def size_bytes(self) -> int:
        """The bytes that wait."""
        return self._size_bytes

    def holds(self, digest: str) -> bool:
        """Whether a sample of this digest waits."""
        return digest in self._items

    def put(self, leaving: Sequence[Leaving]) -> None:
        """Queue samples, durably; one whose digest is queued already stays as it is.

        Raises:
            OSError: one cannot be written; none of them is queued.
        """
        new = {one.sample.digest: one for one in leaving if not self.holds(one.sample.digest)}
        if not new:
            return
        names = {digest: _file_name(one.sample) for digest, one in new.items()}
        contents = {names[digest]: one.encoded for digest, one in new.items()}
        write_together(self._directory, contents, mode=0o600)
        with self._lock:
            for digest, one in new.items():
                path = self._directory / names[digest]
                self._items[digest] = Waiting(digest, path, len(one.encoded))
                self._size_bytes += len(one.encoded)

    def read(self, item: Waiting) -> Sample | None:
        """The sample of a queued file; None, and the file is dropped, if it cannot be one."""
        try:
            return Sample.model_validate_json(item.path.read_bytes())
        except (FileNotFoundError, ValidationError):
            _log.warning("dropped %s: it is not a sample of this version", item.path.name)
            self.remove([item])
            return None

    def remove(self, items: Sequence[Waiting]) -> None:
        """Forget files that the hub has answered for."""
        for item in items:
            item.path.unlink(missing_ok=True)
            with self._lock:
                if self._items.pop(item.digest, None) is not None:
                    self._size_bytes -= item.size_bytes


def _file_name(sample: Sample) -> str:
    return f"{sample.taken_ms:015d}-{sample.digest.removeprefix('sha256:')}{_SUFFIX}"


def _found(directory: Path) -> Iterator[Waiting]:
    for path in directory.glob(f"*{_SUFFIX}"):
        taken, _, hexadecimal = path.name.removesuffix(_SUFFIX).partition("-")
        if taken.isdigit():
            yield Waiting(f"sha256:{hexadecimal}", path, path.stat().st_size)
