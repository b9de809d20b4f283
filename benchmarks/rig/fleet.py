"""Enrolled sites for a hub that runs: let in as agents are, or many at once by the hub's rooms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx2
from sqlalchemy.orm import Session

from dizuo.client.hub import HubClient
from dizuo.core.digests import sha256_bytes
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.edge import join
from dizuo.edge.wire import CheckIn, DesiredState, Direction, EnrolReply, EnrolRequest
from dizuo.sites import service, store

AGENT_VERSION = "0.1.0"
SERVED = DesiredState(
    generation=1,
    stacks=(
        Direction(
            served_as="meter",
            name="meter-reading",
            version=1,
            digest=sha256_bytes(b"benchmarks.check_in"),
            family="vision",
            target="onnx",
        ),
    ),
)
"""What every site of the fleet is directed to and says it runs; nobody fetches it."""

_ACTOR = "operator:benchmark"
_SITES_PER_TRANSACTION = 250


def enrol_by_route(hub: HubClient, names: Sequence[str]) -> list[EnrolReply]:
    """Let sites in over HTTP, each with a join token of its own, as `dizuo agent join` does."""
    replies = []
    with httpx2.Client(base_url=hub.url, timeout=30) as client:
        for name in names:
            secret = join.decode(hub.make_join_token({})["token"]).secret
            request = EnrolRequest(secret=secret, site_name=name, agent_version=AGENT_VERSION)
            answer = client.post("/edge/v1/enrol", content=request.model_dump_json())
            replies.append(EnrolReply.model_validate_json(answer.raise_for_status().content))
    return replies


def enrol_in_bulk(home: Path, url: str, names: Sequence[str]) -> list[EnrolReply]:
    """Let sites in by the sites service, many in one transaction, into the database of a hub's
    home; the hub may run."""
    database = Database(sqlite_url(home / "hub.db"))
    replies: list[EnrolReply] = []
    for start in range(0, len(names), _SITES_PER_TRANSACTION):
        with database.transaction() as session:
            for name in names[start : start + _SITES_PER_TRANSACTION]:
                replies.append(_enrol(session, url, name))
    database.close()
    return replies


def _enrol(session: Session, url: str, name: str) -> EnrolReply:
    root = sha256_bytes(b"")  # what a site would trust; none of these verifies anything
    token = service.create_join_token(session, _ACTOR, url, root)
    secret = join.decode(token.text).secret
    request = EnrolRequest(secret=secret, site_name=name, agent_version=AGENT_VERSION)
    return service.enrol(session, request)


def settle(home: Path) -> None:
    """Let every site of a hub's home be directed to `SERVED` and serve it, as if all had said so a
    while ago: from then on a check-in brings no news."""
    database = Database(sqlite_url(home / "hub.db"))
    settled = {
        "desired": SERVED,
        "told_generation": SERVED.generation,
        "running": SERVED,
        "state": "serving",
        "last_seen_ms": 0,
    }
    with database.transaction() as session:
        for site in service.listing(session, project_id=DEFAULT_PROJECT):
            store.change(session, site, settled)
    database.close()


def check_in_body(answers: int) -> bytes:
    """What a settled site that has given so many answers says about itself."""
    said = CheckIn(
        state="serving",
        running=SERVED,
        bytes_first_install=1_000_000,
        answers=answers,
        agent_version=AGENT_VERSION,
    )
    return said.model_dump_json().encode()
