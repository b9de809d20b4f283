"""What a site trusts, and every way in which it is refused."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tests.edge.simulator import FUTURE, PAST, Simulator
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import DizuoError
from dizuo.edge.trust import (
    SignedStack,
    TrustStore,
    find_root,
    project_role,
    target_path,
)
from dizuo.edge.trust_errors import (
    DirectionDiffers,
    DirectionUnsigned,
    MetadataExpired,
    MetadataRolledBack,
    MetadataTampered,
    NoTrustedRoot,
    RootAlreadyPinned,
    RootMismatch,
    TrustRefused,
    TrustStoreUnusable,
    TrustUnreachable,
)
from dizuo.edge.wire import Direction

DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
PATH = "default/meter-reading/1.json"


def direction(**changes: object) -> Direction:
    fields = {
        "served_as": "meters",
        "name": "meter-reading",
        "version": 1,
        "digest": DIGEST,
        "family": "vision",
        "target": "onnx",
    }
    return Direction.model_validate({**fields, **changes})


@pytest.fixture
def hub() -> Simulator:
    """A hub that has signed `meter-reading:1`."""
    simulator = Simulator()
    simulator.sign("default", PATH, DIGEST, size_bytes=1234)
    simulator.publish()
    return simulator


@pytest.fixture
def site(hub: Simulator, tmp_path: Path) -> TrustStore:
    """A site that trusts the hub's first root and has seen its metadata."""
    store = pinned(hub, tmp_path / "trust")
    store.refresh(hub)
    store.verify(direction(), "default")
    return store


def pinned(hub: Simulator, directory: Path) -> TrustStore:
    root = hub.files["/1.root.json"]
    store = TrustStore(directory)
    store.pin_root(root, sha256_bytes(root))
    return store


def update_to_version_2(store: TrustStore, hub: Simulator) -> SignedStack:
    store.refresh(hub)
    return store.verify(direction(version=2, digest=OTHER_DIGEST), "default")


def test_a_signed_direction_gives_digest_and_size(site: TrustStore) -> None:
    assert site.verify(direction(), "default") == SignedStack(DIGEST, 1234)


def test_target_paths_and_roles() -> None:
    assert target_path("default", "meter-reading", 7) == "default/meter-reading/7.json"
    assert project_role("snapshot") == "project-snapshot"


# What a direction may get wrong while the metadata is whole.


@pytest.mark.parametrize(
    ("wrong", "project", "error"),
    [
        (direction(digest=OTHER_DIGEST), "default", DirectionDiffers),
        (direction(family="text"), "default", DirectionDiffers),
        (direction(version=2), "default", DirectionUnsigned),
        (direction(name="other-stack"), "default", DirectionUnsigned),
        (direction(), "other", DirectionUnsigned),
        (direction(), "nobody", DirectionUnsigned),
        (direction(), "default/meter-reading", DirectionUnsigned),
        (direction(), "../default", DirectionUnsigned),
        (direction(), "*", DirectionUnsigned),
        (direction(), "", DirectionUnsigned),
    ],
)
def test_a_wrong_direction_is_refused(
    site: TrustStore, wrong: Direction, project: str, error: type[DizuoError]
) -> None:
    with pytest.raises(error) as caught:
        site.verify(wrong, project)
    assert caught.value.message.endswith(".")


def test_a_withdrawn_stack_is_refused(site: TrustStore, hub: Simulator) -> None:
    del hub.projects["project-default"].targets[PATH]
    hub.publish()
    site.refresh(hub)
    with pytest.raises(DirectionUnsigned, match="withdrawn"):
        site.verify(direction(), "default")


def test_what_another_project_signs_in_our_place_does_not_count(
    site: TrustStore, hub: Simulator
) -> None:
    hub.sign("other", "default/intruder/1.json", DIGEST)
    hub.publish()
    site.refresh(hub)
    with pytest.raises(DirectionUnsigned):
        site.verify(direction(name="intruder"), "default")


def test_a_digest_of_another_algorithm_does_not_count(site: TrustStore, hub: Simulator) -> None:
    hub.sign("default", "default/weak/1.json", "sha1:" + "a" * 40)
    hub.publish()
    site.refresh(hub)
    with pytest.raises(DirectionDiffers):
        site.verify(direction(name="weak"), "default")


@pytest.mark.parametrize("custom", [None, "text", ["vision"]])
def test_a_target_that_does_not_say_its_family_is_refused(
    site: TrustStore, hub: Simulator, custom: object
) -> None:
    path = "default/nameless/1.json"
    hub.sign("default", path, DIGEST, family=None)
    target = hub.projects["project-default"].targets[path]
    if custom is not None:
        target.unrecognized_fields["custom"] = custom
    hub.publish()
    site.refresh(hub)
    with pytest.raises(DirectionDiffers, match="family"):
        site.verify(direction(name="nameless"), "default")


# What may be wrong with the metadata: (what is done to the hub, what the site says).


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


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_bad_metadata_is_refused(site: TrustStore, hub: Simulator, scenario: Scenario) -> None:
    hub.sign("default", "default/meter-reading/2.json", OTHER_DIGEST)
    scenario.attack(hub)
    with pytest.raises(scenario.error) as caught:
        update_to_version_2(site, hub)
    assert caught.value.message.endswith(".")
    assert caught.value.next_step


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if not one.name.startswith("withheld")], ids=str
)
def test_a_new_site_refuses_too_or_sees_nothing_new(
    hub: Simulator, tmp_path: Path, scenario: Scenario
) -> None:
    """A site with no history cannot see a roll-back, but never accepts what was not signed so."""
    scenario.attack(hub)
    fresh = pinned(hub, tmp_path / "fresh")
    rolls_back = scenario.error is MetadataRolledBack or scenario.name == "role left out"
    try:
        fresh.refresh(hub)
        fresh.verify(direction(), "default")
    except TrustRefused as error:
        assert rolls_back or isinstance(error, scenario.error)  # noqa: PT017
    else:
        assert rolls_back


def test_an_older_timestamp_is_refused(site: TrustStore, hub: Simulator) -> None:
    old = hub.files["/timestamp.json"]
    hub.publish()
    site.refresh(hub)
    hub.files["/timestamp.json"] = old
    with pytest.raises(MetadataRolledBack):
        site.refresh(hub)


def test_a_frozen_hub_is_believed_until_its_timestamp_expires(
    hub: Simulator, tmp_path: Path
) -> None:
    store = pinned(hub, tmp_path / "trust")
    for _ in range(2):
        store.refresh(hub)
        assert store.verify(direction(), "default").digest == DIGEST
    expire("timestamp")(hub)
    keep_by_hand(hub, tmp_path / "trust" / "metadata")
    with pytest.raises(MetadataExpired):
        store.refresh(hub)
    with pytest.raises(MetadataExpired):
        store.verify(direction(), "default")


def test_a_refused_refresh_does_not_take_away_what_was_trusted(
    site: TrustStore, hub: Simulator
) -> None:
    hub.signers["timestamp"] = CryptoSigner.generate_ed25519()
    hub.publish()
    with pytest.raises(MetadataTampered):
        site.refresh(hub)
    assert site.verify(direction(), "default").digest == DIGEST


# The pinned root, and its rotation.


def test_only_the_root_that_was_carried_here_is_pinned(hub: Simulator, tmp_path: Path) -> None:
    root, store = hub.files["/1.root.json"], TrustStore(tmp_path / "trust")
    with pytest.raises(RootMismatch):
        store.pin_root(root, OTHER_DIGEST)
    assert not store.is_pinned
    assert not (tmp_path / "trust").exists()


def test_pinning_twice_changes_nothing_and_another_root_is_refused(
    hub: Simulator, site: TrustStore
) -> None:
    root = hub.files["/1.root.json"]
    site.pin_root(root, sha256_bytes(root))
    stranger = Simulator().files["/1.root.json"]
    with pytest.raises(RootAlreadyPinned):
        site.pin_root(stranger, sha256_bytes(stranger))
    assert site.verify(direction(), "default").digest == DIGEST


@pytest.mark.parametrize("bytes_", [b"", b"{}", b"not json", b'{"signed":{},"signatures":[]}'])
def test_what_is_not_a_root_is_not_pinned(tmp_path: Path, bytes_: bytes) -> None:
    store = TrustStore(tmp_path / "trust")
    with pytest.raises(MetadataTampered):
        store.pin_root(bytes_, sha256_bytes(bytes_))
    assert not store.is_pinned


def test_a_root_that_its_own_keys_did_not_sign_is_not_pinned(
    hub: Simulator, tmp_path: Path
) -> None:
    forged = hub.signed_by(hub.root, [CryptoSigner.generate_ed25519()])
    store = TrustStore(tmp_path / "trust")
    with pytest.raises(MetadataTampered):
        store.pin_root(forged, sha256_bytes(forged))


def test_without_a_root_nothing_is_verified(hub: Simulator, tmp_path: Path) -> None:
    store = TrustStore(tmp_path / "trust")
    with pytest.raises(NoTrustedRoot):
        store.verify(direction(), "default")
    with pytest.raises(NoTrustedRoot):
        store.refresh(hub)


def test_a_site_that_pinned_another_root_trusts_nothing_of_this_hub(
    hub: Simulator, tmp_path: Path
) -> None:
    store = pinned(Simulator(), tmp_path / "stranger")
    with pytest.raises(MetadataTampered):
        store.refresh(hub)


@pytest.mark.parametrize(
    "roles", [("root",), ("timestamp", "snapshot"), ("targets",), ("root", "timestamp", "targets")]
)
def test_root_rotation_is_followed(
    site: TrustStore, hub: Simulator, roles: tuple[str, ...]
) -> None:
    hub.rotate(*roles)
    hub.sign("default", "default/meter-reading/2.json", OTHER_DIGEST)
    hub.publish()
    site.refresh(hub)
    assert site.verify(direction(version=2, digest=OTHER_DIGEST), "default").size_bytes == 100


def test_many_rotations_are_followed_by_a_site_that_was_away(
    site: TrustStore, hub: Simulator
) -> None:
    for _ in range(5):
        hub.rotate("root", "timestamp")
    hub.publish()
    site.refresh(hub)
    assert site.verify(direction(), "default").digest == DIGEST


def test_a_key_that_was_replaced_signs_nothing_any_more(site: TrustStore, hub: Simulator) -> None:
    stolen = hub.signers["timestamp"]
    hub.rotate("timestamp")
    hub.publish()
    site.refresh(hub)
    hub.signers["timestamp"] = stolen
    hub.publish()
    with pytest.raises(MetadataTampered):
        site.refresh(hub)


def test_the_root_of_a_token_is_found_among_several(hub: Simulator, tmp_path: Path) -> None:
    hub.rotate("root")
    hub.rotate("root")
    hub.publish()
    second = hub.files["/2.root.json"]
    assert find_root(hub, sha256_bytes(second)) == second
    store = TrustStore(tmp_path / "late")
    store.pin_root(second, sha256_bytes(second))
    store.refresh(hub)
    assert store.verify(direction(), "default").digest == DIGEST


def test_a_hub_without_the_root_of_the_token_is_refused(hub: Simulator) -> None:
    with pytest.raises(RootMismatch):
        find_root(hub, OTHER_DIGEST)


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_hub_that_does_not_answer_is_not_a_wrong_hub(hub: Simulator, is_gone: bool) -> None:
    hub.is_gone = is_gone
    if not is_gone:
        hub.files["/1.root.json"] = b" " * 600_000
    expected = TrustUnreachable if is_gone else MetadataTampered
    with pytest.raises(expected):
        find_root(hub, OTHER_DIGEST)


class OneAnswer(FetcherInterface):
    """A hub that answers everything with the same."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.num_requests = 0

    def _fetch(self, url: str) -> Iterator[bytes]:
        self.num_requests += 1
        if self.status != 200:
            raise DownloadHTTPError(f"{url} was answered with {self.status}", self.status)
        return iter([b"{}"])


def test_a_hub_with_endless_roots_is_given_up() -> None:
    endless = OneAnswer(200)
    with pytest.raises(RootMismatch):
        find_root(endless, OTHER_DIGEST)
    assert endless.num_requests == 256


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_hub_that_cannot_show_its_roots_now(status: int) -> None:
    with pytest.raises(TrustUnreachable):
        find_root(OneAnswer(status), OTHER_DIGEST)


# A hub that is gone, and a site that starts again.


def test_the_hub_is_gone(site: TrustStore, hub: Simulator) -> None:
    hub.is_gone = True
    with pytest.raises(TrustUnreachable) as caught:
        site.refresh(hub)
    assert caught.value.retryable
    assert site.verify(direction(), "default").digest == DIGEST


def test_a_site_that_starts_again_verifies_from_what_it_kept(
    site: TrustStore, hub: Simulator, tmp_path: Path
) -> None:
    again = TrustStore(tmp_path / "trust")
    hub.requests.clear()
    assert again.verify(direction(), "default") == SignedStack(DIGEST, 1234)
    assert hub.requests == []
    with pytest.raises(DirectionUnsigned):
        again.verify(direction(version=9), "default")


def test_a_site_that_never_refreshed_verifies_nothing(hub: Simulator, tmp_path: Path) -> None:
    store = pinned(hub, tmp_path / "fresh")
    with pytest.raises(TrustUnreachable):
        store.verify(direction(), "default")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "project-default"])
def test_kept_metadata_that_expired_is_refused_without_the_hub(
    hub: Simulator, tmp_path: Path, role: str
) -> None:
    """The kept files are those of a hub whose role has expired by now."""
    store = pinned(hub, tmp_path / "trust")
    expire(role)(hub)
    keep_by_hand(hub, tmp_path / "trust" / "metadata")
    with pytest.raises(MetadataExpired):
        store.verify(direction(), "default")


@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets", "project-default"])
def test_kept_metadata_that_was_changed_is_refused_without_the_hub(
    site: TrustStore, tmp_path: Path, role: str
) -> None:
    path = tmp_path / "trust" / "metadata" / f"{role}.json"
    changed = json.loads(path.read_bytes())
    changed["signed"]["version"] += 1
    path.write_text(json.dumps(changed))
    again = TrustStore(tmp_path / "trust")
    with pytest.raises(MetadataTampered):
        again.verify(direction(), "default")


def test_a_role_that_was_lost_is_fetched_again(
    site: TrustStore, hub: Simulator, tmp_path: Path
) -> None:
    (tmp_path / "trust" / "metadata" / "project-default.json").unlink()
    assert site.verify(direction(), "default").digest == DIGEST
    (tmp_path / "trust" / "metadata" / "project-default.json").unlink()
    with pytest.raises(TrustUnreachable):
        TrustStore(tmp_path / "trust").verify(direction(), "default")


def test_a_changed_pinned_root_is_refused(site: TrustStore, tmp_path: Path) -> None:
    path = tmp_path / "trust" / "pinned-root.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    with pytest.raises(MetadataTampered):
        site.verify(direction(), "default")


def test_verifying_asks_the_hub_only_for_the_projects_role(hub: Simulator, tmp_path: Path) -> None:
    store = pinned(hub, tmp_path / "trust")
    store.refresh(hub)
    hub.requests.clear()
    store.verify(direction(), "default")
    assert hub.requests == ["/2.project-default.json"]
    hub.requests.clear()
    store.verify(direction(), "default")
    assert hub.requests == []


def test_a_disk_that_is_full_is_said_so(
    hub: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pinned(hub, tmp_path / "trust")

    def no_room(*_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tuf.ngclient.updater.os.replace", no_room)
    with pytest.raises(TrustStoreUnusable, match="No space left"):
        store.refresh(hub)


def keep_by_hand(hub: Simulator, metadata: Path) -> None:
    """Put the hub's newest files where a site keeps them, as if time had passed since."""
    shutil.rmtree(metadata)
    (metadata / "root_history").mkdir(parents=True)
    for role in ("timestamp", "snapshot", "targets", "project-default"):
        (metadata / f"{role}.json").write_bytes(hub.files[hub.newest(role)])


def test_the_simulator_is_honest(hub: Simulator, tmp_path: Path) -> None:
    """Without an attack the scenarios' steps succeed: they fail for their attack alone."""
    assert hub.root.expires == FUTURE.replace(microsecond=0)
    store = pinned(hub, tmp_path / "honest")
    hub.sign("default", "default/meter-reading/2.json", OTHER_DIGEST)
    hub.publish()
    assert update_to_version_2(store, hub).digest == OTHER_DIGEST
