"""`/api/v1` for datasets and review, as a client meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from tests.datasets.scene import base64_of, distinct_words, jsonl, png, sample, tar_of

from dizuo.access import service as access
from dizuo.access.http import install_error_handler
from dizuo.access.model import Role, Surface
from dizuo.core.digests import sha256_bytes
from dizuo.database.engine import Database
from dizuo.datasets import api, samples


@pytest.fixture
def app(database: Database, home: Path) -> FastAPI:
    app = FastAPI()
    app.state.database, app.state.home = database, home
    install_error_handler(app)
    app.include_router(api.router)
    return app


def token(database: Database, role: Role, surface: Surface = Surface.API) -> dict[str, str]:
    with database.transaction() as session:
        secret = access.issue(session, "test", surface, role.word, role=role)
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def client(app: FastAPI, database: Database) -> Iterator[TestClient]:
    with TestClient(app, headers=token(database, Role.BUILDER)) as client:
        yield client


def upload(client: TestClient, data: bytes) -> str:
    reply = client.put("/api/v1/uploads", content=data)
    assert reply.status_code == 201, reply.text
    digest: str = reply.json()["digest"]
    return digest


def post_version(client: TestClient, name: str, data: bytes, **body: Any) -> Any:
    body = {"upload": upload(client, data), "format": "jsonl", "family": "words"} | body
    return client.post(f"/api/v1/datasets/{name}/versions", json=body)


def rows_of(texts: list[str], label: str = "a") -> bytes:
    return jsonl(*({"text": text, "label": label} for text in texts))


def test_upload_import_look_and_compare(client: TestClient, home: Path) -> None:
    first = post_version(client, "tickets", rows_of(["abc", "def"]) + b"nonsense\n")
    assert first.status_code == 201, first.text
    answer = first.json()
    assert (answer["num_accepted"], answer["num_rejected"]) == (2, 1)
    assert answer["rejects"] == [{"place": "line 3", "reason": "the line is not JSON"}]
    assert [(v["name"], v["version"], v["new"]) for v in answer["versions"]] == [
        ("tickets", 1, True)
    ]
    post_version(client, "tickets", rows_of(["ghi"]))

    [summary] = client.get("/api/v1/datasets").json()["items"]
    assert (summary["name"], summary["num_versions"], summary["latest"]["version"]) == (
        "tickets",
        2,
        2,
    )
    shown = client.get("/api/v1/datasets/tickets").json()
    assert [version["num_rows"] for version in shown["versions"]] == [2, 3]
    one = client.get("/api/v1/datasets/tickets/versions/1").json()
    assert one["digest"] == answer["versions"][0]["digest"]
    rejects = client.get("/api/v1/datasets/tickets/versions/1/rejects").json()
    assert rejects == {"items": answer["rejects"], "total": 1}
    rows = client.get("/api/v1/datasets/tickets/versions/2/rows?offset=1&limit=1").json()
    assert rows["total"] == 3
    assert [row["columns"]["text"] for row in rows["items"]] == ["def"]
    diff = client.get("/api/v1/datasets/tickets/diff?from=1&to=2").json()
    assert (diff["num_added"], diff["num_removed"], diff["num_unchanged"]) == (1, 0, 2)


def test_images_arrive_as_a_tar_file_and_leave_as_base64(client: TestClient) -> None:
    files = {f"{label}/{seed}.png": png(seed) for seed, label in enumerate("7788")}
    data = tar_of(files | {"7/broken.png": b"not a picture"})
    reply = post_version(client, "digits", data, format="images", family="vision")
    assert reply.status_code == 201, reply.text
    assert reply.json()["num_accepted"] == 4
    assert reply.json()["rejects"][0]["place"] == "7/broken.png"
    rows = client.get("/api/v1/datasets/digits/versions/1/rows").json()["items"]
    assert rows[0]["columns"] == {"image": base64_of(png(0)), "label": "7"}
    assert rows[0]["source"].startswith("upload:")


def test_a_repeated_import_makes_nothing_new_and_a_later_wish_does(client: TestClient) -> None:
    one, other = rows_of(["abc"]), rows_of(["def"])
    first = post_version(client, "tickets", one, mode="replace").json()
    again = post_version(client, "tickets", one, mode="replace").json()
    assert again["versions"][0]["id"] == first["versions"][0]["id"]
    assert not again["versions"][0]["new"]
    post_version(client, "tickets", other, mode="replace")
    back = post_version(client, "tickets", one, mode="replace").json()["versions"][0]
    assert (back["version"], back["digest"]) == (3, first["versions"][0]["digest"])


def test_holding_out_answers_both_versions(client: TestClient) -> None:
    reply = post_version(client, "tickets", rows_of(distinct_words(60)), holdout=0.4)
    train, test = reply.json()["versions"]
    assert (train["name"], test["name"]) == ("tickets", "tickets-test")
    assert train["num_rows"] + test["num_rows"] == 60
    assert client.get("/api/v1/datasets/tickets").json()["holdout"] == 0.4


def test_review_from_queue_to_dataset(
    client: TestClient, app: FastAPI, database: Database, home: Path
) -> None:
    sent = [
        sample({"text": text}, confidence=confidence)
        for text, confidence in zip(["abc", "def", "ghi"], [0.9, 0.2, 0.4], strict=True)
    ]
    sent.append(sample({"text": "jkl"}, reason="control"))
    samples.receive(database, home, "site3", sent)
    queue = client.get("/api/v1/review?site=site3").json()
    unsure, control = sorted(one.digest for one in sent[:3]), sent[3].digest
    assert [item["digest"] for item in queue["items"]] == [*unsure, control]
    assert queue["counts"] == {"returned": 4}
    first, second, third = unsure
    row = next(one.row for one in sent if one.digest == first)
    assert client.get(f"/api/v1/review/{first}").json()["row"] == row

    for digest, label in ((first, "x"), (second, "y")):
        judged = client.post(f"/api/v1/review/{digest}", json={"label": label})
        assert (judged.status_code, judged.json()["state"]) == (200, "reviewed")
    assert client.post(f"/api/v1/review/{third}", json={"unusable": True}).status_code == 200
    other = client.post(f"/api/v1/review/{first}", json={"label": "z"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "review_conflict")

    body = {"name": "site3", "family": "words", "site": "site3"}
    made = client.post("/api/v1/review/dataset", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["num_accepted"] == 2
    again = client.post("/api/v1/review/dataset", json=body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "nothing_reviewed")
    used = client.get("/api/v1/review?state=used").json()["items"]
    assert {item["dataset_version_id"] for item in used} == {made.json()["versions"][0]["id"]}
    assert client.get("/api/v1/review?state=all&limit=2").json()["counts"] == {
        "returned": 1,
        "unusable": 1,
        "used": 2,
    }


BAD_REQUESTS = [
    # method, path, body, status, code
    ("POST", "datasets/t/versions", {"upload": "x"}, 400, "invalid_input"),
    (
        "POST",
        "datasets/t/versions",
        {"upload": "x", "format": "jsonl", "family": "words"},
        400,
        "invalid_input",
    ),
    (
        "POST",
        "datasets/t/versions",
        {"upload": "sha256:" + "0" * 64, "format": "jsonl", "family": "words"},
        404,
        "upload_missing",
    ),
    (
        "POST",
        "datasets/t/versions",
        {"upload": "sha256:" + "0" * 64, "format": "zip", "family": "words"},
        400,
        "invalid_input",
    ),
    (
        "POST",
        "datasets/t/versions",
        {"upload": "x", "format": "csv", "family": "words", "holdout": 1.0},
        400,
        "invalid_input",
    ),
    ("GET", "datasets/none", None, 404, "dataset_missing"),
    ("GET", "datasets/none/versions/1", None, 404, "dataset_missing"),
    ("GET", "datasets/none/diff?from=1", None, 400, "invalid_input"),
    ("GET", "datasets/none/versions/1/rows?limit=5000", None, 400, "invalid_input"),
    ("GET", "review?state=lost", None, 400, "invalid_input"),
    ("GET", "review/none", None, 404, "sample_missing"),
    ("POST", "review/none", {"label": "x"}, 404, "sample_missing"),
    ("POST", "review/none", {}, 400, "invalid_input"),
    ("POST", "review/none", {"label": "x", "unusable": True}, 400, "invalid_input"),
    ("POST", "review/dataset", {"name": "t"}, 400, "family_missing"),
    ("POST", "review/dataset", {"name": "t", "family": "words"}, 409, "nothing_reviewed"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), BAD_REQUESTS)
def test_bad_requests_get_one_clear_sentence(
    client: TestClient, method: str, path: str, body: Any, *, status: int, code: str
) -> None:
    reply = client.request(method, f"/api/v1/{path}", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code), reply.text
    assert reply.json()["error"]["message"].endswith(".")
    assert client.get("/api/v1/datasets").json() == {"items": []}


BAD_IMPORTS = [
    # content, further body, status, code, part of the sentence
    (b"nonsense\n", {}, 400, "source_refused", "line 1: the line is not JSON"),
    (b"\n\n", {}, 400, "source_refused", "no rows"),
    (b'{"text": "a", "label": "b"}\n', {"family": "none"}, 404, "unknown_family", "no family"),
    (b"PK\x03\x04", {"format": "images"}, 400, "source_refused", "The zip file is broken"),
    (b"PAR1", {"format": "parquet"}, 400, "source_refused", "not a Parquet file"),
    (b"a,a\n1,2\n", {"format": "csv"}, 400, "source_refused", "not a header"),
    (
        jsonl({"text": "x" * 10_000_000, "label": "a"}),
        {},
        400,
        "source_refused",
        "the field text holds 10,000,000 bytes; at most 8,388,608 are accepted",
    ),
]


@pytest.mark.parametrize(
    ("data", "body", "status", "code", "part"), BAD_IMPORTS, ids=[case[4] for case in BAD_IMPORTS]
)
def test_bad_imports_change_nothing(
    client: TestClient, data: bytes, body: dict[str, Any], *, status: int, code: str, part: str
) -> None:
    reply = post_version(client, "tickets", data, **body)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (status, code), reply.text
    assert part in error["message"]
    assert client.get("/api/v1/datasets").json() == {"items": []}


def test_an_empty_upload_is_refused(client: TestClient, home: Path) -> None:
    reply = client.put("/api/v1/uploads", content=b"")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "source_refused")
    assert not list((home / "uploads").iterdir())


def test_an_upload_that_announces_too_much_is_refused_before_it_is_read(
    client: TestClient, home: Path
) -> None:
    reply = client.put("/api/v1/uploads", content=b"x", headers={"Content-Length": str(1 << 50)})
    assert (reply.status_code, reply.json()["error"]["code"]) == (413, "too_large")
    assert not (home / "uploads").exists()


def test_the_same_upload_twice_is_kept_once(client: TestClient, home: Path) -> None:
    assert upload(client, b"same") == upload(client, b"same") == sha256_bytes(b"same")
    assert len(list((home / "uploads").iterdir())) == 1


def test_projects_do_not_see_each_other(
    client: TestClient, app: FastAPI, database: Database, home: Path
) -> None:
    post_version(client, "tickets", rows_of(["abc"]))
    sent = sample({"text": "abc"})
    samples.receive(database, home, "site3", [sent])
    with database.transaction() as session:
        secret = access.issue(
            session, "test", Surface.API, "bob", role=Role.BUILDER, project_id="other"
        )
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as other:
        assert other.get("/api/v1/datasets").json() == {"items": []}
        assert other.get("/api/v1/datasets/tickets").status_code == 404
        assert other.get("/api/v1/datasets/tickets/versions/1/rows").status_code == 404
        assert other.get("/api/v1/review").json() == {"items": [], "counts": {}}
        assert other.get(f"/api/v1/review/{sent.digest}").status_code == 404
        judged = other.post(f"/api/v1/review/{sent.digest}", json={"label": "x"})
        assert judged.status_code == 404
        made = post_version(other, "tickets", rows_of(["def"])).json()["versions"][0]
    assert (made["version"], made["project_id"]) == (1, "other")
    mine = client.get("/api/v1/datasets/tickets/versions/1/rows").json()["items"]
    assert [row["columns"]["text"] for row in mine] == ["abc"]


def test_a_picture_of_10_mb_is_refused_by_name_and_the_others_are_taken(
    client: TestClient,
) -> None:
    data = tar_of({"7/a.png": png(1), "7/huge.png": b"\x89PNG" + bytes(10_000_000)})
    answer = post_version(client, "digits", data, format="images", family="vision").json()
    assert answer["num_accepted"] == 1
    [reject] = answer["rejects"]
    assert reject["place"] == "7/huge.png"
    assert "at most 8,388,608 are accepted" in reject["reason"]


def test_every_reject_can_be_paged_through(client: TestClient) -> None:
    data = rows_of(["abc"]) + b"bad\n" * 45
    answer = post_version(client, "tickets", data).json()
    assert (len(answer["rejects"]), answer["num_rejected"]) == (20, 45)
    url = "/api/v1/datasets/tickets/versions/1/rejects"
    page = client.get(f"{url}?offset=40&limit=10").json()
    assert [item["place"] for item in page["items"]] == [f"line {n}" for n in range(42, 47)]
    assert page["total"] == 45


@pytest.mark.parametrize("number", ["0", "-1", "9007199254740992", "9" * 23, "9" * 5000, "1.5"])
@pytest.mark.parametrize(
    "path",
    [
        "versions/{}",
        "versions/{}/rows",
        "versions/{}/rejects",
        "diff?from={}&to=1",
        "diff?from=1&to={}",
        "versions/1/rows?offset={}&limit=0",
    ],
)
def test_a_number_that_no_version_has(client: TestClient, path: str, number: str) -> None:
    post_version(client, "tickets", rows_of(["abc"]))
    reply = client.get(f"/api/v1/datasets/tickets/{path.format(number)}")
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_input"), reply.text


def test_the_largest_number_is_only_a_version_that_is_not_there(client: TestClient) -> None:
    post_version(client, "tickets", rows_of(["abc"]))
    for path in ("versions/{}", "diff?from=1&to={}"):
        reply = client.get(f"/api/v1/datasets/tickets/{path.format(2**53 - 1)}")
        assert reply.status_code == 404, reply.text


def test_the_family_is_the_datasets_where_it_is_not_said(client: TestClient) -> None:
    refused = post_version(client, "tickets", rows_of(["abc"]), family="")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "family_missing")
    assert "the new dataset tickets" in refused.json()["error"]["message"]
    assert refused.json()["error"]["next_step"].endswith("vision, words.")
    collected = client.post("/api/v1/review/dataset", json={"name": "tickets"})
    assert (collected.status_code, collected.json()["error"]["code"]) == (400, "family_missing")
    post_version(client, "tickets", rows_of(["abc"]))
    again = post_version(client, "tickets", rows_of(["def"]), family="").json()
    assert [version["family"] for version in again["versions"]] == ["words"]
    collected = client.post("/api/v1/review/dataset", json={"name": "tickets"})
    assert (collected.status_code, collected.json()["error"]["code"]) == (409, "nothing_reviewed")


ROUTES = [
    ("PUT", "uploads", Role.BUILDER),
    ("POST", "datasets/t/versions", Role.BUILDER),
    ("GET", "datasets", Role.READER),
    ("GET", "datasets/t", Role.READER),
    ("GET", "datasets/t/diff?from=1&to=2", Role.READER),
    ("GET", "datasets/t/versions/1", Role.READER),
    ("GET", "datasets/t/versions/1/rejects", Role.READER),
    ("GET", "datasets/t/versions/1/rows", Role.READER),
    ("GET", "review", Role.READER),
    ("GET", "review/x", Role.READER),
    ("POST", "review/x", Role.BUILDER),
    ("POST", "review/dataset", Role.BUILDER),
]


@pytest.mark.parametrize(("method", "path", "role"), ROUTES)
def test_every_route_asks_for_its_credential(
    app: FastAPI, database: Database, method: str, path: str, role: Role
) -> None:
    body = json.dumps({"label": "x", "name": "t", "family": "words"}).encode()
    with TestClient(app) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, token(database, role, Surface.EDGE)):
            reply = client.request(method, f"/api/v1/{path}", content=body, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (401, "credential_refused")
        if role is Role.BUILDER:
            headers = token(database, Role.READER)
            reply = client.request(method, f"/api/v1/{path}", content=body, headers=headers)
            assert (reply.status_code, reply.json()["error"]["code"]) == (403, "role_missing")
