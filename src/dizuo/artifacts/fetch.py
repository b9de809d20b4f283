"""Bringing a stack in from elsewhere: only what is missing, bounded, resumed, checked.

A fetch is told the digest and size of an index that somebody signed; everything else follows from
those bytes. A blob gets its name only when all its bytes match its digest, so whatever the source
does (cuts, corrupts, sends too much, sends nothing) the layout holds right blobs and resumable
partial files, nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dizuo.artifacts.disk import require_room, telling_full_disk
from dizuo.artifacts.errors import BlobCorrupt, FetchInterrupted, FetchTooSlow, StackRefused
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.manifests import MAX_DOCUMENT_BYTES, Index, Manifest, decode
from dizuo.artifacts.model import Blob, StackManifest
from dizuo.artifacts.partial import PartialBlob, open_partial
from dizuo.artifacts.reading import identity_of, manifest_of, target_of
from dizuo.artifacts.sources import BlobSource, BlobStream, RegistrySource
from dizuo.core.digests import require_digest, sha256_bytes
from dizuo.core.errors import TooLarge
from dizuo.core.progress import Progress, Reporter, silent

__all__ = [
    "BlobSource",
    "BlobStream",
    "FetchLimits",
    "Fetched",
    "RegistrySource",
    "fetch_stack",
]

_MAX_RESUMES = 8
_REPORTS_PER_FETCH = 200


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought: bytes of bodies that came over the wire, those thrown away included,
    and how many blobs are here that were not before."""

    bytes_fetched: int
    num_blobs: int


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How much a fetch may take.

    `max_bytes` bounds what one stack may bring; `seconds_per_transfer` bounds one request, however
    slowly its bytes drip, and since what arrived is kept a slow link needs patience, not a larger
    bound. Silence is bounded by the source (30 s in `RegistrySource`).
    """

    max_bytes: int = 1 << 40
    seconds_per_transfer: float = 3600.0


def fetch_stack(
    source: BlobSource,
    layout: Layout,
    index_digest: str,
    index_size_bytes: int,
    target: str,
    *,
    report: Reporter = silent,
    limits: FetchLimits = FetchLimits(),
    monotonic: Callable[[], float] = time.monotonic,
) -> Fetched:
    """Bring one target of a stack version into the layout: index, manifest, missing blobs.

    It does not tag. Calling it again after any error or kill goes on where it stopped. Events have
    the stage `fetch`, count bytes of missing blobs, and carry the metric `bytes_fetched`, all bytes
    from the wire so far; the last one comes also when the fetch fails.

    Args:
        index_digest, index_size_bytes: as signed.
        target: the only target whose manifest and blobs are brought.

    Raises:
        FetchInterrupted: the source cannot be reached, broke off or (as `FetchTooSlow`) takes too
            long; retry later.
        DiskFull: there is no room; retry when there is.
        BlobBusy: another process is fetching one of the blobs.
        BlobCorrupt: the source sent other bytes than the digest's, or too many.
        StackRefused, TargetMissing: the signed index is not a stack, or has no such target.
        NotInRegistry, RegistryRefused: the source does not have it, or does not let us in.
        TooLarge: the stack is larger than the limits.
    """
    fetch = _Fetch(source, layout, limits, report, monotonic)
    try:
        with telling_full_disk(f"the stack {index_digest}"):
            return fetch.bring(Blob(require_digest(index_digest), index_size_bytes), target)
    finally:
        fetch.tell(f"{fetch.num_blobs} blobs")


class _Fetch:
    """One fetch under way: where from, where to, and the counts."""

    def __init__(
        self,
        source: BlobSource,
        layout: Layout,
        limits: FetchLimits,
        report: Reporter,
        monotonic: Callable[[], float],
    ) -> None:
        self._source = source
        self._layout = layout
        self._limits = limits
        self._report = report
        self._monotonic = monotonic
        self._bytes_fetched = 0
        self._bytes_done = 0
        self._bytes_whole = 0
        self._bytes_missing = 0
        self._bytes_told = 0
        self.num_blobs = 0

    def bring(self, index: Blob, target: str) -> Fetched:
        """Everything that the target needs."""
        manifest = self._manifest(index, target)
        wanted = sorted({manifest.config, *manifest.blobs}, key=lambda blob: blob.digest)
        missing = [blob for blob in wanted if not self._layout.claim(blob)]
        self._bytes_missing = sum(blob.size_bytes for blob in missing)
        if self._bytes_missing > self._limits.max_bytes:
            raise TooLarge(
                f"The stack needs {self._bytes_missing} bytes;"
                f" {self._limits.max_bytes} may be fetched at once."
            )
        require_room(self._layout.root, self._bytes_missing - self._bytes_staged(missing))
        for blob in missing:
            self._bring_blob(blob)
        return Fetched(self._bytes_fetched, self.num_blobs)

    def tell(self, message: str) -> None:
        """Report how far it is."""
        self._bytes_told = self._bytes_fetched
        metrics = {"bytes_fetched": float(self._bytes_fetched)}
        self._report(
            Progress("fetch", self._bytes_done, self._bytes_missing, "byte", message, metrics)
        )

    def _manifest(self, blob: Blob, target: str) -> StackManifest:
        index = decode(Index, self._document(blob))
        descriptor = target_of(index, target)
        manifest = decode(Manifest, self._document(descriptor.blob))
        return manifest_of(identity_of(index), target, descriptor, manifest)

    def _bytes_staged(self, missing: list[Blob]) -> int:
        paths = [
            self._layout.partial_directory / blob.digest.removeprefix("sha256:") for blob in missing
        ]
        return sum(path.stat().st_size for path in paths if path.exists())

    def _document(self, blob: Blob) -> bytes:
        """A small document: from the layout if it is there and whole, else from the source."""
        if blob.size_bytes > MAX_DOCUMENT_BYTES:
            raise StackRefused(f"An index or manifest of {blob.size_bytes} bytes is too long.")
        if self._layout.claim(blob):
            try:
                return self._layout.read(blob.digest)
            except BlobCorrupt:
                self._layout.quarantine(blob.digest)
        data = bytearray()
        with self._source.open_manifest(blob.digest) as stream:
            for chunk in self._counted(stream.chunks):
                data += chunk
                if len(data) > blob.size_bytes:
                    raise _too_long(blob)
        if len(data) < blob.size_bytes:
            raise _cut(blob)
        if sha256_bytes(bytes(data)) != blob.digest:
            raise _wrong(blob)
        self._layout.put_bytes(bytes(data))
        self.num_blobs += 1
        return bytes(data)

    def _bring_blob(self, blob: Blob) -> None:
        with open_partial(self._layout, blob) as partial:
            resumed = partial.num_bytes > 0
            self._fill(partial)
            if resumed and not partial.is_right():
                # What an earlier attempt left may be what is wrong, so the source gets one more go.
                partial.restart()
                self._fill(partial)
            if not partial.is_right():
                partial.discard()
                raise _wrong(blob)
            partial.adopt()
        self.num_blobs += 1
        self._bytes_whole += blob.size_bytes
        self._bytes_done = self._bytes_whole

    def _fill(self, partial: PartialBlob) -> None:
        """Stream until the partial blob has its length; go on at once after an interruption, as
        long as each request brought something and none took too long."""
        resumes = 0
        while partial.num_bytes < partial.blob.size_bytes:
            before = partial.num_bytes
            try:
                self._stream(partial)
            except FetchTooSlow:
                raise
            except FetchInterrupted:
                resumes += 1
                if partial.num_bytes <= before or resumes > _MAX_RESUMES:
                    raise

    def _stream(self, partial: PartialBlob) -> None:
        blob = partial.blob
        try:
            with self._source.open_blob(blob.digest, partial.num_bytes) as stream:
                if stream.offset != partial.num_bytes:
                    partial.restart()
                    _require_beginning(stream)
                self._take(stream.chunks, partial)
        except BlobCorrupt:
            partial.discard()
            raise
        if partial.num_bytes < blob.size_bytes:
            raise _cut(blob)

    def _take(self, chunks: Iterator[bytes], partial: PartialBlob) -> None:
        for chunk in self._counted(chunks):
            if partial.num_bytes + len(chunk) > partial.blob.size_bytes:
                raise _too_long(partial.blob)
            self._bytes_done = self._bytes_whole + partial.num_bytes + len(chunk)
            if self._bytes_fetched - self._bytes_told >= self._bytes_missing // _REPORTS_PER_FETCH:
                # Told before it is kept: whoever counts misses no byte that a killed attempt left.
                self.tell(partial.blob.digest)
            partial.write(chunk)

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        deadline = self._monotonic() + self._limits.seconds_per_transfer
        for chunk in chunks:
            self._bytes_fetched += len(chunk)
            yield chunk
            if self._monotonic() > deadline:
                raise FetchTooSlow(
                    f"One transfer took over {self._limits.seconds_per_transfer:.0f} seconds.",
                    next_step="Try again; what arrived is kept.",
                )


def _require_beginning(stream: BlobStream) -> None:
    if stream.offset != 0:
        raise FetchInterrupted("The source began somewhere else than it was asked to.")


def _cut(blob: Blob) -> FetchInterrupted:
    return FetchInterrupted(
        f"The blob {blob.digest} ended early.", next_step="Try again; what arrived is kept."
    )


def _too_long(blob: Blob) -> BlobCorrupt:
    return BlobCorrupt(f"The source sent more than the {blob.size_bytes} bytes of {blob.digest}.")


def _wrong(blob: Blob) -> BlobCorrupt:
    return BlobCorrupt(
        f"The source sent other bytes than those of {blob.digest}; they are dropped."
    )
