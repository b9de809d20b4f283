"""Renewing what people sign, as the sites of a hub live through it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.cli.door import dizuo, ok
from tests.releases.stacks import DAY_MS, HubClock
from tests.releases.test_repository import STACK, FolderFetcher, accepts, snapshot_of
from tuf.api.metadata import Metadata, Root

from dizuo.core.clock import now_ms
from dizuo.edge.trust import TrustStore, find_root
from dizuo.edge.trust_errors import MetadataExpired
from dizuo.releases.errors import KeysMissing
from dizuo.releases.keys import init_keys
from dizuo.releases.renewal import renew
from dizuo.releases.repository import Repository


def joined(repository: Repository, directory: Path) -> TrustStore:
    """A site that pins the newest root."""
    site, digest = TrustStore(directory), repository.root_sha256()
    site.pin_root(find_root(FolderFetcher(repository.directory), digest), digest)
    return site


@pytest.fixture
def offline(home: Path, tmp_path: Path) -> Path:
    """The offline keys, away from the hub."""
    return Path(shutil.move(home / "keys" / "offline", tmp_path / "safe"))


def test_sites_old_and_new_follow(
    repository: Repository, home: Path, offline: Path, tmp_path: Path
) -> None:
    repository.add_target(STACK)
    fetcher = FolderFetcher(repository.directory)
    refreshed, unrefreshed = joined(repository, tmp_path / "a"), joined(repository, tmp_path / "b")
    assert accepts(refreshed, fetcher, STACK)
    renewed = [renew(home, offline) for _ in range(3)][-1]
    assert (renewed.root_version, renewed.targets_version) == (4, 4)
    for site in (refreshed, unrefreshed, joined(repository, tmp_path / "c")):
        assert accepts(site, fetcher, STACK)
    assert (repository.directory / "1.root.json").exists()
    assert repository.remove_target(STACK.project, STACK.name, STACK.version)
    assert not accepts(refreshed, fetcher, STACK)


def test_what_has_expired_is_good_for_two_more_years(tmp_path: Path) -> None:
    home, long_ago = tmp_path / "home", now_ms() - 740 * DAY_MS
    made = init_keys(home, clock=lambda: long_ago)
    repository = Repository(home)
    repository.add_target(STACK)
    fetcher, site = FolderFetcher(repository.directory), joined(repository, tmp_path / "site")
    with pytest.raises(MetadataExpired):
        site.refresh(fetcher)
    renewed = renew(home, made.offline)
    assert accepts(site, fetcher, STACK)
    expiries = repository.expiries_ms()
    assert expiries["root"] == expiries["targets"] == renewed.expires_ms
    assert 729 * DAY_MS < renewed.expires_ms - now_ms() <= 730 * DAY_MS


def test_two_root_keys_are_enough_and_both_sign(
    repository: Repository, home: Path, offline: Path, clock: HubClock
) -> None:
    (offline / "root-2.pem").unlink()
    clock.pass_days(100)
    renew(home, offline, clock=clock)
    first = Metadata[Root].from_bytes((repository.directory / "1.root.json").read_bytes())
    second = Metadata[Root].from_bytes((repository.directory / "2.root.json").read_bytes())
    assert len(second.signatures) == 2
    first.verify_delegate("root", second)
    second.verify_delegate("root", second)


@pytest.mark.parametrize(
    "absent",
    [("root-1", "root-3"), ("targets",), ("root-1", "root-2", "root-3", "targets")],
)
def test_without_enough_keys_nothing_changes(
    repository: Repository, home: Path, offline: Path, absent: tuple[str, ...]
) -> None:
    for name in absent:
        (offline / f"{name}.pem").unlink()
    before = snapshot_of(repository)
    with pytest.raises(KeysMissing, match="of this hub's offline keys") as refused:
        renew(home, offline)
    assert "--offline" in refused.value.next_step
    assert snapshot_of(repository) == before


def test_another_hubs_keys_sign_nothing(repository: Repository, home: Path, tmp_path: Path) -> None:
    other = init_keys(tmp_path / "other")
    before = snapshot_of(repository)
    with pytest.raises(KeysMissing, match=r"takes 2 of this hub's offline keys; .* holds 0"):
        renew(home, other.offline)
    assert snapshot_of(repository) == before


def test_without_the_online_keys_nothing_is_published(
    repository: Repository, home: Path, offline: Path
) -> None:
    (home / "keys" / "online" / "snapshot.pem").unlink()
    with pytest.raises(KeysMissing):
        renew(home, offline)
    assert not (repository.directory / "2.root.json").exists()
    assert repository.targets("default") == {}


def test_a_home_without_keys_has_nothing_to_renew(tmp_path: Path) -> None:
    with pytest.raises(KeysMissing, match="no signing keys yet"):
        renew(tmp_path, tmp_path)


def test_the_command(home: Path, offline: Path) -> None:
    refused = dizuo("keys", "renew", "--home", str(home))
    assert refused.status == 1
    assert "dizuo keys renew --offline PATH" in refused.err
    said = ok("keys", "renew", "--home", str(home), "--offline", str(offline), "--json")
    assert json.loads(said.out)["root_version"] == 2
    shutil.move(offline, home / "keys" / "offline")
    assert "version 3" in ok("keys", "renew", "--home", str(home)).out
