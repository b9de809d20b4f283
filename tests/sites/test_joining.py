"""Join tokens and enrolment."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update
from tests.sites.fleet import ACTOR, ROOT, URL, Fleet

from dizuo.access import service as access
from dizuo.access.model import CredentialRefused, Surface
from dizuo.core.clock import now_ms
from dizuo.core.errors import DizuoError
from dizuo.edge import join
from dizuo.edge.wire import EnrolReply, EnrolRequest
from dizuo.sites import service, store
from dizuo.sites.errors import (
    JoinTokenExpired,
    JoinTokenUnknown,
    JoinTokenUsed,
    SiteNameTaken,
    SiteNotFound,
)


def expire(fleet: Fleet) -> None:
    """Let every token's time be over."""
    with fleet.database.transaction() as session:
        session.execute(update(store.JoinTokenRow).values(expires_ms=now_ms() - 1))


def test_a_token_carries_hub_and_root(fleet: Fleet) -> None:
    with fleet.database.transaction() as session:
        issued = service.create_join_token(session, ACTOR, URL, ROOT, ttl_seconds=60)
    token = join.decode(issued.text)
    assert (token.url, token.root_sha256) == (URL, ROOT)
    assert issued.command == f"dizuo agent join {issued.text} --name NAME"
    assert 0 < issued.expires_ms - now_ms() <= 60_000
    assert fleet.actions() == ["join_token.issued"]


def test_the_secret_is_not_kept(fleet: Fleet) -> None:
    secret = join.decode(fleet.token()).secret
    with fleet.database.reading() as session:
        row = session.scalars(select(store.JoinTokenRow)).one()
    assert secret not in repr(vars(row))
    assert row.used_ms is None


def test_joining_gives_two_credentials_for_two_surfaces(fleet: Fleet) -> None:
    reply = fleet.enrol(fleet.token(), "site3")
    assert (reply.site_name, reply.project) == ("site3", "default")
    with fleet.database.reading() as session:
        edge = access.recognise(session, reply.edge_credential, Surface.EDGE)
        registry = access.recognise(session, reply.registry_credential, Surface.REGISTRY)
        assert edge.actor == "site:site3"
        assert registry.name == "site3"
        for secret, other in (
            (reply.edge_credential, Surface.REGISTRY),
            (reply.edge_credential, Surface.API),
            (reply.registry_credential, Surface.EDGE),
            (reply.registry_credential, Surface.API),
        ):
            with pytest.raises(CredentialRefused):
                access.recognise(session, secret, other)
    assert fleet.site("site3").state == "empty"
    assert fleet.actions("site") == ["site.joined"]
    assert fleet.actions("credential") == ["credential.issued"] * 2


def test_a_token_lets_one_site_in(fleet: Fleet) -> None:
    token = fleet.token()
    fleet.enrol(token, "site1")
    with pytest.raises(JoinTokenUsed):
        fleet.enrol(token, "site2")
    with pytest.raises(SiteNotFound):
        fleet.site("site2")


NONCE = "n" * 43


def is_good(fleet: Fleet, secret: str, surface: Surface) -> bool:
    """Whether a credential is accepted now."""
    try:
        with fleet.database.reading() as session:
            access.recognise(session, secret, surface)
    except CredentialRefused:
        return False
    return True


def test_a_site_whose_answer_was_lost_asks_again(any_fleet: Fleet) -> None:
    token = any_fleet.token()
    lost = any_fleet.enrol(token, "site1", NONCE)
    again = any_fleet.enrol(token, "site1", NONCE)
    assert again.site_id == lost.site_id
    for old, new, surface in (
        (lost.edge_credential, again.edge_credential, Surface.EDGE),
        (lost.registry_credential, again.registry_credential, Surface.REGISTRY),
    ):
        assert not is_good(any_fleet, old, surface)
        assert is_good(any_fleet, new, surface)
    assert any_fleet.actions("site") == ["site.joined", "site.joined_again"]
    with any_fleet.database.reading() as session:
        assert len(service.listing(session)) == 1


@pytest.mark.parametrize(
    ("first", "name", "second"),
    [
        (NONCE, "site1", None),
        (NONCE, "site1", "m" * 43),
        (NONCE, "site2", NONCE),
        (None, "site1", NONCE),
        (None, "site1", None),
    ],
)
def test_nobody_else_repeats_an_enrolment(
    fleet: Fleet, first: str | None, name: str, second: str | None
) -> None:
    token = fleet.token()
    reply = fleet.enrol(token, "site1", first)
    fleet.join("site2")
    with pytest.raises(JoinTokenUsed):
        fleet.enrol(token, name, second)
    assert is_good(fleet, reply.edge_credential, Surface.EDGE)


def test_an_enrolment_is_not_repeated_after_its_time(fleet: Fleet) -> None:
    token = fleet.token()
    reply = fleet.enrol(token, "site1", NONCE)
    expire(fleet)
    with pytest.raises(JoinTokenUsed):
        fleet.enrol(token, "site1", NONCE)
    assert is_good(fleet, reply.edge_credential, Surface.EDGE)


def test_a_site_that_was_let_go_does_not_come_back_by_repeating(fleet: Fleet) -> None:
    token = fleet.token()
    fleet.enrol(token, "site1", NONCE)
    with fleet.database.transaction() as session:
        service.remove(session, "site1", ACTOR)
    with pytest.raises(JoinTokenUsed):
        fleet.enrol(token, "site1", NONCE)
    fleet.join("site1")
    with pytest.raises(JoinTokenUsed):
        fleet.enrol(token, "site1", NONCE)


def test_repeats_at_once_all_get_in_and_one_answer_is_good(any_fleet: Fleet) -> None:
    token, start = any_fleet.token(), threading.Barrier(3)
    replies: list[EnrolReply] = []

    def race() -> None:
        start.wait(timeout=30)
        replies.append(any_fleet.enrol(token, "site1", NONCE))

    together([threading.Thread(target=race) for _ in range(3)])
    assert len({reply.site_id for reply in replies}) == 1
    assert [is_good(any_fleet, one.edge_credential, Surface.EDGE) for one in replies].count(
        True
    ) == 1


@pytest.mark.parametrize("nonce", ["", "short", "n" * 87, "n" * 21, "ä" * 43, "n" * 42 + "\n"])
def test_a_nonce_that_could_be_guessed_is_refused(nonce: str) -> None:
    with pytest.raises(ValidationError):
        EnrolRequest(secret="s" * 20, site_name="site1", agent_version="1", nonce=nonce)


def test_an_expired_token_lets_nobody_in(fleet: Fleet) -> None:
    token = fleet.token()
    expire(fleet)
    with pytest.raises(JoinTokenExpired):
        fleet.enrol(token, "site1")


def test_a_used_token_is_called_used_even_when_it_has_expired(fleet: Fleet) -> None:
    token = fleet.token()
    fleet.enrol(token, "site1")
    expire(fleet)
    with pytest.raises(JoinTokenUsed):
        fleet.enrol(token, "site2")


@pytest.mark.parametrize("secret", ["", "guess", "x" * 200])
def test_an_unknown_secret_lets_nobody_in(fleet: Fleet, secret: str) -> None:
    fleet.token()
    request = EnrolRequest(secret=secret, site_name="site1", agent_version="1")
    with pytest.raises(JoinTokenUnknown), fleet.database.transaction() as session:
        service.enrol(session, request)


def test_a_taken_name_leaves_the_token_unused(fleet: Fleet) -> None:
    fleet.join("site1")
    token = fleet.token()
    before = fleet.num_audited()
    with pytest.raises(SiteNameTaken):
        fleet.enrol(token, "site1")
    assert fleet.num_audited() == before
    fleet.enrol(token, "site2")


def together(work: list[threading.Thread]) -> None:
    for thread in work:
        thread.start()
    for thread in work:
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_of_several_agents_with_one_token_exactly_one_gets_in(any_fleet: Fleet) -> None:
    token, start = any_fleet.token(), threading.Barrier(4)
    ends: list[EnrolReply | type[DizuoError]] = []

    def race(name: str) -> None:
        start.wait(timeout=30)
        try:
            ends.append(any_fleet.enrol(token, name))
        except DizuoError as error:
            ends.append(type(error))

    together([threading.Thread(target=race, args=(f"site{n}",)) for n in range(4)])
    winners = [end for end in ends if isinstance(end, EnrolReply)]
    assert len(winners) == 1
    assert Counter(end for end in ends if isinstance(end, type)) == {JoinTokenUsed: 3}
    with any_fleet.database.reading() as session:
        assert [site.name for site in service.listing(session)] == [winners[0].site_name]
    assert any_fleet.actions("site") == ["site.joined"]


def test_of_several_agents_with_one_name_exactly_one_gets_in(any_fleet: Fleet) -> None:
    tokens, start = [any_fleet.token() for _ in range(3)], threading.Barrier(3)
    ends: list[EnrolReply | type[DizuoError]] = []

    def race(token: str) -> None:
        start.wait(timeout=30)
        try:
            ends.append(any_fleet.enrol(token, "site1"))
        except DizuoError as error:
            ends.append(type(error))

    together([threading.Thread(target=race, args=(token,)) for token in tokens])
    assert len([end for end in ends if isinstance(end, EnrolReply)]) == 1
    assert ends.count(SiteNameTaken) == 2


def test_a_site_that_is_let_go_is_locked_out_and_may_come_back(fleet: Fleet) -> None:
    reply = fleet.enrol(fleet.token(), "site1")
    with fleet.database.transaction() as session:
        gone = service.remove(session, "site1", ACTOR)
    assert gone.id == reply.site_id
    with fleet.database.reading() as session:
        for secret, surface in (
            (reply.edge_credential, Surface.EDGE),
            (reply.registry_credential, Surface.REGISTRY),
        ):
            with pytest.raises(CredentialRefused):
                access.recognise(session, secret, surface)
        assert service.listing(session) == []
    assert fleet.actions("site.removed") == ["site.removed"]
    again = fleet.enrol(fleet.token(), "site1")
    assert again.site_id != reply.site_id


def test_what_is_not_there_cannot_be_let_go(fleet: Fleet) -> None:
    with pytest.raises(SiteNotFound), fleet.database.transaction() as session:
        service.remove(session, "site1", ACTOR)
