"""A composed hub, everything on PostgreSQL, as people and programs meet it over HTTP."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import make_url, text
from tests.client.serving import served
from tests.conftest import require_program
from tests.hub.audit_watch import AuditWatch, watching
from tests.improvements import scene
from tests.improvements.conftest import parrot_family, until

from dizuo.access import accounts, sessions
from dizuo.access.model import Role
from dizuo.artifacts.layout import Layout
from dizuo.database.engine import Database
from dizuo.edge.join import decode
from dizuo.edge.wire import CheckIn, DesiredState
from dizuo.hub import home as homes
from dizuo.hub.app import attach, create_app, running_hub
from dizuo.hub.settings import HubSettings
from dizuo.releases.keys import init_keys
from dizuo.releases.renewal import renew
from dizuo.releases.repository import Repository
from dizuo.releases.roots import note_roots

__all__ = ["parrot_family"]  # a fixture here too
PATH = "/api/v1/improvements"
RESTS = ("done", "failed", "rejected", "awaiting_approval", "awaiting_review")


@dataclass
class Town:
    """A hub that answers, and a client for each role."""

    url: str
    home: Path
    database: Database
    clients: dict[str, httpx2.Client]

    def call(self, role: str, method: str, path: str, **options: Any) -> httpx2.Response:
        return self.clients[role].request(method, path, **options)

    def rests(self, improvement_id: str) -> dict[str, Any]:
        """The improvement once nobody but a person moves it; sites do what they are told."""

        def rests() -> bool:
            scene.obey(self.database)
            return self.improvement(improvement_id)["state"] in RESTS

        until(rests)
        return self.improvement(improvement_id)

    def improvement(self, improvement_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("reader", "GET", f"{PATH}/{improvement_id}").json()
        return found

    def audited(self, action: str) -> dict[str, Any]:
        """The newest audit entry of an action."""
        entries = self.call("reader", "GET", "/api/v1/audit", params={"limit": 1000}).json()[
            "items"
        ]
        found: dict[str, Any] = [one for one in entries if one["action"] == action][-1]
        return found


def body(**changes: Any) -> dict[str, Any]:
    return {
        "recipe": scene.RECIPE,
        "dataset": scene.DATASET,
        "family": "parrot",
        "sites": [scene.SITES[0]],
        **changes,
    }


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    server = Database(postgres_url)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE composed"))
        yield make_url(postgres_url).set(database="composed").render_as_string(hide_password=False)
        connection.execute(text("DROP DATABASE composed WITH (FORCE)"))
    server.close()


@pytest.fixture(scope="module")
def watch() -> Iterator[AuditWatch]:
    """Sees all that is written from before the hub opens."""
    with watching() as watch:
        yield watch


@pytest.fixture(scope="module")
def town(
    database_url: str,
    parrot_family: None,
    watch: AuditWatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("town") / "home"
    settings = HubSettings(home=home, database_url=database_url)
    init_keys(home)
    homes.make_folders(home)
    app = create_app(settings)
    with homes.exclusive(settings):
        assert homes.prepare(settings)
        with running_hub(settings) as hub, served(app) as url:
            attach(app, hub)
            scene.add_sites(hub.database)
            tokens = {role.word: scene.token_of(hub.database, role) for role in Role}
            clients = {
                word: httpx2.Client(
                    base_url=url,
                    headers={"Authorization": f"Bearer {token}"},
                    trust_env=False,
                    timeout=60,
                )
                for word, token in tokens.items()
            }
            yield Town(url, home, hub.database, clients)
            for client in clients.values():
                client.close()


@pytest.fixture(scope="module")
def improved(town: Town) -> dict[str, Any]:
    """What a releaser's improvement came to."""
    scene.add_reviewed(town.database, town.home)
    begun = town.call("releaser", "POST", PATH, json=body())
    assert begun.status_code == 201, begun.text
    return town.rests(begun.json()["id"])


def test_a_releasers_improvement_ends_at_the_site(town: Town, improved: dict[str, Any]) -> None:
    assert improved["state"] == "done", improved["reason"]
    site = town.call("reader", "GET", f"/api/v1/sites/{scene.SITES[0]}").json()
    assert [one["name"] for one in site["desired"]["stacks"]] == ["caller"]
    assert town.call("reader", "GET", "/api/v1/audit/verify").json()["ok"]


def test_a_builders_improvement_waits_for_a_releaser(town: Town, improved: dict[str, Any]) -> None:
    scene.add_reviewed(town.database, town.home, start=60)
    begun = town.call("builder", "POST", PATH, json=body(sites=[scene.SITES[1]]))
    waiting = town.rests(begun.json()["id"])
    assert waiting["state"] == "awaiting_approval", waiting["reason"]
    address = f"{PATH}/{waiting['id']}"
    assert town.call("builder", "POST", f"{address}/approve").status_code == 403
    assert town.call("releaser", "POST", f"{address}/approve").json()["state"] == "releasing"
    done = town.rests(waiting["id"])
    assert (done["state"], done["approver"]) == ("done", "operator:releaser")
    for action in ("release.signed", "rollout.started", "site.directed"):
        assert town.audited(action)["actor"] == "operator:releaser", action
    for action in ("release.signed", "rollout.started"):
        assert town.audited(action)["detail"]["started_by"] == "operator:builder"
    again = town.call("releaser", "POST", f"{address}/reject")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "transition_refused")


def test_an_improvement_that_waits_for_reviews_says_so(
    town: Town, improved: dict[str, Any]
) -> None:
    begun = town.call("builder", "POST", PATH, json=body(min_samples=500)).json()
    assert begun["state"] == "awaiting_review"
    assert town.rests(begun["id"])["reason"] == (
        "It waits for reviewed samples of caller: 0 of 500 are there."
    )
    ended = town.call("releaser", "POST", f"{PATH}/{begun['id']}/reject").json()
    assert ended["state"] == "rejected"


def test_an_admin_says_for_the_project_whether_a_person_must_approve(town: Town) -> None:
    address = f"{PATH}/policy"
    before = town.call("reader", "GET", address).json()
    assert before == {"require_approval": False, "actor": ""}
    said = town.call("admin", "PUT", address, json={"require_approval": True}).json()
    assert said == {"require_approval": True, "actor": "operator:admin"}
    assert town.call("reader", "GET", address).json() == said
    assert (
        town.call("releaser", "PUT", address, json={"require_approval": False}).status_code == 403
    )
    for wrong in ({}, {"require_approval": "perhaps"}, {"require_approval": False, "x": 1}):
        assert town.call("admin", "PUT", address, json=wrong).status_code == 400
    assert town.audited("improvement_policy.set")["subject"] == "project:default"
    town.call("admin", "PUT", address, json={"require_approval": False})


def test_improvements_are_listed_newest_first(town: Town, improved: dict[str, Any]) -> None:
    items = town.call("reader", "GET", PATH).json()["items"]
    assert items[-1]["id"] == improved["id"]
    assert len(town.call("reader", "GET", PATH, params={"limit": 1}).json()["items"]) == 1
    assert town.call("reader", "GET", PATH, params={"limit": 0}).status_code == 400


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"recipe": "name: ["}, 400, "recipe_refused"),
        ({"sites": ["atlantis"]}, 404, "site_not_found"),
        ({"sites": []}, 400, "invalid_input"),
        ({"holdout": 0.9}, 400, "invalid_input"),
        ({"min_samples": -1}, 400, "invalid_input"),
        ({"min_samples": "many"}, 400, "invalid_input"),
        ({"dataset": "songs"}, 400, "improvement_refused"),
        ({"colour": "red"}, 400, "invalid_input"),
        ({"recipe": "x" * 300_000}, 400, "invalid_input"),
    ],
)
def test_a_bad_request_starts_nothing(
    town: Town, wrong: dict[str, Any], status: int, code: str
) -> None:
    before = len(town.call("reader", "GET", PATH).json()["items"])
    answer = town.call("releaser", "POST", PATH, json=body(**wrong))
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert len(town.call("reader", "GET", PATH).json()["items"]) == before


def test_an_improvement_that_is_not_there(town: Town) -> None:
    answer = town.call("reader", "GET", f"{PATH}/none")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "improvement_not_found")


def test_skopeo_copies_a_release_with_a_persons_registry_token(
    town: Town, improved: dict[str, Any], tmp_path: Path
) -> None:
    made = town.call("admin", "POST", "/api/v1/tokens", json={"name": "bob", "role": "registry"})
    release = town.call("reader", "GET", "/api/v1/releases/caller:1").json()
    copied = _copy(town, tmp_path, made.json()["token"])
    assert copied.returncode == 0, copied.stderr
    index = json.loads((tmp_path / "copy" / "index.json").read_bytes())
    assert [one["digest"] for one in index["manifests"]] == [release["digest"]]
    assert Layout(tmp_path / "copy").read(release["digest"])


@pytest.mark.parametrize("role", ["admin", "reader"])
def test_an_operators_token_opens_no_registry(
    town: Town, improved: dict[str, Any], tmp_path: Path, role: str
) -> None:
    token = town.clients[role].headers["Authorization"].removeprefix("Bearer ")
    copied = _copy(town, tmp_path, token)
    assert copied.returncode != 0
    assert "unauthorized" in copied.stderr.lower()


def _copy(town: Town, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    address = town.url.removeprefix("http://")
    command = [
        *(require_program("skopeo"), "--insecure-policy", "copy", "--all"),
        *("--src-creds", f"x:{token}", "--src-tls-verify=false"),
        *(f"docker://{address}/default/caller:1", f"oci:{folder}/copy:caller"),
    ]
    return subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)


# Last, since it looks back on all of the above.


def test_everything_written_is_audited(
    town: Town, watch: AuditWatch, improved: dict[str, Any]
) -> None:
    bring_data(town)
    run_and_cancel(town)
    live_as_a_site(town)
    change_and_take_back(town)
    scene.obey(town.database)
    assert watch.broken == []
    assert watch.num_audited > 50
    assert town.call("reader", "GET", "/api/v1/audit/verify").json()["ok"]


def asked(town: Town, role: str, method: str, path: str, **options: Any) -> dict[str, Any]:
    answer = town.call(role, method, f"/api/v1/{path}", **options)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()
    return found


def bring_data(town: Town) -> None:
    rows = b"".join(b'{"text": "t%d", "label": "squawk"}\n' % number for number in range(20))
    digest = asked(town, "builder", "PUT", "uploads", content=rows)["digest"]
    wanted = {"upload": digest, "format": "jsonl", "family": "parrot", "holdout": 0.2}
    asked(town, "builder", "POST", "datasets/words/versions", json=wanted)


def run_and_cancel(town: Town) -> None:
    recipe = scene.recipe(again="yes")
    run = asked(town, "builder", "POST", "runs", json={"kind": "tune", "recipe": recipe})
    asked(town, "builder", "POST", f"runs/{run['id']}/cancel")

    def has_ended() -> bool:
        return asked(town, "reader", "GET", f"runs/{run['id']}")["finished_ms"] is not None

    until(has_ended)


def live_as_a_site(town: Town) -> None:
    token = asked(town, "admin", "POST", "join-tokens", json={})["token"]
    body = {"secret": decode(token).secret, "site_name": "quarry", "agent_version": "1"}
    joined = httpx2.post(f"{town.url}/edge/v1/enrol", json=body, trust_env=False).json()
    site = httpx2.Client(
        base_url=town.url,
        headers={"Authorization": f"Bearer {joined['edge_credential']}"},
        trust_env=False,
    )
    with site:
        for answers in (0, 5):
            said = CheckIn(state="empty", running=DesiredState(generation=0), answers=answers)
            assert site.post("/edge/v1/check-in", json=said.model_dump()).is_success
    for digest in scene.add_returned(town.database, town.home, 2, start=200, site="quarry"):
        verdict = {"label": "squawk"}
        asked(town, "builder", "POST", f"review/{digest}", json=verdict)
        asked(town, "builder", "POST", f"review/{digest}", json={"unusable": True, "correct": True})
    asked(town, "admin", "DELETE", "sites/quarry")


def live_as_a_person(town: Town) -> None:
    wanted = {"name": "mary", "role": "reader", "password": "only she knows it"}
    asked(town, "admin", "POST", "accounts", json=wanted)
    with pytest.raises(sessions.SignInRefused):
        sessions.sign_in(town.database, "mary", "guessed by another", "test")
    for _ in range(2):
        secret = sessions.sign_in(town.database, "mary", wanted["password"], "test")
        with town.database.reading() as session:
            mary = sessions.recognise(session, secret)
        in_a_minute = mary.seen_ms + 60_000
        sessions.touch(town.database, mary, clock=partial(int, in_a_minute))
    with town.database.transaction() as session:
        sessions.sign_out(session, mary)
        accounts.set_preferences(session, mary, "zh", "dark")
    asked(town, "admin", "PUT", "accounts/mary/role", json={"role": "builder"})
    asked(town, "admin", "PUT", "accounts/mary/password", json={"password": "another of hers"})
    for action in ("disable", "enable"):
        asked(town, "admin", "POST", f"accounts/mary/{action}")


def change_and_take_back(town: Town) -> None:
    wanted = {"stack": "caller:1", "sites": [scene.SITES[1]], "served_as": "other", "key": "k"}
    rollout = asked(town, "releaser", "POST", "rollouts", json=wanted)
    asked(town, "releaser", "POST", f"rollouts/{rollout['id']}/stop")
    asked(town, "releaser", "POST", f"rollouts/{rollout['id']}/rollback")
    asked(town, "admin", "POST", "tokens", json={"name": "eve", "role": "reader"})
    asked(town, "admin", "DELETE", "tokens/eve")
    live_as_a_person(town)
    begun = asked(town, "builder", "POST", "improvements", json=body(min_samples=900))
    asked(town, "releaser", "POST", f"improvements/{begun['id']}/reject")
    asked(town, "releaser", "POST", "releases/caller:1/withdraw")
    renew(town.home, town.home / "keys" / "offline")
    note_roots(town.database, Repository(town.home), "hub:witness")
    assert town.audited("keys.renewed")["detail"]["version"] == 2
