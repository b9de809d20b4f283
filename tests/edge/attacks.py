"""What may be wrong with metadata: what is done to the hub, and what the site must say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from securesystemslib.signer import CryptoSigner
from tests.edge.simulator import PAST, Simulator

from dizuo.core.errors import DizuoError
from dizuo.edge.trust_errors import (
    MetadataExpired,
    MetadataRolledBack,
    MetadataTampered,
    TrustUnreachable,
)


@dataclass(frozen=True)
class Scenario:
    name: str
    attack: Callable[[Simulator], None]
    error: type[DizuoError]


def expire(role: str) -> Callable[[Simulator], None]:
    def attack(hub: Simulator) -> None:
        if role.startswith("project-"):
            hub.projects[role].expires = PAST
        else:
            getattr(hub, role).expires = PAST
        if role == "root":
            hub.rotate()
        hub.publish()

    return attack


def forge(role: str) -> Callable[[Simulator], None]:
    """A state in which one role is signed by a key that nobody gave that role."""

    def attack(hub: Simulator) -> None:
        hub.signers[role] = CryptoSigner.generate_ed25519()
        if role == "root":
            hub.root.version += 1
            hub.publish_root()
        hub.publish()

    return attack


def flip(role: str) -> Callable[[Simulator], None]:
    """One bit of a signed file is changed on its way; its JSON stays well formed."""

    def attack(hub: Simulator) -> None:
        if role == "root":
            hub.rotate()
        hub.publish()
        url = hub.newest(role)
        changed = hub.files[url].replace(b'"version":', b'"x-version":1,"version":', 1)
        assert changed != hub.files[url]
        hub.files[url] = changed

    return attack


def garble(role: str) -> Callable[[Simulator], None]:
    def attack(hub: Simulator) -> None:
        if role == "root":
            hub.rotate()
        hub.publish()
        url = hub.newest(role)
        hub.files[url] = b'{"signed": ' + b"[" * len(hub.files[url])
        hub.files[url] = hub.files[url][: -len('{"signed": ')]

    return attack


def swap(role: str, url_of: str) -> Callable[[Simulator], None]:
    """One role's file is answered with another's."""

    def attack(hub: Simulator) -> None:
        hub.publish()
        hub.files[hub.newest(role)] = hub.files[hub.newest(url_of)]

    return attack


def lengthen(role: str) -> Callable[[Simulator], None]:
    def attack(hub: Simulator) -> None:
        hub.publish()
        hub.files[hub.newest(role)] += b" " * 6_000_000

    return attack


def roll_back_snapshot(hub: Simulator) -> None:
    """A timestamp that is newer but names an older snapshot."""
    hub.snapshot.version = 1
    hub.timestamp.snapshot_meta.version = 1
    hub.publish_timestamp()


def roll_back_role(hub: Simulator) -> None:
    """A snapshot that is newer but names an older state of the project's role."""
    hub.snapshot.meta["project-default.json"].version = 1
    hub.publish_snapshot()


def drop_role(hub: Simulator) -> None:
    """A newer snapshot that leaves the project's role out."""
    del hub.snapshot.meta["project-default.json"]
    hub.publish_snapshot()


def mix_and_match(hub: Simulator) -> None:
    """A snapshot names version n of a role, and the file of that name holds version n - 1."""
    hub.with_hashes = False
    old = hub.files[hub.newest("project-default")]
    hub.publish()
    hub.files[hub.newest("project-default")] = old


def mix_snapshot(hub: Simulator) -> None:
    hub.with_hashes = False
    old = hub.files[hub.newest("snapshot")]
    hub.publish()
    hub.files[hub.newest("snapshot")] = old


def withhold(role: str) -> Callable[[Simulator], None]:
    def attack(hub: Simulator) -> None:
        hub.publish()
        del hub.files[hub.newest(role)]

    return attack


def skip_a_root(hub: Simulator) -> None:
    """Root 3 under the name of root 2."""
    hub.rotate("root")
    hub.rotate("root")
    hub.files["/2.root.json"] = hub.files["/3.root.json"]


def rotate_without_the_old_key(hub: Simulator) -> None:
    hub.rotate("root")
    hub.old_root_signers = []
    hub.publish_root()


ROLES = ("root", "timestamp", "snapshot", "targets", "project-default")
SCENARIOS = [
    *(Scenario(f"expired {role}", expire(role), MetadataExpired) for role in ROLES),
    *(Scenario(f"forged {role}", forge(role), MetadataTampered) for role in ROLES),
    *(Scenario(f"changed {role}", flip(role), MetadataTampered) for role in ROLES),
    *(Scenario(f"garbled {role}", garble(role), MetadataTampered) for role in ROLES),
    *(Scenario(f"too long {role}", lengthen(role), MetadataTampered) for role in ROLES[1:]),
    *(Scenario(f"withheld {role}", withhold(role), TrustUnreachable) for role in ROLES[1:]),
    Scenario("snapshot for timestamp", swap("timestamp", "snapshot"), MetadataTampered),
    Scenario("targets for role", swap("project-default", "targets"), MetadataTampered),
    Scenario("other project's role", swap("project-default", "project-other"), MetadataTampered),
    Scenario("older snapshot", roll_back_snapshot, MetadataRolledBack),
    Scenario("older role", roll_back_role, MetadataRolledBack),
    Scenario("role left out", drop_role, MetadataTampered),
    Scenario("mixed role", mix_and_match, MetadataRolledBack),
    Scenario("mixed snapshot", mix_snapshot, MetadataRolledBack),
    Scenario("skipped root", skip_a_root, MetadataTampered),
    Scenario("root without its predecessor", rotate_without_the_old_key, MetadataTampered),
]
