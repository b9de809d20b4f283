"""Directing sites to releases.

A rollout puts one signed stack, under one name, into the desired set of each of its sites. Several
may be on their way to the same site: each changes only its own name in the set. A set that would
hold anything unsigned is never sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.errors import InvalidInput
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.edge.wire import Direction, ServedAs
from dizuo.releases import service as releases
from dizuo.releases.model import Release
from dizuo.sites import progress
from dizuo.sites import rollout_store as store
from dizuo.sites import store as site_store
from dizuo.sites.directing import Director
from dizuo.sites.errors import (
    NoSites,
    NoSiteTarget,
    RolloutKeyReused,
    RolloutNotFound,
    SiteNotFound,
)
from dizuo.sites.model import Site
from dizuo.sites.rollout_model import (
    ENTRY_MACHINE,
    OPEN_ENTRY,
    ROLLOUT_MACHINE,
    Entry,
    EntryState,
    Rollout,
    RolloutState,
)

TRAINING_TARGET = "safetensors"
_TAKEN_BACK = {
    "stop": OPEN_ENTRY,
    "roll_back": (*OPEN_ENTRY, EntryState.DONE, EntryState.FAILED),
}


def start(
    session: Session,
    stack: str,
    sites: Sequence[str] | Literal["all"],
    actor: str,
    *,
    served_as: str = "",
    key: str = "",
    cause: Mapping[str, str] | None = None,
    project_id: str = DEFAULT_PROJECT,
) -> Rollout:
    """Direct sites to a released stack; the rollout that a repeated `key` started comes back as is.

    Args:
        session: a writing transaction.
        stack: `name:version`, or `name` for its newest release.
        sites: their names, or `all` for every site that has joined by now.
        actor: who wants it.
        served_as: the name applications use; the stack's own if empty.
        key: makes the call idempotent; empty starts a new rollout each time.
        cause: what led to it, for the audit entry, where `actor` alone does not say.
        project_id: whose sites.

    Raises:
        ReleaseNotFound, ReleaseWithdrawn: the stack is not signed.
        NoSiteTarget: it has no form for sites, or more than one.
        SiteNotFound, NoSites: a name is unknown, or no site is meant.
        DirectionBlocked: a site's new set would hold another stack that is not signed any more.
        RolloutKeyReused: the key started a rollout of something else.
    """
    chosen = "all" if sites == "all" else sorted(set(sites))
    wanted = {"stack": stack, "sites": chosen, "served_as": served_as}
    known = _known(session, project_id, key, wanted)
    if known is not None:
        return known
    release = releases.signed(session, stack, project_id=project_id)
    direction = _direction(release, served_as)
    held = _hold_sites(session, project_id, None if chosen == "all" else list(chosen))
    # On PostgreSQL another transaction may have started it while this one waited for the sites.
    known = _known(session, project_id, key, wanted)
    if known is not None:
        return known
    rollout = _new(release, direction, actor, key=key, wanted=wanted)
    store.add(session, rollout)
    detail = {**wanted, "digest": direction.digest, **(cause or {})}
    audit.record(session, actor, "rollout.started", rollout.subject, detail, project_id=project_id)
    director = Director.of(session, project_id, rollout.subject, actor)
    store.add_entries(session, [_enter(director, rollout, site) for site in held])
    progress.settle(session, rollout, actor, "")
    return get(session, rollout.id, project_id=project_id)


def get(session: Session, rollout_id: str, *, project_id: str = DEFAULT_PROJECT) -> Rollout:
    """The rollout with this id, with its sites.

    Raises:
        RolloutNotFound: there is none.
    """
    found = store.find(session, project_id, rollout_id)
    if found is None:
        raise RolloutNotFound(
            f"There is no rollout {rollout_id[:80]!r}.",
            next_step="List them: dizuo rollout status.",
        )
    return found


def listing(
    session: Session, *, project_id: str = DEFAULT_PROJECT, limit: int = 100
) -> list[Rollout]:
    """The newest rollouts, newest first, without their sites."""
    return store.newest(session, project_id, limit)


def under_way(
    session: Session, *, project_id: str = DEFAULT_PROJECT, limit: int = 20
) -> list[tuple[Rollout, Mapping[EntryState, int]]]:
    """The newest rollouts that have not ended, newest first, with how many sites are how far."""
    return [
        (rollout, store.count_states(session, rollout.id))
        for rollout in store.open_ones(session, project_id, limit)
    ]


def stop(
    session: Session, rollout_id: str, actor: str, *, project_id: str = DEFAULT_PROJECT
) -> Rollout:
    """Go no further: sites still on their way are directed back to what they had under this name;
    sites that have arrived stay.

    Raises:
        RolloutNotFound: there is no such rollout.
        TransitionRefused: it has ended.
        DirectionBlocked: what a site had before is no longer signed.
    """
    return _take_back(session, get(session, rollout_id, project_id=project_id), actor, "stop")


def rollback(
    session: Session, rollout_id: str, actor: str, *, project_id: str = DEFAULT_PROJECT
) -> Rollout:
    """Direct every site of a rollout back to what it had under this name, wherever it is now; a
    site that was directed elsewhere since then is left alone.

    Raises:
        RolloutNotFound: there is no such rollout.
        TransitionRefused: it was superseded or rolled back already.
        DirectionBlocked: what a site had before is no longer signed.
    """
    return _take_back(session, get(session, rollout_id, project_id=project_id), actor, "roll_back")


def _take_back(session: Session, rollout: Rollout, actor: str, name: str) -> Rollout:
    names = [entry.site_name for entry in rollout.entries]
    held = {site.id: site for site in site_store.locked(session, rollout.project_id, names)}
    (rollout,) = store.lock(session, [rollout.id])
    ROLLOUT_MACHINE.apply(rollout.state, name)
    director = Director.of(session, rollout.project_id, f"{rollout.subject}:{name}", actor)
    affected = [e for e in store.entries(session, rollout.id) if e.state in _TAKEN_BACK[name]]
    for entry in affected:
        _restore(director, rollout.direction, entry, held.get(entry.site_id))
    for entry in affected:
        progress.move(session, entry, name, actor, f"by {actor}")
    progress.change(session, rollout, name, actor, f"by {actor}")
    return get(session, rollout.id, project_id=rollout.project_id)


def _restore(director: Director, direction: Direction, entry: Entry, site: Site | None) -> None:
    if site is None or entry.previous == direction:
        return
    if site.desires(direction.served_as) == direction:
        director.put(site, direction.served_as, entry.previous)


def _known(session: Session, project_id: str, key: str, wanted: dict[str, Any]) -> Rollout | None:
    known = store.by_key(session, project_id, key) if key else None
    if known is not None and known.wanted != wanted:
        raise RolloutKeyReused(
            f"The key {key[:80]!r} was used before for a different rollout.",
            next_step="Use a new key for a new rollout.",
        )
    return known


def _hold_sites(session: Session, project_id: str, names: list[str] | None) -> list[Site]:
    held = site_store.locked(session, project_id, names)
    missing = sorted(set(names or ()) - {site.name for site in held})
    if missing:
        raise SiteNotFound(
            f"There is no site {', '.join(missing)}.", next_step="List them: dizuo site ls."
        )
    if not held:
        raise NoSites(
            "A rollout needs at least one site.",
            next_step="Name sites, or let one join: dizuo site token.",
        )
    return held


def _site_target(release: Release) -> str:
    """The one form that sites run: whatever is not for training. Sites do not say which forms they
    can run, so between several nobody could choose for them."""
    found = [name for name in release.targets if name != TRAINING_TARGET]
    if not found:
        raise NoSiteTarget(
            f"{release.stack} has no form that a site can run, only {TRAINING_TARGET}.",
            next_step="Add a target such as onnx to its recipe and build it again.",
        )
    if len(found) > 1:
        raise NoSiteTarget(
            f"{release.stack} has several forms that a site could run: {', '.join(found)}.",
            next_step="Leave one of them in its recipe and build it again.",
        )
    return found[0]


def _direction(release: Release, served_as: str) -> Direction:
    target = _site_target(release)
    try:
        name = TypeAdapter(ServedAs).validate_python(served_as or release.name)
    except ValidationError as error:
        raise InvalidInput(
            f"No site can serve a stack as {(served_as or release.name)[:80]!r}.",
            next_step="Choose another name for it, one that does not end in .json: --as NAME.",
        ) from error
    return Direction(
        served_as=name,
        name=release.name,
        version=release.version,
        digest=release.digest,
        family=release.family,
        target=target,
    )


def _new(
    release: Release, direction: Direction, actor: str, *, key: str, wanted: dict[str, Any]
) -> Rollout:
    now = now_ms()
    return Rollout(
        id=new_id(),
        project_id=release.project_id,
        key=key,
        release_id=release.id,
        direction=direction,
        wanted=wanted,
        state=RolloutState(ROLLOUT_MACHINE.initial),
        reason="",
        actor=actor,
        created_ms=now,
        updated_ms=now,
    )


def _enter(director: Director, rollout: Rollout, site: Site) -> Entry:
    """Direct one site, unless it is on its way there or there already; a site that gave up on the
    very same set is given a new generation, so that it tries again."""
    direction = rollout.direction
    before = site.desires(direction.served_as)
    if before != direction or progress.failed_generation(site) >= site.desired.generation:
        site = director.put(site, direction.served_as, direction)
    entry = Entry(
        id=new_id(),
        project_id=rollout.project_id,
        rollout_id=rollout.id,
        site_id=site.id,
        site_name=site.name,
        generation=site.desired.generation,
        previous=before,
        state=EntryState(ENTRY_MACHINE.initial),
        reason="",
        updated_ms=rollout.created_ms,
    )
    name = progress.judge(entry, direction, site)
    if name is None:
        return entry
    return replace(entry, state=EntryState(ENTRY_MACHINE.apply(entry.state, name)))
