"""The hub's TUF repository: what is signed now, kept in the folder `tuf` of its home.

Metadata files are written once under their version (`3.snapshot.json`) and never change, but for
`timestamp.json`, which is written last and replaced in one step. What the timestamp leads to is the
state; a file that it does not lead to is what a crash left, was never shown to anybody, and is
overwritten by the next change. So the repository is whole at every moment, and every change may be
repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tuf.api.metadata import Root, Snapshot, T, TargetFile, Targets, Timestamp

from dizuo.artifacts.locking import exclusive_lock
from dizuo.core.clock import Clock, now_ms
from dizuo.core.digests import sha256_file, short
from dizuo.core.files import write_atomic
from dizuo.edge.trust import project_role, target_path
from dizuo.releases.errors import KeysMissing, ProjectNotDelegated, SignedOtherwise
from dizuo.releases.metadata import (
    PROJECT_TYPE,
    expiry,
    is_due,
    load_signer,
    meta_of,
    read_signed,
    signed_file,
)

_ROLE_PREFIX = project_role("")
KEPT_VERSIONS = 20
"""How many versions of a role stay on disk, for sites in the middle of a refresh."""
OVERDUE_MS = 24 * 3_600_000
"""How long after the half of a role's lifetime the hub must have signed it again."""


@dataclass(frozen=True, slots=True)
class StackTarget:
    """What is signed about a stack version: the digest and size of its OCI index."""

    project: str
    name: str
    version: int
    digest: str
    size_bytes: int
    family: str
    level: str

    @property
    def path(self) -> str:
        """The TUF target path."""
        return target_path(self.project, self.name, self.version)

    def as_tuf(self) -> TargetFile:
        """The entry of the project's role."""
        hashes = {"sha256": self.digest.removeprefix("sha256:")}
        custom = {"custom": {"family": self.family, "level": self.level}}
        return TargetFile(self.size_bytes, hashes, self.path, custom)


@dataclass(slots=True)
class _State:
    """What the timestamp leads to."""

    timestamp: Timestamp
    snapshot: Snapshot
    projects: dict[str, Targets] = field(default_factory=dict)


class Repository:
    """Signs for one hub. Safe for several processes: each change holds the lock file `tuf.lock`.

    Args:
        home: the hub's home, in which `init_keys` made keys and metadata.
        clock: tells when expiry is counted from.
    """

    def __init__(self, home: Path, *, clock: Clock = now_ms) -> None:
        self.directory = home / "tuf"
        self._keys = home / "keys" / "online"
        self._lock = home / "tuf.lock"
        self._clock = clock

    @property
    def is_ready(self) -> bool:
        """Whether keys and metadata were made."""
        return (self.directory / "timestamp.json").exists()

    def root_sha256(self) -> str:
        """The digest of the newest root: what join tokens carry.

        Raises:
            KeysMissing: there are no keys yet.
        """
        return sha256_file(self.newest_root())

    def roots(self) -> list[Path]:
        """The file of every root, oldest first; none while there are no keys yet."""
        found = self.directory.glob("*.root.json")
        return sorted(found, key=lambda path: int(path.name.split(".")[0]))

    def newest_root(self) -> Path:
        """The file of the newest root.

        Raises:
            KeysMissing: there are no keys yet.
        """
        roots = self.roots()
        if not roots:
            raise KeysMissing(
                "This hub has no signing keys yet.", next_step="Make them: dizuo keys init."
            )
        return roots[-1]

    def targets(self, project: str) -> dict[str, str]:
        """What is signed for a project now: target path to digest.

        Raises:
            ProjectNotDelegated: no key was given to the project.
        """
        role = self._role(self._load(), project)
        return {path: f"sha256:{one.hashes['sha256']}" for path, one in role.targets.items()}

    def add_target(self, stack: StackTarget) -> bool:
        """Sign a stack version. Returns whether anything changed: signing it again does nothing.

        Raises:
            SignedOtherwise: another digest is signed under this name and version.
            ProjectNotDelegated: no key was given to the project.
            KeysMissing: an online key is not here.
        """

        def change(role: Targets) -> bool:
            known = role.targets.get(stack.path)
            wanted = stack.as_tuf()
            if known is None:
                role.targets[stack.path] = wanted
                return True
            if known.hashes != wanted.hashes:
                raise SignedOtherwise(
                    f"{stack.name}:{stack.version} is signed already as "
                    f"{short(known.hashes['sha256'])}, not {short(stack.digest)}.",
                    next_step="Build a new version; a version's content never changes.",
                )
            return False

        return self._edit(stack.project, change)

    def remove_target(self, project: str, name: str, version: int) -> bool:
        """Take a signature back. Returns whether there was one.

        Raises:
            ProjectNotDelegated: no key was given to the project.
            KeysMissing: an online key is not here.
        """
        path = target_path(project, name, version)
        return self._edit(project, lambda role: role.targets.pop(path, None) is not None)

    def refresh(self) -> tuple[str, ...]:
        """Sign again whatever has used up half of its lifetime; the names of those roles.

        Root and top-level targets are not among them: their keys are with people.

        Raises:
            KeysMissing: an online key is not here.
        """
        with exclusive_lock(self._lock):
            state, now = self._load(), self._clock()
            due = [p for p, role in state.projects.items() if is_due(PROJECT_TYPE, role, now)]
            snapshot_due = bool(due) or is_due(Snapshot.type, state.snapshot, now)
            if not snapshot_due and not is_due(Timestamp.type, state.timestamp, now):
                return ()
            for project in due:
                self._write_project(state, project)
            if snapshot_due:
                self._write_snapshot(state)
            self._write_timestamp(state)
        names = [project_role(project) for project in due]
        return (*names, *([Snapshot.type] if snapshot_due else []), Timestamp.type)

    @contextmanager
    def replacing_targets(self) -> Iterator[tuple[Targets, Callable[[bytes], None]]]:
        """The top-level targets, to be changed, and what publishes them once they are signed with
        a key that is not here. Nobody else signs meanwhile."""
        with exclusive_lock(self._lock):
            state = self._load()
            targets = cast(Targets, read_signed(self._versioned(state.snapshot, Targets.type)))

            def put(data: bytes) -> None:
                write_atomic(self.directory / f"{targets.version}.{Targets.type}.json", data)
                state.snapshot.meta[f"{Targets.type}.json"] = meta_of(targets.version, data)
                self._write_snapshot(state)
                self._write_timestamp(state)

            yield targets, put

    def publish_root(self, version: int, data: bytes) -> None:
        """Add a root that was signed elsewhere. Roots are never removed: sites follow them one by
        one."""
        write_atomic(self.directory / f"{version}.root.json", data)

    def expiries_ms(self) -> dict[str, int]:
        """When each role's present metadata expires, in Unix milliseconds."""
        state = self._load()
        roles = {
            Root.type: read_signed(self.newest_root()),
            Targets.type: read_signed(self._versioned(state.snapshot, Targets.type)),
            Snapshot.type: state.snapshot,
            Timestamp.type: state.timestamp,
            **{project_role(name): role for name, role in state.projects.items()},
        }
        return {name: int(role.expires.timestamp() * 1000) for name, role in roles.items()}

    def overdue(self) -> tuple[str, ...]:
        """The roles that `refresh` should have signed again more than `OVERDUE_MS` ago."""
        state, then = self._load(), self._clock() - OVERDUE_MS
        roles = [
            (Timestamp.type, Timestamp.type, state.timestamp),
            (Snapshot.type, Snapshot.type, state.snapshot),
            *((project_role(name), PROJECT_TYPE, role) for name, role in state.projects.items()),
        ]
        return tuple(name for name, kind, role in roles if is_due(kind, role, then))

    def _edit(self, project: str, change: Callable[[Targets], bool]) -> bool:
        with exclusive_lock(self._lock):
            state = self._load()
            if not change(self._role(state, project)):
                return False
            self._write_project(state, project)
            self._write_snapshot(state)
            self._write_timestamp(state)
        return True

    def _load(self) -> _State:
        self.newest_root()  # says that there are no keys yet, rather than that a file is missing
        timestamp = cast(Timestamp, read_signed(self.directory / "timestamp.json"))
        version = timestamp.snapshot_meta.version
        snapshot = cast(Snapshot, read_signed(self.directory / f"{version}.snapshot.json"))
        state = _State(timestamp, snapshot)
        for file_name in snapshot.meta:
            name = file_name.removesuffix(".json")
            if name.startswith(_ROLE_PREFIX):
                role = read_signed(self._versioned(snapshot, name))
                state.projects[name.removeprefix(_ROLE_PREFIX)] = cast(Targets, role)
        return state

    def _versioned(self, snapshot: Snapshot, name: str) -> Path:
        return self.directory / f"{snapshot.meta[f'{name}.json'].version}.{name}.json"

    def _role(self, state: _State, project: str) -> Targets:
        if project not in state.projects:
            raise ProjectNotDelegated(
                f"The project {project!r} has no signing key.",
                next_step="dizuo keys init gives the project default a key; work in that one.",
            )
        return state.projects[project]

    def _write_project(self, state: _State, project: str) -> None:
        role, name = state.projects[project], project_role(project)
        role.version += 1
        role.expires = expiry(PROJECT_TYPE, self._clock())
        data = self._write_version(role, name)
        state.snapshot.meta[f"{name}.json"] = meta_of(role.version, data)

    def _write_snapshot(self, state: _State) -> None:
        snapshot = state.snapshot
        snapshot.version += 1
        snapshot.expires = expiry(Snapshot.type, self._clock())
        data = self._write_version(snapshot, Snapshot.type)
        state.timestamp.snapshot_meta = meta_of(snapshot.version, data)

    def _write_timestamp(self, state: _State) -> None:
        state.timestamp.version += 1
        state.timestamp.expires = expiry(Timestamp.type, self._clock())
        self._write("timestamp.json", state.timestamp, Timestamp.type)

    def _write_version(self, signed: T, name: str) -> bytes:
        data = self._write(f"{signed.version}.{name}.json", signed, name)
        outdated = self.directory / f"{signed.version - KEPT_VERSIONS}.{name}.json"
        outdated.unlink(missing_ok=True)
        return data

    def _write(self, file_name: str, signed: T, key: str) -> bytes:
        data = signed_file(signed, [load_signer(self._keys / f"{key}.pem")])
        write_atomic(self.directory / file_name, data)
        return data
