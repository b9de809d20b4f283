"""The agent's folder: what lies where, who may work in it, and its small files.

site.json        who this site is and its two credentials (readable by the owner only)
agent.lock       held while an agent works here
tuf/             trusted metadata
layout/          blobs, an OCI image layout
generations/N/   the stacks of generation N laid out, `generation.json` written last
active.json      which generation serves: changed only when that generation is known to be good
fetched.json     how many bytes came over the wire for the generation that is being fetched
outbox/          samples on their way to the hub
budget.json      how many bytes of samples today has used
egress.jsonl     what was let out and what was denied, one JSON object a line;
                 older lines in egress.jsonl.1
status.json      what the agent does now, for `dizuo agent status`
engine.log       what engine processes print; older lines in engine.log.1
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dizuo.agent.errors import HomeDamaged, HomeInUse, HomeRefused, NotJoined
from dizuo.core.files import write_json

_FORMAT = 1
_SIGNS_OF_A_HUB = ("hub.lock", "hub.db", "keys")
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Enrolment:
    """Who this site is to its hub, and the credentials it was given. Secrets stay out of repr."""

    hub_url: str
    site_id: str
    site_name: str
    project: str
    edge_credential: str = field(repr=False)
    registry_credential: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Active:
    """Which generation serves after a start, which one it replaced, and what updates cost.

    `generation` None means that none has ever been good. `bytes_first_install` came over the wire
    for the first generation, `bytes_last_update` for the newest after it (0 until there is one).
    """

    generation: int | None = None
    previous: int | None = None
    bytes_first_install: int = 0
    bytes_last_update: int = 0


@dataclass(frozen=True, slots=True)
class FetchedCount:
    """How many bytes came over the wire for one generation, over all attempts: what a killed
    attempt brought was paid for too. One number is kept, that of the newest generation."""

    path: Path
    generation: int

    def read(self) -> int:
        """The bytes so far; 0 where nobody counted, or what was counted cannot be read."""
        try:
            value = read_json(self.path) or {}
        except HomeDamaged:
            return 0
        return int(value.get("bytes", 0)) if value.get("generation") == self.generation else 0

    def add(self, num_bytes: int) -> None:
        """So many more.

        Raises:
            OSError: it cannot be written.
        """
        if num_bytes:
            total = self.read() + num_bytes
            write_json(
                self.path, {"format": _FORMAT, "generation": self.generation, "bytes": total}
            )


@dataclass(frozen=True, slots=True)
class AgentHome:
    """Paths under one root. Making one touches nothing."""

    root: Path

    @property
    def site_file(self) -> Path:
        """Enrolment."""
        return self.root / "site.json"

    @property
    def tuf(self) -> Path:
        """Trusted metadata."""
        return self.root / "tuf"

    @property
    def layout(self) -> Path:
        """Blobs."""
        return self.root / "layout"

    @property
    def generations(self) -> Path:
        """Unpacked stacks, one folder a generation."""
        return self.root / "generations"

    @property
    def active_file(self) -> Path:
        """The pointer to the generation that serves."""
        return self.root / "active.json"

    @property
    def outbox(self) -> Path:
        """Samples on their way."""
        return self.root / "outbox"

    def fetched(self, generation: int) -> FetchedCount:
        """The count of what was fetched for a generation."""
        return FetchedCount(self.root / "fetched.json", generation)

    @property
    def budget_file(self) -> Path:
        """Bytes of samples queued today."""
        return self.root / "budget.json"

    @property
    def egress_log(self) -> Path:
        """What was let out and what was denied."""
        return self.root / "egress.jsonl"

    @property
    def status_file(self) -> Path:
        """What the agent does now."""
        return self.root / "status.json"

    @property
    def engine_log(self) -> Path:
        """What engine processes print."""
        return self.root / "engine.log"

    def create(self) -> None:
        """Make the folder, closed to others: it holds credentials and what cameras saw.

        Raises:
            HomeRefused: it is not a folder, or cannot be made.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise HomeRefused(
                f"The folder {self.root} cannot be used: {error.strerror}.",
                next_step="Choose another with --home or DIZUO_AGENT_HOME.",
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only agent in this folder; the kernel lets go of the lock when a process dies.

        Raises:
            HomeInUse: another process holds it.
            HomeRefused: the folder cannot be made, or is a hub's.
        """
        self._require_no_hub()
        self.create()
        descriptor = os.open(self.root / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise HomeInUse(
                    f"Another agent works in {self.root}.",
                    next_step="Stop it, or give this one a folder of its own with --home.",
                ) from error
            yield
        finally:
            os.close(descriptor)

    def _require_no_hub(self) -> None:
        """A hub keeps other things under the same names, and an agent would clear them away."""
        if any((self.root / name).exists() for name in _SIGNS_OF_A_HUB):
            raise HomeRefused(
                f"{self.root} is a hub's folder.",
                next_step="Give the agent a folder of its own with --home or DIZUO_AGENT_HOME.",
            )

    def is_in_use(self) -> bool:
        """Whether an agent works in this folder now."""
        try:
            descriptor = os.open(self.root / "agent.lock", os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def read_enrolment(self) -> Enrolment:
        """Who this site is.

        Raises:
            NotJoined: nobody yet.
            HomeDamaged: the file cannot be read.
        """
        value = read_json(self.site_file)
        if value is None:
            raise NotJoined(
                f"{self.root} has not joined a hub.",
                next_step="Run dizuo agent join TOKEN --name NAME with a token from your hub.",
            )
        return parse_fields(Enrolment, value, self.site_file)

    def write_enrolment(self, enrolment: Enrolment) -> None:
        """Keep who this site is; from then on it has joined."""
        write_json(self.site_file, {"format": _FORMAT, **asdict(enrolment)}, mode=0o600)

    def read_active(self) -> Active:
        """Which generation serves.

        Raises:
            HomeDamaged: the file cannot be read.
        """
        value = read_json(self.active_file)
        return Active() if value is None else parse_fields(Active, value, self.active_file)

    def write_active(self, active: Active) -> None:
        """Move the pointer."""
        write_json(self.active_file, {"format": _FORMAT, **asdict(active)})


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file of this folder; None where there is no file.

    Raises:
        HomeDamaged: it is not one, or of a format this version does not know.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(value, dict) or value.pop("format", None) != _FORMAT:
        raise _damaged(path)
    return value


def parse_fields(kind: type[_T], value: Mapping[str, Any], path: Path) -> _T:
    """A dataclass from the fields of a file.

    Raises:
        HomeDamaged: fields are missing or unknown.
    """
    try:
        return kind(**value)
    except TypeError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> HomeDamaged:
    return HomeDamaged(
        f"{path} cannot be read.",
        next_step="Restore it from a backup, or join again with a fresh folder.",
    )
