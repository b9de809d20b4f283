"""Noting in the audit log which roots this hub's sites are asked to trust.

Root keys are made and used beside the hub, by `dizuo keys init` and `dizuo keys renew`, which know
no database. So the hub itself looks at its start, and every few seconds from then on, whether a
root has come that it has not noted yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from sqlalchemy.orm import Session
from tuf.api.metadata import Root

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_file
from dizuo.database.engine import Database
from dizuo.releases import store
from dizuo.releases.metadata import read_signed
from dizuo.releases.repository import Repository


def note_roots(database: Database, repository: Repository, actor: str) -> int:
    """Write an entry, `keys.made` or `keys.renewed`, for each root that has none; how many.

    Opens its own transaction; call it outside of one.

    Raises:
        RepositoryDamaged: a root that was not noted yet cannot be read.
    """
    roots = {sha256_file(path): path for path in repository.roots()}
    with database.reading() as session:
        if not _new(session, roots):
            return 0
    with database.transaction() as session:
        store.lock(session)
        found = _new(session, roots)
        for digest in found:
            _note(session, digest, cast(Root, read_signed(roots[digest])), actor)
    return len(found)


def _new(session: Session, roots: Mapping[str, Path]) -> list[str]:
    known = store.noted_roots(session, roots)
    return [digest for digest in roots if digest not in known]


def _note(session: Session, digest: str, root: Root, actor: str) -> None:
    store.add_noted_root(session, digest, root.version, now_ms())
    role = root.roles[Root.type]
    detail = {
        "version": root.version,
        "sha256": digest,
        "keys": sorted(role.keyids),
        "threshold": role.threshold,
        "expires_ms": int(root.expires.timestamp() * 1000),
    }
    action = "keys.made" if root.version == 1 else "keys.renewed"
    audit.record(session, actor, action, f"root:{root.version}", detail)
