"""The client against the hub's real table of routes, and uploads against a real server."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from tests.client.serving import served

from dizuo.client.errors import HubError
from dizuo.client.hub import HubClient
from dizuo.client.packing import CannotSend
from dizuo.core.errors import TooLarge, Unauthenticated
from dizuo.core.progress import Progress
from dizuo.hub.app import create_app
from dizuo.hub.settings import HubSettings

CALLS: dict[str, Callable[[HubClient], object]] = {
    "health": lambda hub: hub.health(),
    "add_dataset_version": lambda hub: hub.add_dataset_version("d", {}),
    "datasets": lambda hub: hub.datasets(),
    "dataset": lambda hub: hub.dataset("d"),
    "dataset_version": lambda hub: hub.dataset_version("d", 1),
    "dataset_rejects": lambda hub: hub.dataset_rejects("d", 1),
    "dataset_rows": lambda hub: hub.dataset_rows("d", 1, limit=5),
    "dataset_diff": lambda hub: hub.dataset_diff("d", 1, 2),
    "review_queue": lambda hub: hub.review_queue(),
    "sample": lambda hub: hub.sample("s"),
    "review": lambda hub: hub.review("s", {}),
    "review_dataset": lambda hub: hub.review_dataset({}),
    "check_recipe": lambda hub: hub.check_recipe("text"),
    "stacks": lambda hub: hub.stacks(),
    "stack_versions": lambda hub: hub.stack_versions("m"),
    "find_stack": lambda hub: hub.find_stack("m:1"),
    "stack": lambda hub: hub.stack("m", 1),
    "trace": lambda hub: hub.trace("m", 1),
    "report": lambda hub: hub.report("m", 1),
    "submit_run": lambda hub: hub.submit_run({}),
    "runs": lambda hub: hub.runs(),
    "run": lambda hub: hub.run("r"),
    "run_log": lambda hub: hub.run_log("r"),
    "cancel_run": lambda hub: hub.cancel_run("r"),
    "release": lambda hub: hub.release("m:1"),
    "releases": lambda hub: hub.releases(),
    "release_of": lambda hub: hub.release_of("x"),
    "withdraw_release": lambda hub: hub.withdraw_release("x"),
    "make_join_token": lambda hub: hub.make_join_token({}),
    "sites": lambda hub: hub.sites(),
    "site": lambda hub: hub.site("s"),
    "remove_site": lambda hub: hub.remove_site("s"),
    "start_rollout": lambda hub: hub.start_rollout("m:1", ["s"], "n"),
    "rollouts": lambda hub: hub.rollouts(),
    "rollout": lambda hub: hub.rollout("x"),
    "stop_rollout": lambda hub: hub.stop_rollout("x"),
    "roll_back": lambda hub: hub.roll_back("x"),
    "start_improvement": lambda hub: hub.start_improvement({}),
    "improvements": lambda hub: hub.improvements(),
    "improvement": lambda hub: hub.improvement("x"),
    "approve_improvement": lambda hub: hub.approve_improvement("x"),
    "reject_improvement": lambda hub: hub.reject_improvement("x", "too slow"),
    "improvement_policy": lambda hub: hub.improvement_policy(),
    "set_improvement_policy": lambda hub: hub.set_improvement_policy(require_approval=True),
    "audit": lambda hub: hub.audit(after=1),
    "audit_verify": lambda hub: hub.audit_verify("sha256:0"),
    "tokens": lambda hub: hub.tokens(),
    "create_token": lambda hub: hub.create_token("t", "reader"),
    "revoke_token": lambda hub: hub.revoke_token("t"),
    "accounts": lambda hub: hub.accounts(),
    "create_account": lambda hub: hub.create_account("a", "reader", "p"),
    "set_account_role": lambda hub: hub.set_account_role("a", "admin"),
    "set_account_password": lambda hub: hub.set_account_password("a", "p"),
    "disable_account": lambda hub: hub.disable_account("a"),
    "enable_account": lambda hub: hub.enable_account("a"),
}
ELSEWHERE = {"close", "url", "upload", "follow_run"}
"""Tested below, in test_events, or no call at all."""


def _recorder(asked: list[tuple[str, str]]) -> Starlette:
    async def record(request: Request) -> Response:
        asked.append((request.method, request.url.path))
        return JSONResponse({"items": []})

    methods = ["GET", "POST", "PUT", "DELETE"]
    return Starlette(routes=[Route("/{path:path}", record, methods=methods)])


def _offered(folder: Path) -> set[tuple[str, str]]:
    """(method, path template) of each route of `/api/v1`, as the hub's own document lists them."""
    paths = create_app(HubSettings(home=folder)).openapi()["paths"]
    return {
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/api/v1/")
    }


def _match(offered: set[tuple[str, str]], method: str, path: str) -> tuple[str, str] | None:
    """The route that a call meets: of several, the one with the fewest open parts."""
    found = [
        (offer, template)
        for offer, template in offered
        if offer == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    return min(found, key=lambda route: route[1].count("{"), default=None)


def test_every_method_is_called_here() -> None:
    public = {name for name in vars(HubClient) if not name.startswith("_")}
    assert public - ELSEWHERE == set(CALLS)


def test_every_method_meets_a_route_and_every_route_a_method(tmp_path: Path) -> None:
    offered = _offered(tmp_path)
    asked: list[tuple[str, str]] = []
    with served(_recorder(asked)) as url, HubClient(url, "token") as hub:
        for call in CALLS.values():
            call(hub)
        (tmp_path / "file").write_bytes(b"x")
        hub.upload(tmp_path / "file")
    asked.append(("GET", "/api/v1/runs/r/events"))  # `follow_run`; see test_events
    met = {call: _match(offered, *call) for call in asked}
    assert [call for call, route in met.items() if route is None] == []
    assert offered - set(met.values()) == set()


def test_a_run_is_asked_for_once_under_a_key() -> None:
    keys: list[str | None] = []

    async def submit(request: Request) -> Response:
        keys.append(request.headers.get("idempotency-key"))
        return JSONResponse({"id": "r"})

    app = Starlette(routes=[Route("/api/v1/runs", submit, methods=["POST"])])
    with served(app) as url, HubClient(url, "token") as hub:
        hub.submit_run({"kind": "tune"}, key="mine")
        hub.submit_run({"kind": "tune"})
        hub.submit_run({"kind": "tune"})
    assert keys[0] == "mine"
    assert all(keys)
    assert len(set(keys)) == 3


def test_every_reject_is_read_page_by_page() -> None:
    rejects = [{"place": f"line {number}", "reason": "bad"} for number in range(2500)]

    async def page(request: Request) -> Response:
        start, limit = (int(request.query_params[name]) for name in ("offset", "limit"))
        return JSONResponse({"items": rejects[start : start + limit], "total": 2500})

    app = Starlette(routes=[Route("/api/v1/datasets/d/versions/1/rejects", page)])
    with served(app) as url, HubClient(url, "token") as hub:
        assert hub.dataset_rejects("d", 1) == rejects


async def _receive(request: Request) -> Response:
    hasher, size = hashlib.sha256(), 0
    async for piece in request.stream():
        hasher.update(piece)
        size += len(piece)
    assert int(request.headers["content-length"]) == size
    return JSONResponse({"digest": f"sha256:{hasher.hexdigest()}", "size_bytes": size})


UPLOADS = Starlette(routes=[Route("/api/v1/uploads", _receive, methods=["PUT"])])


def test_an_upload_arrives_whole_and_tells_how_far_it_is(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "rows.parquet").write_bytes(data)
    seen: list[Progress] = []
    with served(UPLOADS) as url, HubClient(url, "token") as hub:
        answer = hub.upload(tmp_path / "rows.parquet", seen.append)
    assert answer == {
        "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
        "size_bytes": 3_000_000,
    }
    assert seen[0] == Progress("upload", 0, 3_000_000, "byte", "rows.parquet")
    assert seen[-1].done == seen[-1].total
    assert [event.done for event in seen] == sorted(event.done for event in seen)


def test_a_folder_is_uploaded_as_the_same_bytes_each_time(tmp_path: Path) -> None:
    (tmp_path / "images" / "7").mkdir(parents=True)
    (tmp_path / "images" / "7" / "a.png").write_bytes(b"png")
    with served(UPLOADS) as url, HubClient(url, "token") as hub:
        first = hub.upload(tmp_path / "images")
        os.utime(tmp_path / "images" / "7" / "a.png", (1, 1))
        assert hub.upload(tmp_path / "images") == first


@pytest.mark.parametrize("error", [Unauthenticated("Who are you?"), TooLarge("Too much.")])
def test_a_hub_that_refuses_before_it_has_read_all(tmp_path: Path, error: Any) -> None:
    async def refuse(_request: Request) -> Response:
        return JSONResponse(error.as_dict(), error.http_status)

    (tmp_path / "large").write_bytes(bytes(30_000_000))
    app = Starlette(routes=[Route("/api/v1/uploads", refuse, methods=["PUT"])])
    with served(app) as url, HubClient(url, "token") as hub, pytest.raises(HubError) as refused:
        hub.upload(tmp_path / "large")
    assert refused.value.message == error.message


def test_a_file_that_shrinks_on_its_way(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(bytes(2_000_000))

    def shrink(event: Progress) -> None:
        if event.done == 0:
            path.write_bytes(b"")

    with (
        served(UPLOADS) as url,
        HubClient(url, "token") as hub,
        pytest.raises(CannotSend, match="became shorter"),
    ):
        hub.upload(path, shrink)
