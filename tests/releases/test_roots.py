"""Roots of trust and the audit log."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.database.engine import Database
from dizuo.releases.errors import RepositoryDamaged
from dizuo.releases.keys import ROOT_KEYS, ROOT_THRESHOLD, init_keys
from dizuo.releases.renewal import renew
from dizuo.releases.repository import Repository
from dizuo.releases.roots import note_roots

ACTOR = "hub:start"


def noted(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    with database.reading() as session:
        assert audit.verify(session).ok
        return [(one.action, one.subject, one.detail) for one in audit_store.stream(session)]


def test_each_root_is_noted_once(
    any_database: Database, repository: Repository, home: Path
) -> None:
    first = repository.root_sha256()
    assert note_roots(any_database, repository, ACTOR) == 1
    assert note_roots(any_database, repository, ACTOR) == 0
    renewed = [renew(home, home / "keys" / "offline") for _ in range(2)][-1]
    assert note_roots(any_database, repository, ACTOR) == 2
    assert note_roots(any_database, repository, ACTOR) == 0
    entries = noted(any_database)
    assert [(action, subject) for action, subject, _ in entries] == [
        ("keys.made", "root:1"),
        ("keys.renewed", "root:2"),
        ("keys.renewed", "root:3"),
    ]
    made, last = entries[0][2], entries[-1][2]
    assert (made["sha256"], last["sha256"]) == (first, repository.root_sha256())
    assert last["expires_ms"] == renewed.expires_ms
    assert made["threshold"] == ROOT_THRESHOLD
    assert made["keys"] == last["keys"]
    assert len(made["keys"]) == len(ROOT_KEYS)


def test_without_keys_there_is_nothing_to_note(database: Database, tmp_path: Path) -> None:
    assert note_roots(database, Repository(tmp_path), ACTOR) == 0
    assert noted(database) == []


def test_keys_that_took_the_place_of_others_are_noted_too(
    database: Database, repository: Repository, home: Path
) -> None:
    note_roots(database, repository, ACTOR)
    for name in ("keys", "tuf"):
        shutil.rmtree(home / name)
    made = init_keys(home)
    assert note_roots(database, repository, ACTOR) == 1
    assert [detail["sha256"] for _, _, detail in noted(database)][1] == made.root_sha256
    assert {action for action, _, _ in noted(database)} == {"keys.made"}


def test_a_root_that_cannot_be_read_is_not_noted(
    database: Database, repository: Repository
) -> None:
    repository.publish_root(2, b"{}")
    with pytest.raises(RepositoryDamaged, match=r"2\.root\.json"):
        note_roots(database, repository, ACTOR)
    assert noted(database) == []
