"""Decisions about releases.

The database says what is released; the TUF repository is made to say the same. Signing comes last
in the transaction and may be repeated, so a crash before the commit leaves at most a signature that
no release stands behind: nothing directs a site to it, and `reconcile` takes it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.access.model import Principal
from dizuo.artifacts.reference import Reference, parse_reference
from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import short
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.gates import service as gates
from dizuo.releases import store
from dizuo.releases.errors import GateNotPassed, ReleaseNotFound, ReleaseWithdrawn
from dizuo.releases.model import RELEASE_MACHINE, Release, ReleaseState
from dizuo.releases.repository import Repository
from dizuo.stacks import service as stacks
from dizuo.stacks.model import StackVersion
from dizuo.stacks.naming import find_stack

RECONCILER = "hub:reconcile"
"""How the audit log names what was repaired after a crash."""


def release(
    session: Session,
    repository: Repository,
    stack: StackVersion,
    actor: str,
    *,
    cause: Mapping[str, str] | None = None,
) -> Release:
    """Sign a stack version as fit to run; a second call for the same digest returns the first's.

    Args:
        session: a writing transaction.
        repository: what signs.
        stack: what to sign.
        actor: who wants it signed.
        cause: what led to it, for the audit entry, where `actor` alone does not say.

    Raises:
        GateNotPassed: its newest gate report is missing or did not pass.
        ReleaseWithdrawn: this digest was released before and taken back.
        KeysMissing: the hub cannot sign.
    """
    store.lock(session)
    known = store.by_digest(session, stack.project_id, stack.digest)
    if known is not None and known.state is ReleaseState.WITHDRAWN:
        raise ReleaseWithdrawn(
            f"{known.stack} was withdrawn and cannot be released again.",
            next_step="Build a new version and release that.",
        )
    if known is None:
        _require_passed(session, stack)
        known = signed_release(stack, actor)
        store.add(session, known)
        stacks.mark_released(session, stack, actor)
        detail = {"stack": known.stack, "digest": known.digest, **(cause or {})}
        audit.record(
            session, actor, "release.signed", known.subject, detail, project_id=known.project_id
        )
    repository.add_target(known.as_target())
    return known


def release_named(
    session: Session, repository: Repository, stack: str, caller: Principal
) -> Release:
    """Sign the version that a reference names, in the caller's own project; see `release`.

    Raises:
        InvalidReference: `stack` is not a reference.
        StackNotFound: the caller's project has no such version.
    """
    found = find_stack(session, stack, project_id=caller.project_id)
    return release(session, repository, found, caller.actor)


def withdraw(
    session: Session,
    repository: Repository,
    key: str,
    actor: str,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> Release:
    """Take a release back, by its id or a reference with its version or digest: no site accepts a
    direction to it any more. What runs it keeps running.

    Raises:
        ReleaseNotFound: there is no such release.
        TransitionRefused: it was withdrawn already.
        KeysMissing: the hub cannot sign.
    """
    store.lock(session)
    known = get(session, key, project_id=project_id)
    state = ReleaseState(RELEASE_MACHINE.apply(known.state, "withdraw"))
    changed = store.update(session, known.id, {"state": state, "withdrawn_ms": now_ms()})
    stacks.mark_withdrawn(session, known.digest, actor)
    detail = {"stack": known.stack, "digest": known.digest}
    audit.record(session, actor, "release.withdrawn", known.subject, detail, project_id=project_id)
    repository.remove_target(known.project_id, known.name, known.version)
    return changed


def get(session: Session, key: str, *, project_id: str = DEFAULT_PROJECT) -> Release:
    """The release with this id, or of this `name:version` or `name@digest`, withdrawn or not.

    Raises:
        ReleaseNotFound: there is none.
        InvalidReference: `key` has a colon, as only references do, but is none.
    """
    found = _of(session, key, project_id) if ":" in key else store.find(session, project_id, key)
    if found is None:
        raise ReleaseNotFound(
            f"There is no release {key[:80]!r}.",
            next_step="Name one as name:version; list them: dizuo release.",
        )
    return found


def _of(session: Session, stack: str, project_id: str) -> Release | None:
    reference = parse_reference(stack, project_id)
    if reference.version is None and reference.digest is None:
        return None
    return _named(session, reference, project_id)


def _named(session: Session, reference: Reference, project_id: str) -> Release | None:
    """The release that a reference names: every part that it gives must fit, and without a version
    or a digest it is the newest that is signed."""
    if reference.project != project_id:
        return None
    if reference.digest is None:
        return store.newest_of(session, project_id, reference.name, reference.version)
    found = of_digest(session, reference.digest, project_id=project_id)
    if found is None or found.name != reference.name:
        return None
    return found if reference.version in (None, found.version) else None


def of_digest(
    session: Session, digest: str, *, project_id: str = DEFAULT_PROJECT
) -> Release | None:
    """The release of this digest, withdrawn or not."""
    return store.by_digest(session, project_id, digest)


def signed(session: Session, stack: str, *, project_id: str = DEFAULT_PROJECT) -> Release:
    """The release of `name:version` that sites may be directed to; without a version, the newest.

    Raises:
        InvalidReference: `stack` is not a reference.
        ReleaseNotFound: the stack was never released.
        ReleaseWithdrawn: it was, and was taken back.
    """
    found = _named(session, parse_reference(stack, project_id), project_id)
    if found is None:
        raise ReleaseNotFound(
            f"{stack} is not released.",
            next_step=f"Release it first: dizuo release {stack}.",
        )
    if found.state is not ReleaseState.SIGNED:
        raise ReleaseWithdrawn(
            f"{found.stack} was withdrawn.", next_step="Roll out another version."
        )
    return found


def listing(
    session: Session, *, project_id: str = DEFAULT_PROJECT, limit: int = 100
) -> list[Release]:
    """The newest releases, newest first."""
    return store.newest(session, project_id, limit)


def signed_digests(session: Session, *, project_id: str = DEFAULT_PROJECT) -> frozenset[str]:
    """The digests of every release that sites may be directed to."""
    return frozenset(one.digest for one in store.signed(session, project_id))


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What reconciling changed in the repository: how many signatures were taken back and given."""

    num_removed: int
    num_added: int


def reconcile(
    session: Session, repository: Repository, *, project_id: str = DEFAULT_PROJECT
) -> Reconciled:
    """Make the repository sign exactly what the database says is released. Run it at every start.

    Raises:
        KeysMissing: the hub cannot sign.
    """
    store.lock(session)
    wanted = {one.as_target().path: one for one in store.signed(session, project_id)}
    signed_now = repository.targets(project_id)
    stray = {path for path, digest in signed_now.items() if not _stands(wanted.get(path), digest)}
    for path in sorted(stray):
        _, name, file_name = path.split("/")
        repository.remove_target(project_id, name, int(file_name.removesuffix(".json")))
        detail = {"digest": signed_now[path]}
        audit.record(
            session,
            RECONCILER,
            "signature.removed",
            f"target:{path}",
            detail,
            project_id=project_id,
        )
    added = [path for path in wanted if repository.add_target(wanted[path].as_target())]
    for path in added:
        audit.record(
            session, RECONCILER, "signature.restored", wanted[path].subject, project_id=project_id
        )
    return Reconciled(len(stray), len(added))


def _stands(known: Release | None, digest: str) -> bool:
    return known is not None and known.digest == digest


def _require_passed(session: Session, stack: StackVersion) -> None:
    report = gates.latest_report(session, stack.digest, project_id=stack.project_id)
    if report is None or not report.passed:
        found = "has no gate report" if report is None else "did not pass its gates"
        name = f"{stack.name}:{stack.version}"
        raise GateNotPassed(
            f"{name} ({short(stack.digest)}) {found}.",
            next_step=f"Run its gates and read the report: dizuo gate {name}.",
        )


def signed_release(stack: StackVersion, actor: str) -> Release:
    """The release of a stack that has just been signed, with an id of its own."""
    return Release(
        id=new_id(),
        project_id=stack.project_id,
        name=stack.name,
        version=stack.version,
        digest=stack.digest,
        size_bytes=stack.index_size_bytes,
        family=stack.family,
        level=str(stack.level),
        targets=tuple(stack.targets),
        state=ReleaseState(RELEASE_MACHINE.apply(RELEASE_MACHINE.initial, "sign")),
        actor=actor,
        created_ms=now_ms(),
        withdrawn_ms=None,
    )
