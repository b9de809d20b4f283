"""Joining a hub: from a line of text to a site with its own credentials and a pinned root.

The order is the point: the root is fetched and pinned against the digest in the token before the
one-time secret is shown to anybody, so whoever answers at the hub's address without the hub's keys
learns nothing. Unless all of it worked, nothing is left behind but a nonce (`join-nonce`): the next
try says it again, so that the hub knows the site whose answer was lost, and lets it in.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import httpx2
from pydantic import ValidationError

from dizuo import __version__
from dizuo.agent.errors import AlreadyJoined, HubUnreachable
from dizuo.agent.home import AgentHome, Enrolment
from dizuo.agent.hub_client import HubClient, open_client
from dizuo.core.errors import InvalidInput
from dizuo.core.files import write_atomic
from dizuo.core.ids import new_id
from dizuo.edge.join import JoinToken, decode
from dizuo.edge.trust import TrustStore, find_root
from dizuo.edge.trust_errors import TrustUnreachable
from dizuo.edge.tuf_fetcher import HttpFetcher
from dizuo.edge.wire import EnrolReply, EnrolRequest

_NONCE_FILE = "join-nonce"
_NONCE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a person brings to a new site: the token, and the name it shall have."""

    token: str
    site_name: str
    hub_ca: Path | None = None
    timeout_seconds: float = 20.0


def join(home: AgentHome, request: JoinRequest) -> Enrolment:
    """Make this folder a site of the token's hub.

    Raises:
        AlreadyJoined: it is one already.
        HomeInUse: an agent works in it.
        InvalidInput: the token or the name is not of its form.
        TrustRefused: the hub does not have the root that the token names.
        HubUnreachable: the hub does not answer; the same token and name may be tried again.
        HubRefused: the token is expired, used or unknown; says which.
    """
    token = decode(request.token)
    enrolling = _enrol_request(token, request.site_name)
    with home.locked():
        if home.site_file.exists():
            site = home.read_enrolment()
            raise AlreadyJoined(
                f"{home.root} is already the site {site.site_name} of {site.hub_url}.",
                next_step="Use another folder with --home for another site.",
            )
        aside = home.root / f".joining-{new_id()}"
        try:
            return _join(home, request, token, enrolling, aside)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _enrol_request(token: JoinToken, site_name: str) -> EnrolRequest:
    try:
        return EnrolRequest(secret=token.secret, site_name=site_name, agent_version=__version__)
    except ValidationError as error:
        raise InvalidInput(
            f"{site_name[:80]!r} cannot be the name of a site.",
            next_step="Use 1 to 63 lower-case letters, digits, dots, dashes and underscores.",
        ) from error


def _join(
    home: AgentHome, request: JoinRequest, token: JoinToken, enrolling: EnrolRequest, aside: Path
) -> Enrolment:
    with open_client(
        token.url, ca=request.hub_ca, timeout_seconds=request.timeout_seconds
    ) as client:
        _pin(client, token, aside)
        nonce = _nonce(home.root / _NONCE_FILE)
        reply = HubClient(client).enrol(enrolling.model_copy(update={"nonce": nonce}))
    enrolment = _enrolment(token, reply)
    shutil.rmtree(home.tuf, ignore_errors=True)  # of a join that was killed before it was done
    os.replace(aside, home.tuf)
    home.write_enrolment(enrolment)
    (home.root / _NONCE_FILE).unlink(missing_ok=True)
    return enrolment


def _nonce(path: Path) -> str:
    """The nonce of an earlier try, or a new one, on disk before anybody sees it."""
    if path.exists():
        kept = path.read_text("ascii", errors="replace")
        if _NONCE.fullmatch(kept):
            return kept
    made = secrets.token_urlsafe(32)
    write_atomic(path, made.encode(), mode=0o600)
    return made


def _pin(client: httpx2.Client, token: JoinToken, directory: Path) -> None:
    try:
        root = find_root(HttpFetcher(client), token.root_sha256)
    except TrustUnreachable as error:
        raise HubUnreachable(
            f"No hub answers at {token.url}, which the join token names.",
            next_step="See that it runs and can be reached from here; the token is still good.",
        ) from error
    TrustStore(directory).pin_root(root, token.root_sha256)


def _enrolment(token: JoinToken, reply: EnrolReply) -> Enrolment:
    return Enrolment(
        hub_url=token.url,
        site_id=reply.site_id,
        site_name=reply.site_name,
        project=reply.project,
        edge_credential=reply.edge_credential,
        registry_credential=reply.registry_credential,
    )
