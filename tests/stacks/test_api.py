"""`/api/v1/stacks` and `/api/v1/recipes`, as a client meets them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.gates.scene import labelled
from tests.stacks.scene import RECIPE, Workshop

from dizuo.access import service as access
from dizuo.access.http import install_error_handler
from dizuo.access.model import Role, Surface
from dizuo.gates import service as gates
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.stacks import api
from dizuo.stacks.model import StackVersion


@pytest.fixture
def app(workshop: Workshop) -> FastAPI:
    app = FastAPI()
    app.state.database, app.state.layout = workshop.database, workshop.layout
    install_error_handler(app)
    app.include_router(api.router)
    return app


def token(workshop: Workshop, surface: Surface = Surface.API) -> dict[str, str]:
    with workshop.database.transaction() as session:
        role = Role.READER if surface is Surface.API else None
        secret = access.issue(session, "test", surface, "reader", role=role)
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def client(app: FastAPI, workshop: Workshop) -> Iterator[TestClient]:
    with TestClient(app, headers=token(workshop)) as client:
        yield client


@pytest.fixture
def reader(workshop: Workshop) -> StackVersion:
    """`reader:1` on `alphabet:1`."""
    base = workshop.build("run-0", name="alphabet")
    return workshop.build("run-1", parent=base, recipe=RECIPE)


ROUTES = [
    ("GET", "/api/v1/stacks"),
    ("GET", "/api/v1/stacks/reader"),
    ("GET", "/api/v1/stacks/reader/1"),
    ("GET", "/api/v1/stacks/reader/1/report"),
    ("GET", "/api/v1/references?stack=reader:1"),
    ("POST", "/api/v1/recipes/check"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_asks_for_a_credential_of_its_surface(
    app: FastAPI, workshop: Workshop, method: str, path: str
) -> None:
    body = {"text": RECIPE} if method == "POST" else None
    with TestClient(app) as client:
        assert client.request(method, path, json=body).status_code == 401
        for surface in (Surface.EDGE, Surface.REGISTRY):
            headers = token(workshop, surface)
            assert client.request(method, path, json=body, headers=headers).status_code == 401


def test_stacks_are_listed_by_their_newest_version(
    client: TestClient, workshop: Workshop, reader: StackVersion
) -> None:
    workshop.build("run-2")
    items = client.get("/api/v1/stacks").json()["items"]
    assert [item["ref"] for item in items] == ["alphabet:1", "reader:2"]
    assert "recipe" not in items[0]
    items = client.get("/api/v1/stacks/reader").json()["items"]
    assert [item["ref"] for item in items] == ["reader:2", "reader:1"]
    assert items[1]["digest"] == reader.digest


def test_one_version_shows_its_layers_relatives_and_recipe(
    client: TestClient, reader: StackVersion
) -> None:
    shown = client.get("/api/v1/stacks/reader/1").json()
    assert shown["recipe"] == RECIPE
    assert (shown["ref"], shown["level"], shown["report"]) == ("reader:1", "L1", None)
    assert [one["ref"] for one in shown["ancestors"]] == ["alphabet:1"]
    layers = shown["layers"]["table"]
    assert [(layer["level"], layer["name"]) for layer in layers] == [
        ("L0", "alphabet"),
        ("L1", "reader"),
    ]
    (file,) = layers[1]["files"]
    assert (file["path"], file["role"]) == ("model.json", "weights")
    assert layers[1]["bytes"] == file["bytes"] > 0
    own = sum(shown["layers"][target][1]["bytes"] for target in ("safetensors", "table"))
    assert shown["bytes_added"] == own
    below = client.get("/api/v1/stacks/alphabet/1").json()
    assert [one["ref"] for one in below["children"]] == ["reader:1"]


def test_the_report_is_summed_up_and_shown_whole(
    client: TestClient, workshop: Workshop, reader: StackVersion
) -> None:
    missing = client.get("/api/v1/stacks/reader/1/report")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "report_missing"
    assert missing.json()["error"]["next_step"] == "Run dizuo gate reader:1."
    rule = RuleResult({"suite": "a@1"}, "it holds", Verdict.FAIL, "It does not.")
    report = GateReport("reader:1", reader.digest, "tally", 0, 1000, {}, (rule,))
    with workshop.database.transaction() as session:
        stored = gates.save_report(session, reader.digest, report)
    whole = client.get("/api/v1/stacks/reader/1/report").json()
    assert (whole["id"], whole["digest"], whole["passed"]) == (stored.id, report.digest, False)
    assert whole["rules"][0]["verdict"] == "fail"
    summary = client.get("/api/v1/stacks/reader/1").json()["report"]
    assert summary["summary"] == "reader:1 has not passed: 0 of 1 gates were met."


def test_a_reference_is_found_with_all_of_its_parts(
    client: TestClient, reader: StackVersion
) -> None:
    for text in ("reader", "reader:1", f"default/reader:1@{reader.digest}", reader.digest):
        found = client.get("/api/v1/references", params={"stack": text}).json()
        assert (found["ref"], found["digest"]) == ("reader:1", reader.digest), text
        assert "recipe" not in found


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("reader:1@sha256:" + "0" * 64, 404, "stack_not_found"),
        ("other/reader:1", 404, "stack_not_found"),
        ("sha256:" + "0" * 64, 404, "stack_not_found"),
        ("READER", 400, "invalid_reference"),
        ("", 400, "invalid_reference"),
        ("x" * 301, 400, "invalid_input"),
        (None, 400, "invalid_input"),
    ],
)
def test_what_a_reference_does_not_find(
    client: TestClient, reader: StackVersion, text: str | None, status: int, code: str
) -> None:
    reply = client.get("/api/v1/references", params={} if text is None else {"stack": text})
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/stacks/nobody", 404, "stack_not_found"),
        ("/api/v1/stacks/reader/9", 404, "stack_not_found"),
        ("/api/v1/stacks/reader/9/report", 404, "stack_not_found"),
        ("/api/v1/stacks/READER/1", 400, "invalid_reference"),
        ("/api/v1/stacks/reader/0", 400, "invalid_input"),
        ("/api/v1/stacks/reader/x", 400, "invalid_input"),
        (f"/api/v1/stacks/reader/{'9' * 30}", 400, "invalid_input"),
    ],
)
def test_what_is_not_there(
    client: TestClient, reader: StackVersion, path: str, status: int, code: str
) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_a_good_recipe_is_checked_and_found_again_once_built(
    client: TestClient, workshop: Workshop
) -> None:
    rows = labelled(60)
    base = workshop.build("run-0", name="alphabet")
    for index, name in enumerate(["words", "words-test", "letters-test"]):
        workshop.dataset(name, rows[index * 20 : index * 20 + 20])
    checked = client.post("/api/v1/recipes/check", json={"text": RECIPE}).json()
    assert checked["ok"] is True
    assert (checked["name"], checked["parent"], checked["num_gates"]) == (
        "reader",
        "alphabet:1",
        4,
    )
    assert checked["built"] is None
    workshop.build("run-1", parent=base, input_digest=checked["input_digest"])
    again = client.post("/api/v1/recipes/check", json={"text": RECIPE}).json()
    assert again["built"] == "reader:1"


def test_a_bad_recipe_has_problems_with_lines(client: TestClient) -> None:
    text = RECIPE.replace("seed: 7", "sead: 7").replace("level: L1", "level: L9")
    reply = client.post("/api/v1/recipes/check", json={"text": text, "source_name": "r.yaml"})
    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "recipe_refused"
    assert reply.json()["error"]["message"].startswith("r.yaml, line 3 (and 1 more)")
    assert [(p["line"], p["path"]) for p in reply.json()["problems"]] == [
        (3, ["level"]),
        (16, ["sead"]),
    ]


def test_what_a_recipe_names_and_is_not_there_has_its_line_too(client: TestClient) -> None:
    reply = client.post("/api/v1/recipes/check", json={"text": RECIPE})
    assert reply.status_code == 400
    assert [problem["line"] for problem in reply.json()["problems"]] == [5, 7, 11, 13]


@pytest.mark.parametrize("body", [{}, {"text": 7}, {"text": "a", "extra": 1}, [], "text"])
def test_a_body_of_another_form_is_refused(client: TestClient, body: object) -> None:
    reply = client.post("/api/v1/recipes/check", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_input")
