"""Who may call the local API: this machine by its name, with JSON, and with the key if there is
one."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from starlette.datastructures import Headers
from tests.agent.agent_process import AgentProcess, request
from tests.agent.hub_simulator import HubSimulator

from dizuo.agent.errors import HostRefused, MediaTypeRefused
from dizuo.agent.local_guard import GuardRules, admit
from dizuo.core.errors import DizuoError, Unauthenticated

KEY = "a-key-of-this-site-1"
LOOPBACK = GuardRules()
KEYED = GuardRules(loopback_only=False, api_key=SecretStr(KEY))


def head(*fields: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in fields])


def host(name: str) -> Headers:
    return head(("host", name))


@pytest.mark.parametrize(
    "name",
    [
        *("localhost", "localhost:8421", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8421"),
        *("[::1]", "[::1]:8421", "127.9.9.9:80"),
    ],
)
def test_this_machine_may_be_called_by_any_of_its_names(name: str) -> None:
    admit(LOOPBACK, "GET", host(name))


@pytest.mark.parametrize(
    "name",
    [
        *("", "evil.example", "evil.example:8421", "localhost.evil.example", "127.0.0.1.nip.io"),
        *("0.0.0.0", "192.168.1.7:8421", "user@localhost", "localhost/x", "localhost#", "[::1"),
        *("localhost:port", "127.0.0.1, evil.example", "\x00", "[::]", "2130706433"),
    ],
)
def test_another_name_is_refused(name: str) -> None:
    with pytest.raises(HostRefused, match="localhost only"):
        admit(LOOPBACK, "GET", host(name))
    admit(GuardRules(loopback_only=False), "GET", host(name))


def test_no_name_and_two_names_are_refused() -> None:
    for headers in (head(), head(("host", "localhost"), ("host", "localhost"))):
        with pytest.raises(HostRefused):
            admit(LOOPBACK, "GET", headers)


@pytest.mark.parametrize(
    "said",
    [
        None,
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        "Bearer ",
        "Bearer",
        "",
        KEY,
        f"Basic {KEY}",
        "Bearer schl\xfcssel",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_the_key_nothing_is_answered(said: str | None, method: str) -> None:
    headers = head() if said is None else head(("authorization", said))
    with pytest.raises(Unauthenticated) as refused:
        admit(KEYED, method, headers)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_key_it_is(scheme: str) -> None:
    admit(KEYED, "GET", head(("authorization", f"{scheme} {KEY}")))


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({}, True),
        ({"content-type": "application/json"}, True),
        ({"content-type": "Application/JSON; charset=utf-8"}, True),
        ({"content-type": "application/json", "origin": "https://evil.example"}, True),
        ({"content-type": "text/plain"}, False),
        ({"content-type": "text/plain; application/json"}, False),
        ({"content-type": "application/x-www-form-urlencoded"}, False),
        ({"content-type": ""}, False),
        ({"origin": "https://evil.example"}, False),  # what `fetch` sends with a Blob of no type
    ],
)
def test_only_json_is_posted(fields: dict[str, str], fits: bool) -> None:
    headers = head(("host", "localhost"), *fields.items())
    admit(LOOPBACK, "GET", headers)
    if fits:
        admit(LOOPBACK, "POST", headers)
        return
    with pytest.raises(MediaTypeRefused, match="Only JSON"):
        admit(LOOPBACK, "POST", headers)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Host": "evil.example"}, 421, "host_refused"),
        ({"Content-Type": "text/plain"}, 415, "media_type_refused"),
    ],
)
def test_a_site_says_why_in_one_sentence(
    site: tuple[AgentProcess, HubSimulator], headers: dict[str, str], status: int, code: str
) -> None:
    agent, _ = site
    url = f"{agent.url}/v2/models/meter/infer"
    answer = httpx2.post(url, json=request(1.0), headers=headers)
    told: dict[str, Any] = answer.json()
    assert (answer.status_code, told["code"]) == (status, code)
    assert told["error"] == f"{told['message']} {told['next_step']}"
    assert agent.sides(3.0) == ["high"]


def test_errors_have_their_own_codes() -> None:
    codes: list[type[DizuoError]] = [HostRefused, MediaTypeRefused]
    assert [(one.code, one.http_status) for one in codes] == [
        ("host_refused", 421),
        ("media_type_refused", 415),
    ]
