"""What is signed, through the eyes of a site."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.releases.stacks import HubClock, digest_of
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

import dizuo.releases.repository as repository_module
from dizuo.core.files import write_atomic
from dizuo.edge.trust import TrustStore, find_root
from dizuo.edge.trust_errors import DirectionUnsigned
from dizuo.edge.wire import Direction
from dizuo.releases.errors import KeysMissing, ProjectNotDelegated, SignedOtherwise
from dizuo.releases.repository import Repository, StackTarget

STACK = StackTarget("default", "meter-reading", 1, digest_of("one"), 1234, "vision", "L1")


class FolderFetcher(FetcherInterface):
    """Reads a repository's folder as `/tuf` serves it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = self._directory / url.removeprefix("/")
        if not path.exists():
            raise DownloadHTTPError("not found", 404)
        return iter([path.read_bytes()])


@pytest.fixture
def fetcher(repository: Repository) -> FolderFetcher:
    return FolderFetcher(repository.directory)


@pytest.fixture
def site(repository: Repository, fetcher: FolderFetcher, tmp_path: Path) -> TrustStore:
    """A site that has pinned this hub's root."""
    store = TrustStore(tmp_path / "site")
    digest = repository.root_sha256()
    store.pin_root(find_root(fetcher, digest), digest)
    return store


def accepts(site: TrustStore, fetcher: FolderFetcher, stack: StackTarget) -> bool:
    """Whether a site accepts a direction to the stack now."""
    direction = Direction(
        served_as=stack.name,
        name=stack.name,
        version=stack.version,
        digest=stack.digest,
        family=stack.family,
        target="onnx",
    )
    site.refresh(fetcher)
    try:
        signed = site.verify(direction, stack.project)
    except DirectionUnsigned:
        return False
    return (signed.digest, signed.size_bytes) == (stack.digest, stack.size_bytes)


def test_sign_and_take_back(
    repository: Repository, site: TrustStore, fetcher: FolderFetcher
) -> None:
    assert not accepts(site, fetcher, STACK)
    assert repository.add_target(STACK)
    assert accepts(site, fetcher, STACK)
    assert repository.targets("default") == {STACK.path: STACK.digest}
    assert repository.remove_target("default", STACK.name, STACK.version)
    assert not accepts(site, fetcher, STACK)
    assert repository.targets("default") == {}


def test_repeating_changes_nothing(repository: Repository) -> None:
    repository.add_target(STACK)
    before = snapshot_of(repository)
    assert not repository.add_target(STACK)
    assert not repository.remove_target("default", "never-signed", 1)
    assert snapshot_of(repository) == before


def test_a_version_is_never_signed_as_something_else(repository: Repository) -> None:
    repository.add_target(STACK)
    before = snapshot_of(repository)
    with pytest.raises(SignedOtherwise):
        repository.add_target(replace(STACK, digest=digest_of("two")))
    assert snapshot_of(repository) == before


def test_a_project_without_a_key_signs_nothing(repository: Repository) -> None:
    with pytest.raises(ProjectNotDelegated):
        repository.add_target(replace(STACK, project="other"))
    with pytest.raises(ProjectNotDelegated):
        repository.targets("other")


def test_without_keys_there_is_no_repository(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert not repository.is_ready
    known = (repository.expiries_ms, repository.overdue)
    for call in (repository.root_sha256, repository.refresh, *known):
        with pytest.raises(KeysMissing, match="keys init"):
            call()


def test_a_key_that_is_gone_changes_nothing(repository: Repository, home: Path) -> None:
    (home / "keys" / "online" / "project-default.pem").unlink()
    before = snapshot_of(repository)
    with pytest.raises(KeysMissing):
        repository.add_target(STACK)
    assert snapshot_of(repository) == before


def test_two_versions_side_by_side(
    repository: Repository, site: TrustStore, fetcher: FolderFetcher
) -> None:
    second = replace(STACK, version=2, digest=digest_of("two"))
    repository.add_target(STACK)
    repository.add_target(second)
    assert accepts(site, fetcher, STACK)
    assert accepts(site, fetcher, second)


# A crash at each write: the next change heals it, and a site never sees a broken state.


class Crash(BaseException):
    """The process ends here."""


def crash_at(monkeypatch: pytest.MonkeyPatch, nth: int, *, after: bool) -> None:
    """Let the process end before or after its nth write."""
    count = iter(range(1, 100))

    def write(path: Path, data: bytes) -> None:
        here = next(count) == nth
        if here and not after:
            raise Crash
        write_atomic(path, data)
        if here:
            raise Crash

    monkeypatch.setattr(repository_module, "write_atomic", write)


@pytest.mark.parametrize("moment", [(n, after) for n in (1, 2, 3) for after in (False, True)])
def test_a_crash_at_any_write_heals(
    repository: Repository,
    site: TrustStore,
    fetcher: FolderFetcher,
    monkeypatch: pytest.MonkeyPatch,
    moment: tuple[int, bool],
) -> None:
    nth, after = moment
    first = replace(STACK, version=9, digest=digest_of("nine"))
    repository.add_target(first)
    with monkeypatch.context() as patch:
        crash_at(patch, nth, after=after)
        with pytest.raises(Crash):
            repository.add_target(STACK)
    is_complete = nth == 3 and after
    assert accepts(site, fetcher, STACK) is is_complete
    assert accepts(site, fetcher, first)
    assert repository.add_target(STACK) is not is_complete
    assert accepts(site, fetcher, STACK)
    assert accepts(site, fetcher, first)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_what_a_crash_left_is_not_signed_by_the_next_change(
    repository: Repository,
    site: TrustStore,
    fetcher: FolderFetcher,
    monkeypatch: pytest.MonkeyPatch,
    nth: int,
) -> None:
    with monkeypatch.context() as patch:
        crash_at(patch, nth, after=False)
        with pytest.raises(Crash):
            repository.add_target(STACK)
    other = replace(STACK, name="other-stack", digest=digest_of("other"))
    repository.add_target(other)
    assert accepts(site, fetcher, other)
    assert not accepts(site, fetcher, STACK)


def test_several_processes_may_sign_at_once(
    repository: Repository, home: Path, site: TrustStore, fetcher: FolderFetcher
) -> None:
    stacks = [replace(STACK, version=n, digest=digest_of(str(n))) for n in range(1, 9)]
    threads = [
        threading.Thread(target=Repository(home).add_target, args=(stack,)) for stack in stacks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert repository.targets("default") == {stack.path: stack.digest for stack in stacks}
    assert all(accepts(site, fetcher, stack) for stack in stacks)


# Freshness.


@pytest.mark.parametrize(
    ("days", "renewed"),
    [
        (0, ()),
        (3, ()),
        (4, ("timestamp",)),
        (14, ("timestamp",)),
        (16, ("snapshot", "timestamp")),
        (46, ("project-default", "snapshot", "timestamp")),
        (300, ("project-default", "snapshot", "timestamp")),
    ],
)
def test_the_hub_renews_what_used_up_half_of_its_time(
    repository: Repository, clock: HubClock, days: float, renewed: tuple[str, ...]
) -> None:
    clock.pass_days(days)
    before = repository.expiries_ms()
    assert repository.refresh() == renewed
    after = repository.expiries_ms()
    assert {name for name in after if after[name] != before[name]} == set(renewed)
    assert repository.refresh() == ()


@pytest.mark.parametrize(
    ("days", "overdue"),
    [
        (4.4, ()),
        (4.6, ("timestamp",)),
        (15.9, ("timestamp",)),
        (16.1, ("timestamp", "snapshot")),
        (46.1, ("timestamp", "snapshot", "project-default")),
        (800, ("timestamp", "snapshot", "project-default")),
    ],
)
def test_what_was_not_signed_again_in_time_is_known(
    repository: Repository, clock: HubClock, days: float, overdue: tuple[str, ...]
) -> None:
    clock.pass_days(days)
    assert repository.overdue() == overdue
    repository.refresh()
    assert repository.overdue() == ()


def test_a_renewed_repository_is_still_accepted(
    repository: Repository, clock: HubClock, site: TrustStore, fetcher: FolderFetcher
) -> None:
    repository.add_target(STACK)
    assert accepts(site, fetcher, STACK)
    for _ in range(20):
        clock.pass_days(4)
        repository.refresh()
    assert accepts(site, fetcher, STACK)


def test_the_people_s_keys_last_two_years(repository: Repository, clock: HubClock) -> None:
    expiries = repository.expiries_ms()
    for name in ("root", "targets"):
        days = (expiries[name] - clock()) / (24 * 3600 * 1000)
        assert 729 < days <= 730


def test_old_metadata_is_cleared_away(repository: Repository) -> None:
    for version in range(1, 60):
        repository.add_target(replace(STACK, version=version, digest=digest_of(str(version))))
    snapshots = list(repository.directory.glob("*.snapshot.json"))
    roles = list(repository.directory.glob("*.project-default.json"))
    assert len(snapshots) == len(roles) == repository_module.KEPT_VERSIONS
    assert (repository.directory / "1.root.json").exists()
    assert (repository.directory / "1.targets.json").exists()


def test_a_restored_home_goes_on(repository: Repository, home: Path, tmp_path: Path) -> None:
    repository.add_target(STACK)
    shutil.copytree(home, tmp_path / "restored")
    restored = Repository(tmp_path / "restored")
    assert restored.targets("default") == {STACK.path: STACK.digest}
    assert not restored.add_target(STACK)


def snapshot_of(repository: Repository) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in repository.directory.iterdir()}
