"""Every route of a site's local API: with its key, and without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import httpx2
import pytest
from starlette.routing import Route
from tests.agent.agent_process import AgentProcess, install, request
from tests.agent.hub_simulator import HubSimulator
from tests.idling import outlives_a_client

from dizuo.agent.local_api import LocalApi
from dizuo.agent.slots import Slots
from dizuo.agent.state import SiteState

KEY = "a-key-of-this-site-1"
WRONG: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": ""},
    {"Authorization": KEY},
    {"Authorization": "Bearer"},
    {"Authorization": f"Bearer {KEY}x"},
    {"Authorization": f"Bearer {KEY[:-1]}"},
    {"Authorization": f"Basic {KEY}"},
    {"X-API-Key": KEY},
)


def routes() -> list[tuple[str, str]]:
    """(method, a path of its template) of everything that the local API answers."""
    app = LocalApi(cast(Slots, None), cast(SiteState, None), 1, lambda _: None).app()
    found = [route for route in app.routes if isinstance(route, Route)]
    assert len(found) == len(app.routes)
    return [
        (method, route.path.format(name="meter", version="1"))
        for route in found
        for method in sorted(route.methods or ())
    ]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """A client of one agent that serves `meter` to whoever has the key."""
    folder = tmp_path_factory.mktemp("api")
    hub = HubSimulator(folder / "hub")
    hub.start()
    agent = AgentProcess(folder / "agent", hub)
    agent.settings["DIZUO_AGENT_API_KEY"] = KEY
    agent.join()
    install(agent, hub)
    with httpx2.Client(base_url=agent.url) as client:
        yield client
    agent.kill()
    hub.stop()


def ask(api: httpx2.Client, method: str, path: str, headers: dict[str, str]) -> httpx2.Response:
    body = request(1.0) if method == "POST" else None
    return api.request(method, path, json=body, headers=headers)


def test_a_connection_is_kept_for_longer_than_clients_keep_it(api: httpx2.Client) -> None:
    assert outlives_a_client(str(api.base_url), "/healthz")


def test_without_the_key_no_route_answers(api: httpx2.Client) -> None:
    walked = [*routes(), ("GET", "/nowhere"), ("GET", "/"), ("DELETE", "/status"), ("POST", "/v2")]
    assert len(walked) > 15
    for method, path in walked:
        for headers in WRONG:
            answer = ask(api, method, path, headers)
            assert answer.status_code == 401, (method, path, headers)
            assert KEY not in answer.text
            if method != "HEAD":
                told = answer.json()
                assert "The API key of this site is missing or wrong." in str(told), path
                assert set(told) <= {"error", "code", "message", "next_step", "retryable"}


def test_with_the_key_every_route_answers(api: httpx2.Client) -> None:
    for method, path in routes():
        answer = ask(api, method, path, {"Authorization": f"Bearer {KEY}"})
        if path in ("/v1/chat/completions", "/v1/completions"):  # no language model serves here
            assert answer.status_code == 400, (method, path, answer.text)
            assert "does not say which model is asked" in answer.text
        else:
            assert answer.status_code == 200, (method, path, answer.text)
