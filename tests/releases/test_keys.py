"""Keys and the first metadata, as `dizuo keys init` leaves them."""

from __future__ import annotations

import shutil
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
from tuf.api.exceptions import UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Targets

from dizuo.core.digests import sha256_bytes
from dizuo.releases.errors import KeysExist, KeysMissing, RepositoryDamaged
from dizuo.releases.keys import ROOT_KEYS, ROOT_THRESHOLD, KeysMade, init_keys, key_paths
from dizuo.releases.metadata import load_signer, read_signed
from dizuo.releases.repository import Repository


def root_of(home: Path) -> Metadata[Root]:
    return Metadata[Root].from_bytes((home / "tuf" / "1.root.json").read_bytes())


def test_every_key_is_its_owners_alone(home: Path) -> None:
    paths = key_paths(home)
    assert set(paths) == {
        *ROOT_KEYS,
        "targets",
        "snapshot",
        "timestamp",
        "project-default",
    }
    for path in paths.values():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len({path.read_bytes() for path in paths.values()}) == len(paths)


def test_of_several_that_make_keys_at_once_one_does(tmp_path: Path) -> None:
    home, start = tmp_path / "new", threading.Barrier(4)

    def race(_: int) -> KeysMade | KeysExist:
        start.wait(timeout=30)
        try:
            return init_keys(home)
        except KeysExist as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(race, range(4)))
    (made,) = [end for end in ends if isinstance(end, KeysMade)]
    assert made.root_sha256 == Repository(home).root_sha256()


def test_the_hub_needs_only_the_online_keys(home: Path) -> None:
    shutil.rmtree(home / "keys" / "offline")
    repository = Repository(home)
    assert repository.is_ready
    assert repository.targets("default") == {}


def test_any_two_of_three_root_keys_sign(home: Path) -> None:
    root = root_of(home).signed
    signers = [load_signer(key_paths(home)[name]) for name in ROOT_KEYS]
    assert root.roles["root"].threshold == ROOT_THRESHOLD == 2
    for absent in signers:
        metadata = Metadata(root)
        present = [one for one in signers if one is not absent]
        for signer in present:
            metadata.sign(signer, append=True)
        root.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
        metadata.sign(present[0])
        with pytest.raises(UnsignedMetadataError):
            root.verify_delegate("root", metadata.signed_bytes, metadata.signatures)


def test_no_key_has_two_roles(home: Path) -> None:
    root = root_of(home).signed
    used = [keyid for role in root.roles.values() for keyid in role.keyids]
    targets = cast(Targets, read_signed(home / "tuf" / "1.targets.json"))
    assert targets.delegations is not None
    used += list(targets.delegations.keys)
    assert len(used) == len(set(used)) == 7


def test_the_project_signs_only_its_own_paths(home: Path) -> None:
    targets = cast(Targets, read_signed(home / "tuf" / "1.targets.json"))
    assert targets.delegations is not None
    names = targets.delegations.get_roles_for_target
    assert list(names("default/meter-reading/1.json")) == [("project-default", True)]
    for path in ("other/meter-reading/1.json", "default/1.json", "default/a/b/1.json"):
        assert list(names(path)) == []


def test_what_was_made_is_told(tmp_path: Path) -> None:
    made = init_keys(tmp_path / "home")
    root = (tmp_path / "home" / "tuf" / "1.root.json").read_bytes()
    assert made.root_sha256 == sha256_bytes(root)
    assert str(made.offline) in made.next_step
    assert Repository(tmp_path / "home").root_sha256() == made.root_sha256


def test_keys_are_never_overwritten(home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*.*") if path.is_file()}
    with pytest.raises(KeysExist):
        init_keys(home)
    assert {path: path.read_bytes() for path in home.rglob("*.*") if path.is_file()} == before


def test_metadata_without_keys_is_not_replaced(home: Path) -> None:
    """The keys may be elsewhere for good reason; sites trust what was signed with them."""
    shutil.rmtree(home / "keys")
    with pytest.raises(KeysExist):
        init_keys(home)
    assert not (home / "keys").exists()


def test_empty_folders_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "tuf").mkdir()
    init_keys(tmp_path)
    assert Repository(tmp_path).is_ready


def test_a_crash_between_keys_and_metadata_is_finished_with_the_same_keys(home: Path) -> None:
    keys = {path: path.read_bytes() for path in key_paths(home).values()}
    shutil.rmtree(home / "tuf")
    (home / ".tuf.new").mkdir()
    (home / ".tuf.new" / "1.root.json").write_text("half of a fi")
    init_keys(home)
    assert {path: path.read_bytes() for path in key_paths(home).values()} == keys
    assert not (home / ".tuf.new").exists()
    assert root_of(home).signed.version == 1


@pytest.mark.parametrize("content", [None, b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_read_is_said_so(home: Path, content: bytes | None) -> None:
    path = key_paths(home)["timestamp"]
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(KeysMissing, match=r"online/timestamp\.pem"):
        load_signer(path)


def test_a_key_of_another_kind_is_refused(home: Path) -> None:
    from securesystemslib.signer import CryptoSigner

    path = key_paths(home)["timestamp"]
    path.write_bytes(CryptoSigner.generate_ecdsa().private_bytes)
    with pytest.raises(KeysMissing):
        load_signer(path)


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1, 2"])
def test_damaged_metadata_is_said_so(home: Path, content: bytes | None) -> None:
    path = home / "tuf" / "timestamp.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RepositoryDamaged, match=r"timestamp\.json"):
        Repository(home).targets("default")
