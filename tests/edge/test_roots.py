"""The pinned root, and its rotation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tests.edge.directions import DIGEST, OTHER_DIGEST, direction, pinned
from tests.edge.simulator import Simulator
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from dizuo.core.digests import sha256_bytes
from dizuo.edge.trust import (
    TrustStore,
    find_root,
)
from dizuo.edge.trust_errors import (
    MetadataTampered,
    NoTrustedRoot,
    RootAlreadyPinned,
    RootMismatch,
    TrustUnreachable,
)


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
