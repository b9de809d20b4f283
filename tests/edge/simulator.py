"""A TUF repository in memory, behind the real fetcher interface.

It signs whatever a scenario asks for, honest or not. `publish` makes a consistent state out of the
present roles; between two of them a scenario may change a role, drop a key, or put any bytes under
any name.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    T,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient import FetcherInterface

from dizuo.core.digests import sha256_bytes

TOP_LEVEL = ("root", "timestamp", "snapshot", "targets")
FUTURE = datetime.now(UTC) + timedelta(days=30)
PAST = datetime.now(UTC) - timedelta(seconds=5)


class Simulator(FetcherInterface):
    """One repository with the delegated roles `project-default` and `project-other`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.is_gone = False
        self.with_hashes = True
        self.signers = {name: CryptoSigner.generate_ed25519() for name in TOP_LEVEL}
        self.old_root_signers: list[CryptoSigner] = []
        self.root = Root(expires=FUTURE, consistent_snapshot=True)
        for name in TOP_LEVEL:
            self.root.add_key(self.signers[name].public_key, name)
        self.targets = Targets(expires=FUTURE, delegations=Delegations({}, {}))
        self.projects: dict[str, Targets] = {}
        self.snapshot = Snapshot(expires=FUTURE)
        self.timestamp = Timestamp(expires=FUTURE)
        for project in ("default", "other"):
            self.delegate(project, [f"{project}/*/*"])
        self.publish_root()
        self.publish()

    def delegate(self, project: str, paths: list[str]) -> None:
        """Give a project a role of its own with a fresh key."""
        name = f"project-{project}"
        self.signers[name] = CryptoSigner.generate_ed25519()
        key = self.signers[name].public_key
        delegations = self.targets.delegations
        assert delegations is not None
        assert delegations.roles is not None
        delegations.keys[key.keyid] = key
        delegations.roles[name] = DelegatedRole(name, [key.keyid], 1, True, paths)
        self.projects[name] = Targets(expires=FUTURE)

    def sign(
        self,
        project: str,
        path: str,
        digest: str,
        size_bytes: int = 100,
        family: str | None = "vision",
    ) -> None:
        """Let a project's role list a target; `publish` makes it visible."""
        custom = {} if family is None else {"custom": {"family": family, "level": "L1"}}
        algorithm, _, hex_digest = digest.partition(":")
        target = TargetFile(size_bytes, {algorithm: hex_digest}, path, custom)
        self.projects[f"project-{project}"].targets[path] = target

    def publish_root(self) -> None:
        """Show the present root, signed by its own key and by those that were replaced."""
        signers = [*self.old_root_signers, self.signers["root"]]
        self.files[f"/{self.root.version}.root.json"] = self.signed_by(self.root, signers)

    def rotate(self, *roles: str) -> None:
        """Show a new root in which these roles have fresh keys."""
        for name in roles:
            old = self.signers[name]
            self.signers[name] = CryptoSigner.generate_ed25519()
            self.root.revoke_key(old.public_key.keyid, name)
            self.root.add_key(self.signers[name].public_key, name)
            if name == "root":
                self.old_root_signers = [old]
        self.root.version += 1
        self.publish_root()

    def publish(self) -> None:
        """Show the present roles as a consistent state, each in a new version."""
        for name, role in {"targets": self.targets, **self.projects}.items():
            self._write(name, role)
            self.snapshot.meta[f"{name}.json"] = self._meta(name, role.version)
            role.version += 1
        self.publish_snapshot()

    def publish_snapshot(self) -> None:
        """Show the present snapshot and a timestamp that names it."""
        self._write("snapshot", self.snapshot)
        self.timestamp.snapshot_meta = self._meta("snapshot", self.snapshot.version)
        self.snapshot.version += 1
        self.publish_timestamp()

    def publish_timestamp(self) -> None:
        """Show the present timestamp."""
        self.files["/timestamp.json"] = self.signed_by(self.timestamp, [self.signers["timestamp"]])
        self.timestamp.version += 1

    def newest(self, name: str) -> str:
        """The address of the newest file of a role."""
        if name == "timestamp":
            return "/timestamp.json"
        found = [url for url in self.files if url.endswith(f".{name}.json")]
        return max(found, key=lambda url: int(url[1:].partition(".")[0]))

    def signed_by(self, signed: T, signers: list[CryptoSigner]) -> bytes:
        """A metadata file with these signatures."""
        metadata = Metadata(signed)
        for signer in signers:
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def _write(self, name: str, signed: T) -> None:
        self.files[f"/{signed.version}.{name}.json"] = self.signed_by(signed, [self.signers[name]])

    def _meta(self, name: str, version: int) -> MetaFile:
        if not self.with_hashes:
            return MetaFile(version)
        data = self.files[f"/{version}.{name}.json"]
        return MetaFile(version, len(data), {"sha256": sha256_bytes(data)[len("sha256:") :]})

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.requests.append(url)
        if self.is_gone:
            raise DownloadError("connection refused")
        if url not in self.files:
            raise DownloadHTTPError("not found", 404)
        return iter([self.files[url]])
