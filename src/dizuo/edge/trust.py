"""What a site trusts: TUF metadata below a root that was pinned by a person.

`TrustStore` keeps the pinned root and the newest verified metadata in a folder. `refresh` asks the
hub for newer metadata, in the order and with the checks of the TUF client workflow (root, then
timestamp, snapshot, targets). `verify` decides about one direction, from the kept metadata at the
present time; the only I/O it may do is to fetch the project's role through the fetcher that
`refresh` was given. Both refuse with a `TrustRefused` whose code says which promise was broken.

When the hub is gone, `verify` keeps working until the timestamp expires. From then on no direction
is accepted. What a site already runs was verified when it was staged and is not touched by that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tuf.api import exceptions as tuf_errors
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from dizuo.core.digests import sha256_bytes, short
from dizuo.core.files import write_atomic
from dizuo.edge.trust_errors import (
    DirectionDiffers,
    DirectionUnsigned,
    MetadataExpired,
    MetadataRolledBack,
    MetadataTampered,
    NoTrustedRoot,
    RootAlreadyPinned,
    RootMismatch,
    TrustStoreUnusable,
    TrustUnreachable,
)
from dizuo.edge.tuf_fetcher import CacheFirst
from dizuo.edge.wire import Direction

MAX_ROOT_BYTES = 512_000
_MAX_ROOTS = 256
_PROJECT = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_METADATA_URL = "/"  # a fetcher prepends where the hub keeps its metadata


@dataclass(frozen=True, slots=True)
class SignedStack:
    """What the signature vouches for: the digest and size of the stack's OCI index."""

    digest: str
    size_bytes: int


def target_path(project: str, name: str, version: int) -> str:
    """The TUF target path of a stack version."""
    return f"{project}/{name}/{version}.json"


def project_role(project: str) -> str:
    """The name of the delegated role that signs a project's stacks.

    The prefix keeps a project called `snapshot` apart from the top-level role of that name.
    """
    return f"project-{project}"


def find_root(fetcher: FetcherInterface, expected_sha256: str) -> bytes:
    """The root metadata with this digest among those the hub offers, oldest first.

    Raises:
        RootMismatch: the hub offers no such root: it is not the hub that issued the token.
        TrustUnreachable: the hub does not answer.
    """
    with _tuf_errors_translated():
        for version in range(1, _MAX_ROOTS + 1):
            try:
                data = fetcher.download_bytes(f"/{version}.root.json", MAX_ROOT_BYTES)
            except tuf_errors.DownloadHTTPError as error:
                if error.status_code != 404:
                    raise
                break
            if sha256_bytes(data) == expected_sha256:
                return data
    raise _root_mismatch(expected_sha256)


class TrustStore:
    """The trust of one site, kept in `directory`. One process uses it at a time.

    Args:
        directory: made when it is needed; holds `pinned-root.json` and `metadata/`.
    """

    def __init__(self, directory: Path) -> None:
        self._pin = directory / "pinned-root.json"
        self._metadata = directory / "metadata"
        self._fetcher: FetcherInterface | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether a root was pinned here."""
        return self._pin.exists()

    def pin_root(self, root_bytes: bytes, expected_sha256: str) -> None:
        """Trust this root from now on, if its digest is the one a person carried here.

        Pinning the same root again changes nothing.

        Raises:
            RootMismatch: the bytes have another digest.
            MetadataTampered: they are not root metadata signed by its own keys.
            RootAlreadyPinned: this store trusts another root.
        """
        if sha256_bytes(root_bytes) != expected_sha256:
            raise _root_mismatch(expected_sha256)
        if self.is_pinned:
            if self._pin.read_bytes() == root_bytes:
                return
            raise RootAlreadyPinned(
                "This site already trusts another root.",
                next_step="To join another hub, start in an empty folder.",
            )
        self._metadata.mkdir(parents=True, exist_ok=True)
        with _tuf_errors_translated():
            self._updater(CacheFirst(self._metadata, None), root_bytes)
        write_atomic(self._pin, root_bytes)

    def refresh(self, fetcher: FetcherInterface) -> None:
        """Bring root, timestamp, snapshot and targets up to date; later calls of `verify` fetch
        the project's role through the same fetcher.

        Raises:
            TrustRefused: the metadata is tampered with, expired or rolled back; what was trusted
                before stays.
            TrustUnreachable: the hub does not answer.
            TrustStoreUnusable: the folder cannot be written.
        """
        self._fetcher = fetcher
        with _tuf_errors_translated():
            self._updater(fetcher, self._pinned()).refresh()

    def verify(self, direction: Direction, project: str) -> SignedStack:
        """The signed stack that a direction names.

        Raises:
            DirectionUnsigned: the project's role does not list it: it was never released, or was
                withdrawn.
            DirectionDiffers: what was signed under this name and version is something else.
            TrustRefused: the metadata is tampered with, expired or rolled back.
            TrustUnreachable: there is no metadata yet, or the project's role could not be fetched.
        """
        if not _PROJECT.fullmatch(project):
            raise DirectionUnsigned(f"{project!r} is not the name of a project.")
        path = target_path(project, direction.name, direction.version)
        with _tuf_errors_translated():
            updater = self._updater(CacheFirst(self._metadata, self._fetcher), self._pinned())
            signed = updater.get_targetinfo(path)
        return _decide(direction, signed)

    def _pinned(self) -> bytes:
        if not self.is_pinned:
            raise NoTrustedRoot(
                "This site trusts no root yet.", next_step="Join a hub with `dizuo agent join`."
            )
        return self._pin.read_bytes()

    def _updater(self, fetcher: FetcherInterface, root_bytes: bytes) -> Updater:
        # A new one each time: an Updater keeps the time at which it was made as "now".
        return Updater(
            metadata_dir=str(self._metadata),
            metadata_base_url=_METADATA_URL,
            fetcher=fetcher,
            config=UpdaterConfig(max_root_rotations=_MAX_ROOTS, root_max_length=MAX_ROOT_BYTES),
            bootstrap=root_bytes,
        )


def _decide(direction: Direction, signed: TargetFile | None) -> SignedStack:
    stack = f"{direction.name}:{direction.version}"
    if signed is None:
        raise DirectionUnsigned(
            f"{stack} is not signed: it was never released, or was withdrawn.",
            next_step=f"Release it at the hub: dizuo release {stack}.",
        )
    digest = f"sha256:{signed.hashes.get('sha256', '')}"
    if digest != direction.digest:
        raise DirectionDiffers(
            f"The hub directs to {stack} at {short(direction.digest)}, but {short(digest)} was "
            "signed.",
            next_step="See at the hub who changed the direction: dizuo audit verify.",
        )
    custom = signed.custom if isinstance(signed.custom, dict) else {}
    if custom.get("family") != direction.family:
        raise DirectionDiffers(
            f"The hub directs to {stack} as family {direction.family!r}, but it was signed as "
            f"{custom.get('family')!r}.",
            next_step="See at the hub who changed the direction: dizuo audit verify.",
        )
    return SignedStack(direction.digest, signed.length)


def _root_mismatch(expected_sha256: str) -> RootMismatch:
    return RootMismatch(
        f"The hub does not have the root {short(expected_sha256)} that the join token names.",
        next_step="Check that the token is from this hub, and make a new one if it is old.",
    )


@contextmanager
def _tuf_errors_translated() -> Iterator[None]:
    """Turn python-tuf's errors into ours. The order matters: subclasses first."""
    try:
        yield
    except tuf_errors.ExpiredMetadataError as error:
        raise MetadataExpired(
            f"The hub's signed metadata has expired ({error}).",
            next_step="Check the clocks of hub and site, and that the hub renews its metadata.",
        ) from error
    except tuf_errors.BadVersionNumberError as error:
        raise MetadataRolledBack(
            f"The hub shows signed metadata of the wrong version ({error}).",
            next_step="Somebody may be replaying an old state; ask the hub's operator.",
        ) from error
    except tuf_errors.DownloadLengthMismatchError as error:
        raise MetadataTampered(
            "The hub sent more metadata than was announced.",
            next_step="Ask the hub's operator; something between may be changing the bytes.",
        ) from error
    except tuf_errors.RepositoryError as error:
        raise MetadataTampered(
            f"The hub's metadata does not carry the signatures it must ({error}).",
            next_step="Ask the hub's operator; something between may be changing the bytes.",
        ) from error
    except tuf_errors.DownloadError as error:
        raise TrustUnreachable(
            f"The hub's signed metadata cannot be fetched now ({error}).",
            next_step="The site keeps serving what it has and tries again.",
        ) from error
    except OSError as error:
        raise TrustStoreUnusable(
            f"The folder of trusted metadata cannot be used ({error.strerror}).",
            next_step="Check that the disk is not full and that the agent may write there.",
        ) from error
