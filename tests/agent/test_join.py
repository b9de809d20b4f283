"""Joining, as a person does it and as somebody in between would like it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from tests.agent.hub_simulator import HubSimulator, other_bytes

from dizuo.agent.errors import (
    AlreadyJoined,
    HomeInUse,
    HomeRefused,
    HubRefused,
    HubUnreachable,
    NotJoined,
)
from dizuo.agent.home import AgentHome
from dizuo.agent.join import JoinRequest, join
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.edge.join import JoinToken, JoinTokenMalformed, decode
from dizuo.edge.trust import TrustStore
from dizuo.edge.trust_errors import RootMismatch


@pytest.fixture
def home(tmp_path: Path) -> AgentHome:
    return AgentHome(tmp_path / "agent")


def nothing_left(home: AgentHome) -> bool:
    """Whether a failed join left at most the folder, its lock and the nonce of the next try."""
    left = {path.name for path in home.root.iterdir()} if home.root.exists() else set()
    return left <= {"agent.lock", "join-nonce"}


def enrolled(hub: HubSimulator) -> bool:
    return "POST /edge/v1/enrol" in hub.requests


def test_a_site_gets_its_own_credentials_and_pins_the_root(
    home: AgentHome, hub: HubSimulator
) -> None:
    enrolment = join(home, JoinRequest(hub.token(), "site3"))
    assert home.read_enrolment() == enrolment
    assert (enrolment.site_name, enrolment.project, enrolment.hub_url) == (
        "site3",
        "default",
        hub.url,
    )
    assert stat.S_IMODE(home.site_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.root.stat().st_mode) == 0o700
    assert TrustStore(home.tuf).is_pinned
    assert {path.name for path in home.root.iterdir()} == {"agent.lock", "site.json", "tuf"}
    asked = [line for line in hub.requests if "root.json" in line or "enrol" in line]
    assert asked == ["GET /tuf/1.root.json", "POST /edge/v1/enrol"]


def test_secrets_stay_out_of_the_representation(home: AgentHome, hub: HubSimulator) -> None:
    enrolment = join(home, JoinRequest(hub.token(), "site3"))
    assert enrolment.edge_credential not in repr(enrolment)
    assert enrolment.registry_credential not in repr(enrolment)


def test_another_root_than_the_token_names_learns_no_secret(
    home: AgentHome, hub: HubSimulator
) -> None:
    token = hub.token(root_sha256="sha256:" + "0" * 64)
    with pytest.raises(RootMismatch):
        join(home, JoinRequest(token, "site3"))
    assert not enrolled(hub)
    assert nothing_left(home)


def test_a_root_changed_on_its_way_learns_no_secret(home: AgentHome, hub: HubSimulator) -> None:
    hub.faults.changes["root.json"] = other_bytes
    with pytest.raises(RootMismatch):
        join(home, JoinRequest(hub.token(), "site3"))
    assert not enrolled(hub)
    assert nothing_left(home)


def test_a_token_works_once(home: AgentHome, hub: HubSimulator, tmp_path: Path) -> None:
    token = hub.token()
    join(home, JoinRequest(token, "site3"))
    second = AgentHome(tmp_path / "second")
    with pytest.raises(HubRefused, match="was used or has expired") as refused:
        join(second, JoinRequest(token, "site4"))
    assert refused.value.status == 401
    assert refused.value.next_step == "Ask for a new one."
    assert nothing_left(second)


def test_an_answer_that_was_lost_is_asked_for_again(home: AgentHome, hub: HubSimulator) -> None:
    token = hub.token()
    hub.faults.cuts["/enrol"] = 10
    with pytest.raises(HubUnreachable):
        join(home, JoinRequest(token, "site3"))
    assert set(hub.sites) == {"site3"}
    nonce = home.root / "join-nonce"
    assert stat.S_IMODE(nonce.stat().st_mode) == 0o600
    kept = nonce.read_text()
    assert hub.enrolments == {(decode(token).secret, "site3", kept)}
    hub.faults.cuts.clear()
    assert join(home, JoinRequest(token, "site3")) == home.read_enrolment()
    assert hub.enrolments == {(decode(token).secret, "site3", kept)}
    assert not nonce.exists()


def test_before_the_root_is_known_no_nonce_is_made(home: AgentHome, hub: HubSimulator) -> None:
    with pytest.raises(RootMismatch):
        join(home, JoinRequest(hub.token(root_sha256="sha256:" + "0" * 64), "site3"))
    assert not (home.root / "join-nonce").exists()


def test_a_damaged_nonce_is_made_anew(home: AgentHome, hub: HubSimulator) -> None:
    home.create()
    (home.root / "join-nonce").write_bytes(b"\xff half")
    join(home, JoinRequest(hub.token(), "site3"))
    ((_, _, nonce),) = hub.enrolments
    assert nonce is not None
    assert len(nonce) == 43


def test_after_a_refusal_a_good_token_still_works(home: AgentHome, hub: HubSimulator) -> None:
    used = hub.token(secret="never-issued-by-this-hub")
    with pytest.raises(HubRefused):
        join(home, JoinRequest(used, "site3"))
    join(home, JoinRequest(hub.token(), "site3"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-8],
        lambda token: token[:30] + "!" + token[31:],
        lambda token: "some text",
        lambda token: "",
        lambda token: "dizuo-join-",
    ],
)
def test_a_damaged_token_is_told_before_anything_is_asked(
    home: AgentHome, hub: HubSimulator, spoil: object
) -> None:
    assert callable(spoil)
    with pytest.raises(JoinTokenMalformed) as refused:
        join(home, JoinRequest(spoil(hub.token()), "site3"))
    assert "secret" not in str(refused.value)
    assert hub.requests == []
    assert nothing_left(home)


@pytest.mark.parametrize("name", ["", "Site 3", "-x", "a" * 64, "../x", "site/3"])
def test_a_name_that_cannot_be_one_uses_no_token(
    home: AgentHome, hub: HubSimulator, name: str
) -> None:
    with pytest.raises(InvalidInput, match="cannot be the name of a site"):
        join(home, JoinRequest(hub.token(), name))
    assert hub.requests == []
    assert nothing_left(home)


def test_a_hub_that_is_gone(home: AgentHome, hub: HubSimulator) -> None:
    token = hub.token()
    hub.stop()
    with pytest.raises(HubUnreachable, match="No hub answers at http"):
        join(home, JoinRequest(token, "site3"))
    assert nothing_left(home)


def test_a_hub_that_goes_after_it_showed_its_root(home: AgentHome, hub: HubSimulator) -> None:
    hub.faults.statuses["/enrol"] = 502
    with pytest.raises(HubUnreachable, match="The hub answered 502"):
        join(home, JoinRequest(hub.token(), "site3"))
    assert nothing_left(home)


def test_an_answer_that_is_no_enrolment(home: AgentHome, hub: HubSimulator) -> None:
    hub.faults.changes["/enrol"] = lambda _body: b'{"site_id": 3}'
    with pytest.raises(DizuoError) as refused:
        join(home, JoinRequest(hub.token(), "site3"))
    assert refused.value.code == "hub_answer_broken"
    assert nothing_left(home)


def test_a_site_joins_once(home: AgentHome, hub: HubSimulator) -> None:
    join(home, JoinRequest(hub.token(), "site3"))
    before = home.site_file.read_bytes()
    with pytest.raises(AlreadyJoined, match=r"already the site site3 of http"):
        join(home, JoinRequest(hub.token(), "site4"))
    assert home.site_file.read_bytes() == before


def test_a_folder_in_use_is_left_alone(home: AgentHome, hub: HubSimulator) -> None:
    with home.locked(), pytest.raises(HomeInUse):
        join(home, JoinRequest(hub.token(), "site3"))
    assert hub.requests == []


def test_what_a_killed_join_left_does_not_stand_in_the_way(
    home: AgentHome, hub: HubSimulator
) -> None:
    (home.tuf / "metadata").mkdir(parents=True)
    (home.tuf / "pinned-root.json").write_bytes(b"of another hub")
    with pytest.raises(NotJoined):
        home.read_enrolment()
    join(home, JoinRequest(hub.token(), "site3"))
    assert (home.tuf / "pinned-root.json").read_bytes() != b"of another hub"


def test_a_token_for_nowhere(home: AgentHome) -> None:
    token = JoinToken(
        url="http://127.0.0.1:9", secret="0123456789abcdef", root_sha256="sha256:" + "0" * 64
    )
    with pytest.raises(HubUnreachable, match="No hub answers at http"):
        join(home, JoinRequest(token.encode(), "site3", timeout_seconds=1))
    assert nothing_left(home)


@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:8x1", "https://hub:99999999999"])
def test_a_token_whose_address_cannot_be_one(home: AgentHome, url: str) -> None:
    token = JoinToken(url=url, secret="0123456789abcdef", root_sha256="sha256:" + "0" * 64)
    with pytest.raises((InvalidInput, HubUnreachable), match=r"address of a hub|No hub answers"):
        join(home, JoinRequest(token.encode(), "site3", timeout_seconds=1))
    assert nothing_left(home)


def test_a_folder_that_is_a_file(tmp_path: Path, hub: HubSimulator) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeRefused, match="cannot be used: File exists"):
        join(AgentHome(tmp_path / "file"), JoinRequest(hub.token(), "site3"))
    assert hub.requests == []


@pytest.mark.parametrize("sign", ["hub.lock", "hub.db", "keys"])
def test_a_hubs_folder_is_left_alone(home: AgentHome, hub: HubSimulator, sign: str) -> None:
    home.tuf.mkdir(parents=True)
    (home.tuf / "timestamp.json").write_bytes(b"signed")
    (home.root / sign).touch()
    with pytest.raises(HomeRefused, match="is a hub's folder"):
        join(home, JoinRequest(hub.token(), "site3"))
    assert (home.tuf / "timestamp.json").read_bytes() == b"signed"
    assert hub.requests == []
