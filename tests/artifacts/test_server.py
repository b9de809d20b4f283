"""`/v2/` as OCI distribution clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient
from tests.artifacts.conftest import Family
from tests.artifacts.programs import registry_app
from tests.artifacts.test_layout import put_index

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.server import registry_routes
from dizuo.artifacts.stacks import read_stack
from dizuo.core.errors import Forbidden, Unauthenticated, Unavailable

AUTH = {"Authorization": "Bearer s3cret"}
OTHER_AUTH = {"Authorization": "Bearer other-s3cret"}
ABSENT = "sha256:" + 64 * "0"


@pytest.fixture(scope="module")
def client(shared_family: Family) -> Iterator[TestClient]:
    with TestClient(registry_app(shared_family.layout), headers=AUTH) as opened:
        yield opened


def weights_digest(family: Family, name: str) -> str:
    """The own weights of a stack, in the ONNX target."""
    index = family.layout.resolve(f"default/{name}", "1")
    own = read_stack(family.layout, index).targets["onnx"].layers[-1]
    return next(file.blob.digest for file in own.files if file.path == "model.weights")


ROUTES = [
    "/v2/",
    "/v2/_catalog",
    "/v2/default/site3/tags/list",
    "/v2/default/site3/manifests/1",
    f"/v2/default/site3/blobs/{ABSENT}",
    "/v2/anything/else",
]


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_route_needs_a_credential(
    shared_family: Family, path: str, headers: dict[str, str], method: str
) -> None:
    client = TestClient(registry_app(shared_family.layout))
    response = client.request(method, path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic ")
    assert response.headers["docker-distribution-api-version"] == "registry/2.0"
    if method == "GET":
        assert response.json()["errors"][0]["code"] == "UNAUTHORIZED"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/v2/default/site3/manifests/2", "/v2/default/site3/blobs/uploads/", "/v2/"]
)
def test_nothing_can_be_written(client: TestClient, method: str, path: str) -> None:
    response = client.request(method, path)
    assert response.status_code == 405
    assert client.request(method, path, headers={"Authorization": ""}).status_code in (401, 405)


def test_the_base_says_that_this_is_a_registry(client: TestClient) -> None:
    response = client.get("/v2/")
    assert response.status_code == 200
    assert response.headers["docker-distribution-api-version"] == "registry/2.0"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_manifest_by_tag_and_by_digest(
    client: TestClient, shared_family: Family, method: str
) -> None:
    stack = read_stack(shared_family.layout, shared_family.scenario)
    manifest = stack.targets["onnx"].manifest
    wanted = {
        "1": (stack.digest, "application/vnd.oci.image.index.v1+json", stack.size_bytes),
        stack.digest: (stack.digest, "application/vnd.oci.image.index.v1+json", stack.size_bytes),
        manifest.digest: (
            manifest.digest,
            "application/vnd.oci.image.manifest.v1+json",
            manifest.size_bytes,
        ),
    }
    for reference, (digest, media_type, size) in wanted.items():
        response = client.request(method, f"/v2/default/site3/manifests/{reference}")
        assert response.status_code == 200
        assert response.headers["docker-content-digest"] == digest
        assert response.headers["content-type"] == media_type
        assert int(response.headers["content-length"]) == size
        expected = shared_family.layout.read(digest) if method == "GET" else b""
        assert response.content == expected


def test_a_blob_whole_and_in_ranges(client: TestClient, shared_family: Family) -> None:
    digest = weights_digest(shared_family, "site3")
    data = shared_family.layout.path(digest).read_bytes()
    url = f"/v2/default/site3/blobs/{digest}"

    whole = client.get(url)
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["accept-ranges"] == "bytes"
    assert whole.headers["docker-content-digest"] == digest

    rest = client.get(url, headers={"Range": "bytes=1000-"})
    assert (rest.status_code, rest.content) == (206, data[1000:])
    assert rest.headers["content-range"] == f"bytes 1000-{len(data) - 1}/{len(data)}"
    part = client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])

    assert client.get(url, headers={"Range": f"bytes={len(data)}-"}).status_code == 416
    head = client.head(url)
    assert head.status_code == 200
    assert int(head.headers["content-length"]) == len(data)
    same = client.get(url, headers={"Range": "bytes=0-3", "If-Range": whole.headers["etag"]})
    assert same.status_code == 206


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/default/site3/manifests/2", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/default/site3/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN"),
        ("/v2/default/absent/manifests/1", 404, "NAME_UNKNOWN"),
        (f"/v2/default/absent/blobs/{ABSENT}", 404, "NAME_UNKNOWN"),
        ("/v2/default/absent/tags/list", 404, "NAME_UNKNOWN"),
        (f"/v2/default/site3/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
        ("/v2/default/site3/blobs/sha256:12", 400, "DIGEST_INVALID"),
        ("/v2/default/site3/blobs/..%2F..%2Findex.json", 404, "NAME_UNKNOWN"),
        ("/v2/default/site3/referrers/x", 404, "NAME_UNKNOWN"),
        ("/v2/default/site3/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/default/site3/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
    ],
)
def test_what_is_not_there(client: TestClient, path: str, status: int, code: str) -> None:
    response = client.get(path)
    assert response.status_code == status
    error = response.json()["errors"][0]
    assert error["code"] == code
    assert error["message"].endswith(".")


def test_a_blob_is_served_only_through_a_repository_that_leads_to_it(family: Family) -> None:
    client = TestClient(registry_app(family.layout), headers=AUTH)
    scenario = weights_digest(family, "site3")
    base = weights_digest(family, "shapes")
    assert client.get(f"/v2/default/site3/blobs/{base}").status_code == 200
    assert client.get(f"/v2/default/shapes/blobs/{scenario}").status_code == 404
    loose = family.layout.put_bytes(b"no tag leads here")
    assert client.get(f"/v2/default/site3/blobs/{loose.digest}").status_code == 404
    index = family.scenario
    assert client.get(f"/v2/default/shapes/manifests/{index}").status_code == 404
    # A blob is no manifest, whatever digest is asked for.
    assert client.get(f"/v2/default/site3/manifests/{base}").status_code == 404


def test_a_project_sees_its_own_repositories_only(shared_family: Family) -> None:
    client = TestClient(registry_app(shared_family.layout), headers=OTHER_AUTH)
    digest = weights_digest(shared_family, "site3")
    assert client.get("/v2/_catalog").json() == {"repositories": []}
    for path in ("tags/list", "manifests/1", f"blobs/{digest}"):
        response = client.get(f"/v2/default/site3/{path}")
        assert response.status_code == 404
        assert response.json()["errors"][0]["code"] == "NAME_UNKNOWN"


def test_a_project_whose_name_begins_alike_is_another(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.tag("defaults/a", "1", put_index(layout, "one"))
    client = TestClient(registry_app(layout), headers=AUTH)
    assert client.get("/v2/defaults/a/manifests/1").status_code == 404
    assert client.get("/v2/_catalog").json() == {"repositories": []}


def test_lists_come_in_pages(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for name in "abcde":
        layout.tag(f"default/{name}", "1", put_index(layout, name))
    client = TestClient(registry_app(layout), headers=AUTH)

    seen: list[str] = []
    url = "/v2/_catalog?n=2"
    for _ in range(3):
        response = client.get(url)
        seen += response.json()["repositories"]
        link = response.headers.get("link", "")
        url = link.removeprefix("<").partition(">")[0]

    assert seen == [f"default/{name}" for name in "abcde"]
    assert url == ""
    assert client.get("/v2/_catalog?n=0").json() == {"repositories": []}
    tags = client.get("/v2/default/a/tags/list?last=1").json()
    assert tags == {"name": "default/a", "tags": []}


def test_a_damaged_version_does_not_take_the_others_with_it(
    family: Family, caplog: pytest.LogCaptureFixture
) -> None:
    good = put_index(family.layout, "good")
    family.layout.tag("default/site3", "2", good)
    path = family.layout.path(family.scenario)
    path.chmod(0o644)
    path.write_bytes(b"x" * path.stat().st_size)
    client = TestClient(registry_app(family.layout), headers=AUTH)

    assert client.get("/v2/default/site3/manifests/2").status_code == 200
    assert client.get("/v2/default/site3/manifests/1").status_code == 404
    assert "cannot serve" in caplog.text


def test_a_blob_that_is_gone_is_said_to_be_gone(family: Family) -> None:
    digest = weights_digest(family, "site3")
    family.layout.path(digest).unlink()
    client = TestClient(registry_app(family.layout), headers=AUTH)
    assert client.get(f"/v2/default/site3/blobs/{digest}").status_code == 404


def test_a_new_version_is_served_at_once(family: Family) -> None:
    client = TestClient(registry_app(family.layout), headers=AUTH)
    assert client.get("/v2/default/site3/manifests/2").status_code == 404
    family.layout.tag("default/site3", "2", put_index(family.layout, "new"))
    assert client.get("/v2/default/site3/manifests/2").status_code == 200
    assert client.get("/v2/default/site3/tags/list").json()["tags"] == ["1", "2"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unauthenticated("Who?"), 401, "UNAUTHORIZED"),
        (Forbidden("Not you."), 403, "DENIED"),
        (Unavailable("The database is gone."), 503, "UNAVAILABLE"),
    ],
)
def test_refusals_of_the_hub_take_the_form_of_oci(
    shared_family: Family, error: Exception, status: int, code: str
) -> None:
    def refuse(_request: Request) -> str | None:
        raise error

    client = TestClient(Starlette(routes=registry_routes(shared_family.layout, refuse)))
    response = client.get("/v2/")
    assert response.status_code == status
    assert response.json()["errors"] == [{"code": code, "message": str(error), "detail": {}}]


def test_a_damaged_layout_is_an_answer_not_a_crash(family: Family) -> None:
    (family.layout.root / "index.json").write_text("{")
    client = TestClient(registry_app(family.layout), headers=AUTH)
    response = client.get("/v2/default/site3/manifests/1")
    assert response.status_code == 500
    assert response.json()["errors"][0]["code"] == "UNKNOWN"


def test_the_routes_live_in_a_larger_application(shared_family: Family) -> None:
    app = FastAPI()
    app.router.routes.extend(registry_routes(shared_family.layout, lambda _request: "default"))
    client = TestClient(app)
    assert client.get("/v2/default/site3/manifests/1").status_code == 200
    assert client.get("/v2/_catalog").json()["repositories"] == [
        "default/meter-reading",
        "default/shapes",
        "default/site3",
    ]
