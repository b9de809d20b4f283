"""The registry in a folder: an OCI image layout that several processes use at once.

`index.json` names what is kept: one descriptor per tag, its annotation
`org.opencontainers.image.ref.name` reading `project/name:tag`, so that
`skopeo copy --all oci:LAYOUT:project/name:tag …` finds it. Readers need no lock, since every file
appears whole; whoever changes the index, renews a blob or collects garbage holds `.lock`. A blob
that no tag leads to lives on for a grace period counted from its file's modification time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from dizuo.artifacts.disk import telling_full_disk
from dizuo.artifacts.errors import BlobCorrupt, BlobMissing, LayoutDamaged, TagTaken, UnknownTag
from dizuo.artifacts.graph import read_node
from dizuo.artifacts.locking import exclusive_lock
from dizuo.artifacts.manifests import MAX_DOCUMENT_BYTES
from dizuo.artifacts.model import Blob
from dizuo.artifacts.reference import require_repository
from dizuo.artifacts.tags import TagTable, read_tags, require_tag, write_tags
from dizuo.core.digests import require_digest, sha256_bytes, sha256_file
from dizuo.core.errors import TooLarge
from dizuo.core.files import fsync_directory, open_atomic, write_json
from dizuo.core.ids import new_id

BLOB_MODE = 0o444
"""Blobs are read-only: the files of unpacked stacks may be hard links to them."""
_LAYOUT_VERSION = "1.0.0"
_CHUNK_BYTES = 1 << 20


class Layout:
    """An OCI image layout. Opening one makes it if the folder has none.

    Raises:
        LayoutDamaged: the folder has a layout of a version this program does not read.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._index = root / "index.json"
        self._cached: tuple[tuple[int, int, int], TagTable] | None = None
        if not (root / "oci-layout").exists():
            self._create()
        self._require_version()

    def _create(self) -> None:
        self.blob_directory.mkdir(parents=True, exist_ok=True)
        with self.locked():
            if not self._index.exists():
                write_tags(self._index, TagTable(()))
            write_json(self.root / "oci-layout", {"imageLayoutVersion": _LAYOUT_VERSION})

    def _require_version(self) -> None:
        marker = (self.root / "oci-layout").read_text()
        if f'"{_LAYOUT_VERSION}"' not in marker:
            raise LayoutDamaged(f"{self.root} is not an OCI image layout {_LAYOUT_VERSION}.")

    def locked(self) -> AbstractContextManager[None]:
        """The lock of whoever changes tags or removes blobs."""
        return exclusive_lock(self.root / ".lock")

    @property
    def blob_directory(self) -> Path:
        """Where blobs lie, by their hex digest."""
        return self.root / "blobs" / "sha256"

    @property
    def corrupt_directory(self) -> Path:
        """Where damaged blobs are put aside."""
        return self.root / ".corrupt"

    @property
    def partial_directory(self) -> Path:
        """Where blobs lie that are not whole yet, by their hex digest."""
        return self.root / ".partial"

    def path(self, digest: str) -> Path:
        """Where the blob of this digest lies, or would."""
        return self.blob_directory / require_digest(digest).removeprefix("sha256:")

    def has(self, digest: str) -> bool:
        """Whether the blob is here."""
        return self.path(digest).is_file()

    def read(self, digest: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
        """The bytes of a small blob, checked against its digest.

        Raises:
            BlobMissing: it is not here.
            TooLarge: it is longer than `max_bytes`.
            BlobCorrupt: the file is not what its name says.
        """
        try:
            with self.path(digest).open("rb") as stream:
                data = stream.read(max_bytes + 1)
        except FileNotFoundError as error:
            raise missing(digest) from error
        if len(data) > max_bytes:
            raise TooLarge(f"The blob {digest} is longer than {max_bytes} bytes.")
        if sha256_bytes(data) != digest:
            raise corrupt(digest)
        return data

    def put_bytes(self, data: bytes) -> Blob:
        """Keep `data` as a blob.

        Raises:
            DiskFull: there is no room for it.
        """
        blob = Blob(sha256_bytes(data), len(data))
        if not self.claim(blob):
            path = self.path(blob.digest)
            with telling_full_disk("a blob"), open_atomic(path, mode=BLOB_MODE) as stream:
                stream.write(data)
        return blob

    def put_file(self, source: Path) -> Blob:
        """Keep a copy of a file as a blob; a file that is here already is not copied again.

        Raises:
            DiskFull: there is no room for it.
            BlobCorrupt: the file changed while it was read.
            OSError: the file cannot be read.
        """
        blob = Blob(sha256_file(source), source.stat().st_size)
        if not self.claim(blob):
            with telling_full_disk(source.name):
                self._copy(source, blob)
        return blob

    def _copy(self, source: Path, blob: Blob) -> None:
        hasher = hashlib.sha256()
        with (
            source.open("rb") as reading,
            open_atomic(self.path(blob.digest), mode=BLOB_MODE) as writing,
        ):
            while piece := reading.read(_CHUNK_BYTES):
                hasher.update(piece)
                writing.write(piece)
            if f"sha256:{hasher.hexdigest()}" != blob.digest:
                raise BlobCorrupt(f"The file {source.name} changed while it was being read.")

    def adopt(self, staged: Path, blob: Blob) -> None:
        """Give a staged file on this file system its name. The caller has checked its digest and
        made its bytes durable."""
        staged.chmod(BLOB_MODE)
        path = self.path(blob.digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, path)
        fsync_directory(path.parent)

    def claim(self, blob: Blob) -> bool:
        """Whether the blob is here in its full length; if so its grace period starts anew.

        A file of the wrong length is put aside, so that the blob can be brought in again.
        """
        with self.locked():
            try:
                size_bytes = self.path(blob.digest).stat().st_size
            except FileNotFoundError:
                return False
            if size_bytes == blob.size_bytes:
                os.utime(self.path(blob.digest))
                return True
            self.quarantine(blob.digest)
            return False

    def quarantine(self, digest: str) -> None:
        """Put a damaged blob aside, so that its name is free for a good one."""
        self.corrupt_directory.mkdir(exist_ok=True)
        path = self.path(digest)
        os.replace(path, self.corrupt_directory / f"{path.name}.{new_id()}")

    def tags_table(self) -> TagTable:
        """What `index.json` says now; read again only when the file has changed."""
        try:
            found = self._index.stat()
        except FileNotFoundError as error:
            raise LayoutDamaged(f"{self.root} has no index.json.") from error
        signature = (found.st_ino, found.st_mtime_ns, found.st_size)
        cached = self._cached
        if cached is None or cached[0] != signature:
            cached = self._cached = (signature, read_tags(self._index))
        return cached[1]

    def tag(self, repository: str, tag: str, index_digest: str, *, replace: bool = False) -> None:
        """Name a stack version (or any OCI document here). Naming it so again changes nothing.

        Raises:
            InvalidReference: the repository or the tag is not of its grammar.
            BlobMissing: the document is not here.
            StackRefused: it is neither an index nor a manifest.
            TagTaken: the tag names something else and `replace` is not set.
        """
        require_repository(repository)
        require_tag(tag)
        data = self.read(index_digest)
        media_type = read_node(data).media_type
        with self.locked():
            table = read_tags(self._index)
            taken = table.repositories.get(repository, {}).get(tag)
            if taken == index_digest:
                return
            if taken is not None and not replace:
                raise TagTaken(
                    f"{repository}:{tag} is already {taken}.", next_step="Use the next version."
                )
            blob = Blob(index_digest, len(data))
            with telling_full_disk("index.json"):
                write_tags(self._index, table.with_tag(repository, tag, media_type, blob))

    def untag(self, repository: str, tag: str) -> None:
        """Forget a tag; its blobs go with the next garbage collection. Unknown ones are ignored."""
        with self.locked():
            table = read_tags(self._index)
            remaining = table.without(repository, tag)
            if remaining != table:
                write_tags(self._index, remaining)

    def resolve(self, repository: str, tag: str) -> str:
        """The digest that a tag names.

        Raises:
            UnknownTag: there is no such repository or tag.
        """
        digest = self.tags_table().repositories.get(repository, {}).get(tag)
        if digest is None:
            raise UnknownTag(f"The registry has no {repository[:200]}:{tag[:200]}.")
        return digest

    def tags(self, repository: str) -> Mapping[str, str]:
        """Tag to digest, of one repository; empty if it is not known."""
        return self.tags_table().repositories.get(repository, {})

    def repositories(self) -> list[str]:
        """The names of all repositories, sorted."""
        return sorted(self.tags_table().repositories)


def missing(digest: str) -> BlobMissing:
    """The error for a blob that is not here."""
    return BlobMissing(f"The registry does not hold {digest}.")


def corrupt(digest: str) -> BlobCorrupt:
    """The error for a file that is not what its name says."""
    return BlobCorrupt(
        f"The stored blob {digest} is damaged.",
        next_step="Fetch or build the stack again; the damaged file is put aside.",
    )
