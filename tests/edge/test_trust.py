"""What a site trusts, and every way in which it is refused."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tests.edge.attacks import SCENARIOS, Scenario, expire
from tests.edge.directions import (
    DIGEST,
    OTHER_DIGEST,
    PATH,
    direction,
    keep_by_hand,
    pinned,
    update_to_version_2,
)
from tests.edge.simulator import FUTURE, Simulator

from dizuo.core.errors import DizuoError
from dizuo.edge.trust import (
    SignedStack,
    TrustStore,
    project_role,
    target_path,
)
from dizuo.edge.trust_errors import (
    DirectionDiffers,
    DirectionUnsigned,
    MetadataExpired,
    MetadataRolledBack,
    MetadataTampered,
    TrustRefused,
    TrustStoreUnusable,
    TrustUnreachable,
)
from dizuo.edge.wire import Direction


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


# The metadata is wrong.


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_bad_metadata_is_refused(site: TrustStore, hub: Simulator, scenario: Scenario) -> None:
    hub.sign("default", "default/meter-reading/2.json", OTHER_DIGEST)
    scenario.attack(hub)
    with pytest.raises(scenario.error) as caught:
        update_to_version_2(site, hub)
    assert caught.value.message.endswith(".")
    assert caught.value.next_step


@pytest.mark.parametrize(
    "scenario",
    [one for one in SCENARIOS if not one.name.startswith("withheld")],
    ids=lambda scenario: scenario.name,
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


def test_the_simulator_is_honest(hub: Simulator, tmp_path: Path) -> None:
    """Without an attack the scenarios' steps succeed: they fail for their attack alone."""
    assert hub.root.expires == FUTURE.replace(microsecond=0)
    store = pinned(hub, tmp_path / "honest")
    hub.sign("default", "default/meter-reading/2.json", OTHER_DIGEST)
    hub.publish()
    assert update_to_version_2(store, hub).digest == OTHER_DIGEST
