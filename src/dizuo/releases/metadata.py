"""How this project's TUF metadata is made: lifetimes, signing, and what one file says of another.

Lifetimes. `root` and `targets` are signed by people with keys that are kept away from the hub, so
they last two years. The hub renews the rest by itself when half of the time is gone: the project's
role lasts 90 days, the snapshot 30, the timestamp 7. The last is how long a site without a hub goes
on accepting directions, and the longest that somebody could hide a newer state from it: a week
covers a long holiday of the hub, and a withdrawn release is refused everywhere after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Signed, Snapshot, T, Targets, Timestamp

from dizuo.core.digests import sha256_bytes
from dizuo.releases.errors import KeysMissing, RepositoryDamaged

PROJECT_TYPE = "project"
LIFETIME_DAYS = {
    Root.type: 730,
    Targets.type: 730,
    PROJECT_TYPE: 90,
    Snapshot.type: 30,
    Timestamp.type: 7,
}


def expiry(kind: str, now_ms: int) -> datetime:
    """When metadata of this kind, signed now, expires."""
    return datetime.fromtimestamp(now_ms // 1000, UTC) + timedelta(days=LIFETIME_DAYS[kind])


def is_due(kind: str, signed: Signed, now_ms: int) -> bool:
    """Whether half of the lifetime is gone, so that it is time to sign again."""
    half = timedelta(days=LIFETIME_DAYS[kind]) / 2
    return datetime.fromtimestamp(now_ms / 1000, UTC) >= signed.expires - half


def signed_file(signed: T, signers: Sequence[CryptoSigner]) -> bytes:
    """The bytes of a metadata file with a signature of each signer."""
    metadata = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()


def meta_of(version: int, data: bytes) -> MetaFile:
    """What a snapshot or timestamp says about a file: version, length and hash."""
    return MetaFile(version, len(data), {"sha256": sha256_bytes(data).removeprefix("sha256:")})


def read_signed(path: Path) -> Signed:
    """The signed part of one of the hub's own metadata files.

    Raises:
        RepositoryDamaged: it is missing or is not TUF metadata.
    """
    try:
        signed: Signed = Metadata.from_bytes(path.read_bytes()).signed
    except (OSError, RepositoryError) as error:
        raise RepositoryDamaged(
            f"The signed metadata file {path.name} cannot be read.",
            next_step="Restore the folder `tuf` of the hub's home from a backup.",
        ) from error
    return signed


def load_signer(path: Path) -> CryptoSigner:
    """The signer of an Ed25519 key file (PEM, PKCS#8).

    Raises:
        KeysMissing: the file is absent or is not such a key.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise _missing(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _missing(path)
    return CryptoSigner(key)


def _missing(path: Path) -> KeysMissing:
    return KeysMissing(
        f"The key {path.parent.name}/{path.name} is not here or cannot be read.",
        next_step="Make keys with `dizuo keys init`, or bring the key back for this step.",
    )
