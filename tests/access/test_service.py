"""Credentials: one surface each, hashed at rest, gone when revoked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dizuo.access import service, store
from dizuo.access.model import CredentialRefused, Principal, Role, RoleMissing, Surface
from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.digests import sha256_bytes
from dizuo.database.engine import Database


def _issue(database: Database, surface: Surface, name: str, role: Role | None = None) -> str:
    with database.transaction() as session:
        return service.issue(session, "operator:root", surface, name, role=role)


def _recognise(database: Database, secret: str, surface: Surface) -> Principal:
    with database.reading() as session:
        return service.recognise(session, secret, surface)


def test_a_credential_is_recognised(any_database: Database) -> None:
    secret = _issue(any_database, Surface.API, "ann", Role.BUILDER)
    ann = _recognise(any_database, secret, Surface.API)
    assert (ann.name, ann.role, ann.project_id) == ("ann", Role.BUILDER, "default")
    assert ann.actor == "operator:ann"


ISSUED = [one for one in Surface if one is not Surface.CONSOLE]


@pytest.mark.parametrize("meant_for", ISSUED)
@pytest.mark.parametrize("used_on", list(Surface))
def test_a_credential_is_good_for_its_own_surface_only(
    database: Database, meant_for: Surface, used_on: Surface
) -> None:
    secret = _issue(database, meant_for, "somebody")
    assert secret.startswith(f"dz_{meant_for}_")
    if meant_for == used_on:
        assert _recognise(database, secret, used_on).surface == used_on
        return
    with pytest.raises(CredentialRefused):
        _recognise(database, secret, used_on)
    renamed = secret.replace(f"dz_{meant_for}_", f"dz_{used_on}_")
    with pytest.raises(CredentialRefused):
        _recognise(database, renamed, used_on)


def test_no_credential_is_issued_for_the_console(database: Database) -> None:
    with pytest.raises(ValueError, match="begun by signing in"):
        _issue(database, Surface.CONSOLE, "ann", Role.ADMIN)
    with database.reading() as session:
        assert store.every(session) == []


@pytest.mark.parametrize(
    ("surface", "actor"),
    [
        (Surface.API, "operator:x"),
        (Surface.EDGE, "site:x"),
        (Surface.REGISTRY, "registry:x"),
        (Surface.CONSOLE, "person:x"),
    ],
)
def test_how_the_audit_log_names_a_caller(surface: Surface, actor: str) -> None:
    assert Principal("1", "x", surface, "default").actor == actor


def test_a_revoked_credential_is_refused_like_an_unknown_one(any_database: Database) -> None:
    secret = _issue(any_database, Surface.EDGE, "site3")
    other = _issue(any_database, Surface.API, "site3", Role.READER)
    with any_database.transaction() as session:
        assert service.revoke(session, "operator:root", Surface.EDGE, "site3") == 1
        assert service.revoke(session, "operator:root", Surface.EDGE, "site3") == 0
    refusals = []
    for wrong in (secret, "dz_edge_unknown", ""):
        with pytest.raises(CredentialRefused) as refused:
            _recognise(any_database, wrong, Surface.EDGE)
        refusals.append(str(refused.value))
    assert len(set(refusals)) == 1
    assert _recognise(any_database, other, Surface.API).name == "site3"


def test_every_secret_is_long_and_new(database: Database) -> None:
    made = {_issue(database, Surface.REGISTRY, f"reader{n}") for n in range(20)}
    assert len(made) == 20
    assert all(len(secret) == len("dz_registry_") + 43 for secret in made)


def test_no_secret_is_kept(database: Database, tmp_path: Path) -> None:
    secret = _issue(database, Surface.API, "ann", Role.ADMIN)
    database.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("test.db*"))
    assert b"ann" in kept
    assert sha256_bytes(secret.encode()).encode() in kept
    assert secret.encode() not in kept
    assert secret.removeprefix("dz_api_").encode() not in kept


def test_issuing_and_revoking_are_audited_without_the_secret(database: Database) -> None:
    secret = _issue(database, Surface.API, "ann", Role.ADMIN)
    with database.transaction() as session:
        service.revoke(session, "operator:root", Surface.API, "ann")
        service.revoke(session, "operator:root", Surface.API, "nobody")
    with database.reading() as session:
        entries = list(audit_store.stream(session))
        assert audit.verify(session).ok
    assert [(e.actor, e.action, e.subject) for e in entries] == [
        ("operator:root", "credential.issued", "credential:ann"),
        ("operator:root", "credential.revoked", "credential:ann"),
    ]
    assert entries[0].detail == {"surface": "api", "role": "admin"}
    assert secret not in repr(entries)


def test_whether_a_surface_ever_had_a_credential(database: Database) -> None:
    _issue(database, Surface.EDGE, "site3")
    with database.reading() as session:
        assert service.has_any(session, Surface.EDGE)
        assert not service.has_any(session, Surface.API)
        assert [row.name for row in store.every(session)] == ["site3"]


@pytest.mark.parametrize("has", [None, *Role])
@pytest.mark.parametrize("needs", list(Role))
def test_a_role_includes_those_below_it(has: Role | None, needs: Role) -> None:
    caller = Principal("1", "ann", Surface.API, "default", has)
    if has is not None and has >= needs:
        caller.require(needs)
        return
    with pytest.raises(RoleMissing) as refused:
        caller.require(needs)
    assert refused.value.message == f"This needs the role {needs.word}; ann does not have it."
    assert refused.value.next_step == "Ask an admin for a token with that role."
    assert refused.value.http_status == 403


def test_a_person_is_not_sent_for_a_token() -> None:
    with pytest.raises(RoleMissing) as refused:
        Principal("1", "ann", Surface.CONSOLE, "default", Role.READER).require(Role.BUILDER)
    assert refused.value.next_step == "Ask an admin for that role."
