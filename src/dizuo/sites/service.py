"""Decisions about sites: letting them in, hearing from them, letting them go."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dizuo.access import service as access
from dizuo.access.model import Surface
from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes, sha256_json
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.edge.join import JoinToken
from dizuo.edge.site_machine import SITE_UPDATE
from dizuo.edge.wire import (
    CheckIn,
    CheckInReply,
    DesiredState,
    Direction,
    EnrolReply,
    EnrolRequest,
)
from dizuo.sites import progress, rollout_store, store
from dizuo.sites.errors import (
    JoinTokenExpired,
    JoinTokenUnknown,
    JoinTokenUsed,
    SiteNameTaken,
    SiteNotFound,
)
from dizuo.sites.model import IssuedToken, Site, SiteCounts
from dizuo.sites.rollout_model import Entry

DEFAULT_TOKEN_SECONDS = 24 * 3600
QUIET_MS = 10_000
"""A check-in that says nothing new within this time of the last written one writes nothing."""
ONLINE_PERIODS = 3
"""A site that has missed so many check-ins in a row is no longer called online."""

_NEW_TOKEN = "Ask the hub's operator for a new one: dizuo site token."
_SURFACES = (Surface.EDGE, Surface.REGISTRY)
_MOVES = ("state", "running", "error")
"""What of a site's words may move a rollout on."""
_NEWS = (*_MOVES, "egress_policy", "inference_url", "agent_version")
"""What is audited: also what it lets out, where it answers, and which agent speaks."""


def create_join_token(
    session: Session,
    actor: str,
    url: str,
    root_sha256: str,
    *,
    ttl_seconds: int = DEFAULT_TOKEN_SECONDS,
    project_id: str = DEFAULT_PROJECT,
) -> IssuedToken:
    """A line of text that lets one site in, once, and tells it which hub and which root to trust.

    Only the hash of its secret is kept, so the text is never shown again.

    Raises:
        pydantic.ValidationError: `url` is not an HTTP address; routes check it before.
        InsecureAddress: the site would send its secret unencrypted to another machine.
    """
    secret = secrets.token_urlsafe(32)
    text = JoinToken(url=url, secret=secret, root_sha256=root_sha256).encode()
    now = now_ms()
    row = store.JoinTokenRow(
        id=new_id(),
        project_id=project_id,
        secret_hash=sha256_bytes(secret.encode()),
        actor=actor,
        created_ms=now,
        expires_ms=now + ttl_seconds * 1000,
        used_ms=None,
    )
    store.add_token(session, row)
    detail = {"expires_ms": row.expires_ms}
    subject = f"join_token:{row.id}"
    audit.record(session, actor, "join_token.issued", subject, detail, project_id=project_id)
    return IssuedToken(text, row.expires_ms)


def enrol(session: Session, request: EnrolRequest) -> EnrolReply:
    """Let a site in against its join secret, and give it its own two credentials.

    All in the caller's transaction: of several agents with one token exactly one gets in, and a
    refusal leaves the token as it was. The one that got in may repeat itself, with its nonce and
    within the token's time, should the answer have been lost: it is the same site then, with fresh
    credentials in the place of those that nobody received.

    Raises:
        JoinTokenUnknown, JoinTokenUsed, JoinTokenExpired: the secret opens nothing, no longer, or
            not any more.
        SiteNameTaken: the project has a site of that name.
    """
    token = _token(session, request.secret)
    site = _new_site(request, token.project_id)
    use = {"used_ms": site.joined_ms, "site_id": site.id, "enrolment_digest": _digest(request)}
    if store.use_token(session, token, use):
        _add_site(session, site)
        _record(session, _actor(token), "site.joined", site, {"site_id": site.id})
    else:
        site = _joined_before(session, token, request)
        _revoke(session, site, _actor(token))
        _record(session, _actor(token), "site.joined_again", site, {"site_id": site.id})
    return _admit(session, site, _actor(token))


def _admit(session: Session, site: Site, actor: str) -> EnrolReply:
    credentials = {
        surface: access.issue(session, actor, surface, site.name, project_id=site.project_id)
        for surface in _SURFACES
    }
    return EnrolReply(
        site_id=site.id,
        site_name=site.name,
        project=site.project_id,
        edge_credential=credentials[Surface.EDGE],
        registry_credential=credentials[Surface.REGISTRY],
    )


def check_in(
    session: Session,
    name: str,
    said: CheckIn,
    poll_seconds: float,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> CheckInReply:
    """Hear what a site says about itself and tell it what it shall run.

    One row is read; it is written when something changed or the last write is a while ago. Only
    news about state, error or what runs moves rollouts; those, and changes of what it lets out,
    where it answers and which agent speaks, are audited.

    Raises:
        SiteNotFound: the site was removed.
    """
    before = _get(session, project_id, name, for_update=True)
    told = before.desired.generation
    changes = _changes(before, {**dict(said), "told_generation": told})
    now = now_ms()
    after = before
    if changes or now - before.last_seen_ms >= QUIET_MS:
        after = store.change(session, before, {**changes, "last_seen_ms": now})
    if any(field in changes for field in (*_MOVES, "told_generation")):
        progress.follow(session, after, f"site:{name}")
    news = [field for field in _NEWS if field in changes]
    if news:
        _record(session, f"site:{name}", "site.changed", after, _news(before, after, news))
    return CheckInReply(desired=after.desired, poll_seconds=poll_seconds)


def online_since_ms(poll_seconds: float, now_ms: int) -> int:
    """Since when a site was heard of that is called online. That it was is written once in
    `QUIET_MS` at most, so that much may be missing."""
    return now_ms - int(ONLINE_PERIODS * poll_seconds * 1000) - QUIET_MS


def listing(session: Session, *, project_id: str = DEFAULT_PROJECT) -> list[Site]:
    """Every site, by name."""
    return store.every(session, project_id)


def counts(
    session: Session, seen_since_ms: int, *, project_id: str = DEFAULT_PROJECT
) -> SiteCounts:
    """The sites of a project in figures; those seen since are online."""
    return store.counts(session, project_id, seen_since_ms)


def show(session: Session, name: str, *, project_id: str = DEFAULT_PROJECT) -> Site:
    """The site of this name.

    Raises:
        SiteNotFound: there is none.
    """
    return _get(session, project_id, name)


def directions(
    session: Session,
    name: str,
    *,
    before: int | None = None,
    limit: int | None = None,
    project_id: str = DEFAULT_PROJECT,
) -> list[dict[str, Any]]:
    """The sets a site was directed to, newest first: all of them, or the newest `limit`, or those
    of generations below `before`.

    Raises:
        SiteNotFound: there is no such site.
    """
    site = _get(session, project_id, name)
    return store.directions(session, site.id, before=before, limit=limit)


def ever_directed(
    session: Session, name: str, *, project_id: str = DEFAULT_PROJECT
) -> list[Direction]:
    """Every direction that was ever in the set of a site, some more than once.

    Raises:
        SiteNotFound: there is no such site.
    """
    sets = directions(session, name, project_id=project_id)
    return [Direction.model_validate(one) for made in sets for one in made["stacks"]]


def remove(session: Session, name: str, actor: str, *, project_id: str = DEFAULT_PROJECT) -> Site:
    """Let a site go: its credentials stop working at once, rollouts go on without it. What runs
    there keeps running; the name may join again.

    Raises:
        SiteNotFound: there is no such site.
    """
    site = _get(session, project_id, name, for_update=True)
    _leave_rollouts(session, site, actor)
    _revoke(session, site, actor)
    store.remove(session, site.id)
    _record(session, actor, "site.removed", site, {"site_id": site.id})
    return site


def _leave_rollouts(session: Session, site: Site, actor: str) -> None:
    entries: list[Entry] = rollout_store.entries_of_site(session, site.id, -1)
    rollouts = rollout_store.lock(session, (entry.rollout_id for entry in entries))
    for entry in entries:
        progress.move(session, entry, "stop", actor, "the site was removed")
    for rollout in rollouts:
        progress.settle(session, rollout, actor, "")


def _revoke(session: Session, site: Site, actor: str) -> None:
    for surface in _SURFACES:
        access.revoke(session, actor, surface, site.name, project_id=site.project_id)


def _token(session: Session, secret: str) -> store.JoinTokenRow:
    token = store.token_by_hash(session, sha256_bytes(secret.encode()))
    if token is None:
        raise JoinTokenUnknown("This hub did not issue that join token.", next_step=_NEW_TOKEN)
    if token.used_ms is None and token.expires_ms <= now_ms():
        raise JoinTokenExpired("This join token has expired.", next_step=_NEW_TOKEN)
    return token


def _joined_before(session: Session, token: store.JoinTokenRow, request: EnrolRequest) -> Site:
    """The site that this very request let in before, held until the transaction ends."""
    site = store.by_name(session, token.project_id, request.site_name, for_update=True)
    if (
        site is None
        or site.id != token.site_id
        or request.nonce is None
        or _digest(request) != token.enrolment_digest
        or token.expires_ms <= now_ms()
    ):
        raise JoinTokenUsed("This join token was used already.", next_step=_NEW_TOKEN)
    return site


def _digest(request: EnrolRequest) -> str | None:
    if request.nonce is None:
        return None
    return sha256_json({"site_name": request.site_name, "nonce": request.nonce})


def _actor(token: store.JoinTokenRow) -> str:
    return f"join_token:{token.id}"


def _new_site(request: EnrolRequest, project_id: str) -> Site:
    now = now_ms()
    return Site(
        id=new_id(),
        project_id=project_id,
        name=request.site_name,
        state=SITE_UPDATE.initial,
        desired=DesiredState(generation=0),
        told_generation=0,
        running=DesiredState(generation=0),
        error=None,
        egress_policy="none",
        inference_url="",
        agent_version=request.agent_version,
        bytes_first_install=0,
        bytes_last_update=0,
        samples_waiting=0,
        answers=0,
        joined_ms=now,
        last_seen_ms=now,
    )


def _add_site(session: Session, site: Site) -> None:
    try:
        with session.begin_nested():
            store.add(session, site)
    except IntegrityError as error:
        raise SiteNameTaken(
            f"There is a site {site.name} already.",
            next_step="Choose another name, or remove that site first.",
        ) from error


def _get(session: Session, project_id: str, name: str, *, for_update: bool = False) -> Site:
    site = store.by_name(session, project_id, name, for_update=for_update)
    if site is None:
        raise SiteNotFound(
            f"There is no site {name[:80]!r}.", next_step="List them: dizuo site ls."
        )
    return site


def _changes(before: Site, said: dict[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in said.items() if getattr(before, field) != value}


def _news(before: Site, after: Site, changed: list[str]) -> dict[str, Any]:
    return {
        "from": before.state,
        "to": after.state,
        "generation": after.running.generation,
        "error": after.error.code if after.error else "",
        **{field: getattr(after, field) for field in changed if field not in _MOVES},
    }


def _record(session: Session, actor: str, action: str, site: Site, detail: dict[str, Any]) -> None:
    audit.record(session, actor, action, site.subject, detail, project_id=site.project_id)
