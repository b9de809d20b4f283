"""Making a hub's keys and the first signed metadata: `dizuo keys init`.

Three root keys of which any two sign: one that is lost, or one that is stolen, is not the end. One
key for top-level targets. These four are for people and belong away from the
hub. Three more stay on it, so that a loop can close by itself: the project's, the snapshot's and
the timestamp's, each its own file so that one can be replaced, or moved to an HSM, without the
others. All are Ed25519.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from dizuo.artifacts.locking import exclusive_lock
from dizuo.core.clock import Clock, now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.files import fsync_directory, write_atomic
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.edge.trust import project_role
from dizuo.releases.errors import KeysExist
from dizuo.releases.metadata import PROJECT_TYPE, expiry, load_signer, meta_of, signed_file

ROOT_KEYS = ("root-1", "root-2", "root-3")
ROOT_THRESHOLD = 2
_OFFLINE = (*ROOT_KEYS, "targets")


@dataclass(frozen=True, slots=True)
class KeysMade:
    """What `init_keys` left: two folders of keys, and the digest of the root sites must trust."""

    offline: Path
    online: Path
    root_sha256: str

    @property
    def next_step(self) -> str:
        """What a person should do now."""
        return (
            f"Move {self.offline} to a place that is not this machine; it is needed again only "
            "within two years, to sign anew what expires then: dizuo keys renew --offline PATH."
        )


def key_paths(home: Path, project: str = DEFAULT_PROJECT) -> dict[str, Path]:
    """Where each key lies in a hub's home, by its short name (`root-1`, `snapshot`, …)."""
    offline, online = home / "keys" / "offline", home / "keys" / "online"
    paths = {name: offline / f"{name}.pem" for name in _OFFLINE}
    for name in (Snapshot.type, Timestamp.type, project_role(project)):
        paths[name] = online / f"{name}.pem"
    return paths


def init_keys(home: Path, *, clock: Clock = now_ms) -> KeysMade:
    """Make every key and the first metadata in a hub's home, under the lock of its repository.

    Both folders appear whole, keys first. If a crash came between the two, calling again finishes
    with the keys that are there.

    Raises:
        KeysExist: keys and metadata are there already.
        OSError: the home cannot be written.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with exclusive_lock(home / "tuf.lock"):
        return _init_keys(home, clock)


def _init_keys(home: Path, clock: Clock) -> KeysMade:
    keys, tuf = home / "keys", home / "tuf"
    if _has_files(tuf):
        raise _exist(tuf)
    if not _has_files(keys):
        _make_folder(keys, _new_keys(home))
    signers = {name: load_signer(path) for name, path in key_paths(home).items()}
    files = first_metadata(signers, clock())
    _make_folder(tuf, {tuf / name: data for name, data in files.items()})
    root_sha256 = sha256_bytes(files["1.root.json"])
    return KeysMade(keys / "offline", keys / "online", root_sha256)


def first_metadata(signers: Mapping[str, CryptoSigner], now_ms: int) -> dict[str, bytes]:
    """Version 1 of every role, by file name; `signers` by the names of `key_paths`."""
    role = project_role(DEFAULT_PROJECT)
    root = _first_root(signers, now_ms)
    project = Targets(expires=expiry(PROJECT_TYPE, now_ms))
    targets = Targets(expires=expiry(Targets.type, now_ms), delegations=_delegations(signers))
    files = {
        "1.root.json": signed_file(root, [signers[name] for name in ROOT_KEYS]),
        "1.targets.json": signed_file(targets, [signers["targets"]]),
        f"1.{role}.json": signed_file(project, [signers[role]]),
    }
    meta = {f"{name}.json": meta_of(1, files[f"1.{name}.json"]) for name in ("targets", role)}
    snapshot = Snapshot(expires=expiry(Snapshot.type, now_ms), meta=meta)
    files["1.snapshot.json"] = signed_file(snapshot, [signers[Snapshot.type]])
    timestamp = Timestamp(
        expires=expiry(Timestamp.type, now_ms), snapshot_meta=meta_of(1, files["1.snapshot.json"])
    )
    files["timestamp.json"] = signed_file(timestamp, [signers[Timestamp.type]])
    return files


def _first_root(signers: Mapping[str, CryptoSigner], now_ms: int) -> Root:
    root = Root(expires=expiry(Root.type, now_ms), consistent_snapshot=True)
    for name in ROOT_KEYS:
        root.add_key(signers[name].public_key, Root.type)
    root.roles[Root.type].threshold = ROOT_THRESHOLD
    for kind in (Targets.type, Snapshot.type, Timestamp.type):
        root.add_key(signers[kind].public_key, kind)
    return root


def _delegations(signers: Mapping[str, CryptoSigner]) -> Delegations:
    name = project_role(DEFAULT_PROJECT)
    key = signers[name].public_key
    role = DelegatedRole(
        name, [key.keyid], threshold=1, terminating=True, paths=[f"{DEFAULT_PROJECT}/*/*"]
    )
    return Delegations({key.keyid: key}, {name: role})


def _new_keys(home: Path) -> dict[Path, bytes]:
    return {
        path: CryptoSigner.generate_ed25519().private_bytes for path in key_paths(home).values()
    }


def _make_folder(folder: Path, files: Mapping[Path, bytes]) -> None:
    """`folder` with these files below it, readable by the owner only: all of them or nothing."""
    staging = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    for path, data in files.items():
        place = staging / path.relative_to(folder)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(place, data, mode=0o600)
    staging.chmod(0o700)
    os.replace(staging, folder)  # an empty folder of this name may be there; a filled one may not
    fsync_directory(folder.parent)


def _has_files(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _exist(folder: Path) -> KeysExist:
    return KeysExist(
        f"This hub has its keys and signed metadata already, in {folder.parent}.",
        next_step="New ones would cut off every site; these go on with: dizuo keys renew.",
    )
