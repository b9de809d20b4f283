"""Signing root and top-level targets again before they expire: `dizuo keys renew`.

These two are signed with keys that are kept away from the hub, so a person brings the keys for this
one step. Nothing else about the two changes: the same keys, the same threshold, the same
delegations. Sites follow from the root they know to the new one, which its own keys vouch for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Root, Targets

from dizuo.core.clock import Clock, now_ms
from dizuo.releases.errors import KeysMissing
from dizuo.releases.keys import ROOT_KEYS
from dizuo.releases.metadata import expiry, load_signer, read_signed, signed_file
from dizuo.releases.repository import Repository


@dataclass(frozen=True, slots=True)
class Renewed:
    """The versions that `renew` signed, and until when, in Unix milliseconds."""

    root_version: int
    targets_version: int
    expires_ms: int


def renew(home: Path, offline: Path, *, clock: Clock = now_ms) -> Renewed:
    """Sign a hub's root and top-level targets for another two years, then snapshot and timestamp.

    Args:
        home: the hub's home; the hub may run meanwhile.
        offline: the folder with `targets.pem` and enough of the root keys.
        clock: tells when expiry is counted from.

    Raises:
        KeysMissing: the hub has no keys, or too few of those that must sign are in `offline`;
            nothing was changed.
        RepositoryDamaged: the present metadata cannot be read.
    """
    repository = Repository(home, clock=clock)
    with repository.replacing_targets() as (targets, put):
        root = cast(Root, read_signed(repository.newest_root()))
        root_signers = _signers(root, Root.type, offline, ROOT_KEYS)
        targets_signers = _signers(root, Targets.type, offline, ("targets",))
        now = clock()
        root.version, root.expires = root.version + 1, expiry(Root.type, now)
        targets.version, targets.expires = targets.version + 1, expiry(Targets.type, now)
        put(signed_file(targets, targets_signers))
        repository.publish_root(root.version, signed_file(root, root_signers))
    return Renewed(root.version, targets.version, int(root.expires.timestamp() * 1000))


def _signers(root: Root, role: str, offline: Path, names: Sequence[str]) -> list[CryptoSigner]:
    """The keys in `offline` that may sign for a role, if they are enough of them."""
    present = [offline / f"{name}.pem" for name in names if (offline / f"{name}.pem").exists()]
    trusted, threshold = root.roles[role].keyids, root.roles[role].threshold
    found = [one for one in map(load_signer, present) if one.public_key.keyid in trusted]
    if len(found) < threshold:
        raise KeysMissing(
            f"Signing {role} takes {threshold} of this hub's offline keys; {offline} holds "
            f"{len(found)}.",
            next_step="Bring the folder of offline keys: dizuo keys renew --offline PATH.",
        )
    return found
