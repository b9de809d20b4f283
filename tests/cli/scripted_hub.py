"""A hub with runs whose course a test writes down beforehand."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.cli.door import Said

from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import DizuoError

MADE = {"outcome": {"stack": "digits:1", "digest": "sha256:" + "1" * 64}}
FAILED = {
    "state": "failed",
    "error": {"code": "invalid_input", "message": "The rows are empty.", "next_step": "Add some."},
}
RULE = {
    "verdict": "pass",
    "sentence": "accuracy at least 0.9 on digits-test@1",
    "target": "onnx",
    "measured": 0.9512,
    "low": 0.93,
    "high": 0.97,
    "reason": "it is 0.9512",
}


def report(*verdicts: str) -> dict[str, Any]:
    """A gate report with one rule for each verdict."""
    rules = [{**RULE, "verdict": verdict} for verdict in verdicts]
    passed = bool(rules) and all(verdict == "pass" for verdict in verdicts)
    return {"format": 1, "stack": "digits:1", "passed": passed, "rules": rules}


@dataclass
class ScriptedHub:
    """Runs by kind: how each ends; gates measure `digits:1`. `asked` is what was submitted.

    `refusal` is the answer to every submission, if it is set.
    """

    ends: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=lambda: report("pass"))
    refusal: DizuoError | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/api/v1/runs", self._submit, methods=["POST"]),
                Route("/api/v1/uploads", self._upload, methods=["PUT"]),
                Route("/api/v1/runs/{kind}", self._show),
                Route("/api/v1/runs/{kind}/log", self._log),
                Route("/api/v1/runs/{kind}/cancel", self._cancel, methods=["POST"]),
                Route("/api/v1/runs/{kind}/events", self._events),
                Route("/api/v1/references", self._find),
                Route("/api/v1/stacks/{name}/{version}/report", self._report),
                Route("/api/v1/recipes/check", self._check, methods=["POST"]),
            ]
        )

    def _run(self, kind: str) -> dict[str, Any]:
        run = {"id": kind, "kind": kind, "state": "queued", "cached": False, "attempts": 1}
        rest = ("outcome", "error", "created_ms", "started_ms", "finished_ms", "actor")
        return {**run, **dict.fromkeys(rest)}

    async def _submit(self, request: Request) -> Response:
        body = await request.json()
        if self.refusal is not None:
            return JSONResponse(self.refusal.as_dict(), self.refusal.http_status)
        self.asked.append(body)
        run = self._run(body["kind"])
        if self.ends.get(body["kind"], {}).get("cached"):
            run |= self.ends[body["kind"]]
        return JSONResponse(run, 201)

    async def _upload(self, request: Request) -> Response:
        data = await request.body()
        return JSONResponse({"digest": sha256_bytes(data), "size_bytes": len(data)}, 201)

    async def _log(self, _request: Request) -> Response:
        return PlainTextResponse("=== attempt 1 ===\nepoch 1 训练\n")

    async def _cancel(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        return JSONResponse({**self._run(kind), **self.ends.get(kind, {"state": "running"})})

    async def _show(self, request: Request) -> Response:
        return JSONResponse(self._run(request.path_params["kind"]))

    async def _events(self, request: Request) -> Response:
        kind = request.path_params["kind"]
        made = MADE if kind == "gate" else {}
        ended = {**self._run(kind), "state": "succeeded", **made, **self.ends.get(kind, {})}
        step = {"stage": f"{kind} work", "done": 10, "total": 10, "unit": "step"}
        text = f"data: {json.dumps(step)}\n\nevent: end\ndata: {json.dumps(ended)}\n\n"
        return Response(text, media_type="text/event-stream")

    async def _find(self, request: Request) -> Response:
        assert request.query_params["stack"] == MADE["outcome"]["digest"]
        return JSONResponse({"name": "digits", "version": 1})

    async def _report(self, _request: Request) -> Response:
        return JSONResponse(self.report)

    async def _check(self, request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"ok": True, "name": body["source_name"]})


class Ask(Protocol):
    """Runs a command against a scripted hub."""

    def __call__(self, hub: ScriptedHub, *arguments: object) -> Said: ...
