"""`/tuf`, through python-tuf's own client over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient
from tests.releases.stacks import digest_of
from tuf.ngclient import Updater

from dizuo.access.http import secret_of
from dizuo.access.model import CredentialRefused
from dizuo.artifacts.layout import Layout
from dizuo.edge.tuf_fetcher import HttpFetcher
from dizuo.releases.repository import Repository, StackTarget
from dizuo.releases.server import tuf_routes

INDEX = b'{"an": "index"}'
PROJECTS = {"ours": "default", "theirs": "other"}


def authorise(request: Request) -> str | None:
    """Knows two credentials; a revoked one is refused aloud, an unknown one by None."""
    secret = secret_of(request.headers.get("authorization", ""))
    if secret == "revoked":
        raise CredentialRefused("This credential was revoked.")
    return PROJECTS.get(secret)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@pytest.fixture
def stack(repository: Repository, layout: Layout) -> StackTarget:
    """A signed stack whose index lies in the layout."""
    blob = layout.put_bytes(INDEX)
    target = StackTarget(
        "default", "meter-reading", 1, blob.digest, blob.size_bytes, "vision", "L1"
    )
    repository.add_target(target)
    return target


@pytest.fixture
def client(repository: Repository, layout: Layout) -> Iterator[TestClient]:
    app = Starlette(routes=tuf_routes(repository, layout, authorise))
    with TestClient(app, headers={"Authorization": "Bearer ours"}) as opened:
        yield opened


def target_url(stack: StackTarget, digest: str | None = None) -> str:
    hex_digest = (digest or stack.digest).removeprefix("sha256:")
    return f"/tuf/targets/{stack.project}/{stack.name}/{hex_digest}.{stack.version}.json"


def test_a_strangers_tuf_client_gets_the_index(
    client: TestClient, repository: Repository, stack: StackTarget, tmp_path: Path
) -> None:
    (tmp_path / "got").mkdir()
    updater = Updater(
        metadata_dir=str(tmp_path / "metadata"),
        metadata_base_url="/",
        target_dir=str(tmp_path / "got"),
        target_base_url="/targets/",
        fetcher=HttpFetcher(client),
        bootstrap=repository.newest_root().read_bytes(),
    )
    (tmp_path / "metadata").mkdir(exist_ok=True)
    info = updater.get_targetinfo(stack.path)
    assert info is not None
    assert Path(updater.download_target(info)).read_bytes() == INDEX


def test_a_site_sees_roots_before_it_has_a_credential(client: TestClient) -> None:
    for header in ("", "Bearer nobody"):
        answer = client.get("/tuf/1.root.json", headers={"Authorization": header})
        assert answer.status_code == 200
    assert client.get("/tuf/2.root.json", headers={"Authorization": ""}).status_code == 404


@pytest.mark.parametrize(
    "path", ["timestamp.json", "1.snapshot.json", "1.targets.json", "1.project-default.json"]
)
def test_credentials(client: TestClient, path: str) -> None:
    path = f"/tuf/{path}"
    for header in ("", "Bearer nobody", "Bearer revoked", "Basic !!!"):
        answer = client.get(path, headers={"Authorization": header})
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "credential_refused"
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert client.get(path, headers={"Authorization": "Bearer theirs"}).status_code == 200
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_it_is_read_only(client: TestClient, method: str) -> None:
    assert client.request(method, "/tuf/timestamp.json").status_code == 405


@pytest.mark.parametrize(
    "name",
    [
        "2.root.json",
        "root.json",
        "tuf.lock",
        "..",
        "%2e%2e%2fkeys%2fonline%2ftimestamp.pem",
        "..%2Ftuf.lock",
        ".timestamp.json.x.tmp",
        "1.root.json%00",
        "",
    ],
)
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/tuf/{name}").status_code == 404


def test_a_target_goes_to_its_own_project_only(client: TestClient, stack: StackTarget) -> None:
    url = target_url(stack)
    assert client.get(url).content == INDEX
    assert client.get(url, headers={"Authorization": "Bearer theirs"}).status_code == 404
    assert client.get(url, headers={"Authorization": ""}).status_code == 401


def test_only_what_is_signed_is_a_target(
    client: TestClient, repository: Repository, layout: Layout, stack: StackTarget
) -> None:
    unsigned = layout.put_bytes(b"another blob of the layout").digest
    assert client.get(target_url(stack, unsigned)).status_code == 404
    assert client.get(target_url(stack, digest_of("absent"))).status_code == 404
    assert client.get("/tuf/targets/default/meter-reading/1.json").status_code == 404
    repository.remove_target("default", stack.name, stack.version)
    assert client.get(target_url(stack)).status_code == 404


def test_metadata_is_not_kept_by_caches(client: TestClient) -> None:
    assert client.get("/tuf/timestamp.json").headers["cache-control"] == "no-cache"
