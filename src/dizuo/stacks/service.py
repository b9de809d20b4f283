"""Decisions about stacks: numbering, looking up, incumbents, lineage."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy.orm import Session

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level, StackIndex
from dizuo.artifacts.reference import Reference
from dizuo.artifacts.stacks import StackDraft, compose, read_stack
from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.stacks import store
from dizuo.stacks.errors import RunReused, StackNotFound
from dizuo.stacks.model import Lineage, NewStack, StackVersion
from dizuo.stacks.resolve import resolve
from dizuo.stacks.trace import outline, trace

__all__ = [
    "count",
    "digests",
    "find_by_inputs",
    "get",
    "get_by_digest",
    "incumbent",
    "lineage",
    "listing",
    "log",
    "mark_released",
    "mark_withdrawn",
    "outline",
    "refs",
    "register",
    "resolve",
    "trace",
]


def register(session: Session, layout: Layout, actor: str, new: NewStack) -> StackVersion:
    """Give a built stack its version, in the registry and in the database.

    The version is the next of its name; numbering, composing, tagging and the row are one
    transaction, the caller's. If that fails after the tag was written, the tag names a stack that
    nobody knows, and the next one to get the number takes the tag. Registering for the same run
    again changes nothing and returns the first one.

    Raises:
        RunReused: the run registered a stack of another name or from other inputs.
        CannotCompose, BlobMissing, DiskFull: the registry cannot take it.
    """
    known = store.by_run(session, new.run_id)
    if known is not None:
        return _same(known, new)
    store.lock_numbering(session)
    version = store.next_version(session, new.project_id, new.name)
    index = _compose(layout, new, version)
    stack = _stack(new, index)
    store.add(session, stack)
    detail = {
        "digest": stack.digest,
        "parent": stack.parent_digest,
        "inputs": stack.input_digest,
        "run": stack.run_id,
    }
    audit.record(
        session, actor, "stack.registered", stack.subject, detail, project_id=stack.project_id
    )
    layout.tag(f"{new.project_id}/{new.name}", str(version), stack.digest, replace=True)
    return stack


def _same(known: StackVersion, new: NewStack) -> StackVersion:
    asked = (new.project_id, new.name, new.input_digest)
    if (known.project_id, known.name, known.input_digest) != asked:
        raise RunReused(f"The run {new.run_id} registered {known.ref} already.")
    return known


def _compose(layout: Layout, new: NewStack, version: int) -> StackIndex:
    draft = StackDraft(
        project=new.project_id,
        name=new.name,
        version=version,
        level=new.level,
        family=new.family,
        parent_digest=new.parent_digest,
        targets=new.targets,
        annotations=new.annotations,
    )
    return read_stack(layout, compose(layout, draft))


def _stack(new: NewStack, index: StackIndex) -> StackVersion:
    return StackVersion(
        id=new_id(),
        project_id=new.project_id,
        name=new.name,
        version=index.version,
        level=new.level,
        family=new.family,
        digest=index.digest,
        index_size_bytes=index.size_bytes,
        targets=tuple(new.targets),
        parent_digest=new.parent_digest,
        input_digest=new.input_digest,
        run_id=new.run_id,
        recipe=new.recipe,
        datasets=new.datasets,
        bytes_total=index.bytes_total,
        bytes_added=index.bytes_added,
        created_ms=now_ms(),
    )


def get(session: Session, reference: Reference) -> StackVersion:
    """The version that a reference names; without a version or digest, the newest.

    Raises:
        StackNotFound: there is none.
    """
    found = store.find(session, reference)
    if found is not None:
        return found
    newest = store.newest(session, reference.project, reference.name)
    if newest is None:
        raise StackNotFound(
            f"There is no stack {reference}.",
            next_step="See `dizuo model ls` for those there are.",
        )
    raise StackNotFound(
        f"There is no version {reference} of {reference.name}.",
        next_step=f"Its newest is {newest.ref}.",
    )


def get_by_digest(session: Session, digest: str) -> StackVersion:
    """The version with this digest.

    Raises:
        StackNotFound: there is none.
    """
    found = store.by_digest(session, digest)
    if found is None:
        raise StackNotFound(f"There is no stack with the digest {digest[:80]}.")
    return found


def find_by_inputs(
    session: Session, input_digest: str, *, project_id: str = DEFAULT_PROJECT
) -> StackVersion | None:
    """The newest version that was built from exactly these inputs, if there is one."""
    return store.by_inputs(session, project_id, input_digest)


def listing(session: Session, *, project_id: str = DEFAULT_PROJECT) -> list[StackVersion]:
    """The newest version of each stack of a project, by name."""
    return store.newest_of_each(session, project_id)


def log(session: Session, name: str, *, project_id: str = DEFAULT_PROJECT) -> list[StackVersion]:
    """Every version of a stack, newest first.

    Raises:
        StackNotFound: there is no stack of that name.
    """
    found = store.versions(session, project_id, name)
    if not found:
        raise StackNotFound(
            f"There is no stack {name[:80]!r}.",
            next_step="See `dizuo model ls` for those there are.",
        )
    return found


def refs(
    session: Session, digests: Collection[str], *, project_id: str = DEFAULT_PROJECT
) -> dict[str, str]:
    """`name:version` of those of these digests that a project has."""
    return store.refs(session, project_id, digests)


def newest_parents(
    session: Session, family: str, level: Level, *, limit: int, project_id: str = DEFAULT_PROJECT
) -> list[str]:
    """`name:version` of a family's newest versions that a stack of this level can stand on."""
    below = [one for one in Level if one.value < level.value]
    return store.newest_refs(session, project_id, family, below, limit)


def newest(session: Session, *, project_id: str = DEFAULT_PROJECT) -> StackVersion | None:
    """The version of any name that a project made last."""
    return store.newest_of_all(session, project_id)


def count(session: Session, *, project_id: str = DEFAULT_PROJECT) -> tuple[int, int]:
    """How many versions a project has, and how many of them are released."""
    return store.count(session, project_id)


def digests(session: Session) -> list[str]:
    """The digest of every registered version, in every project: what a registry must keep."""
    return store.digests(session)


def incumbent(
    session: Session, name: str, *, project_id: str = DEFAULT_PROJECT
) -> StackVersion | None:
    """The newest released version of a name: what a new version must not be worse than."""
    return store.newest_released(session, project_id, name)


def mark_withdrawn(session: Session, digest: str, actor: str) -> None:
    """Note that a version's release was taken back: it is no longer what others are held against.

    Raises:
        StackNotFound: there is no such version.
    """
    known = get_by_digest(session, digest)
    store.set_released(session, known.id, None)
    detail = {"digest": digest}
    audit.record(
        session, actor, "stack.withdrawn", known.subject, detail, project_id=known.project_id
    )


def mark_released(session: Session, stack: StackVersion, actor: str) -> StackVersion:
    """Note that a version was signed; the first time counts. Called by releases, which decide.

    Raises:
        StackNotFound: there is no such version.
    """
    known = get_by_digest(session, stack.digest)
    if known.released_ms is not None:
        return known
    released_ms = now_ms()
    store.set_released(session, known.id, released_ms)
    audit.record(
        session,
        actor,
        "stack.released",
        known.subject,
        {"digest": known.digest},
        project_id=known.project_id,
    )
    return replace(known, released_ms=released_ms)


def lineage(session: Session, stack: StackVersion) -> Lineage:
    """What a version stands on and what stands on it.

    Raises:
        StackNotFound: one of its ancestors is not registered.
    """
    ancestors = []
    below = stack.parent_digest
    while below is not None:
        parent = get_by_digest(session, below)
        ancestors.append(parent)
        below = parent.parent_digest
    return Lineage(stack, tuple(ancestors), tuple(store.children(session, stack.digest)))
