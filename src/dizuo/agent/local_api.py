"""What applications on the site call: Open Inference Protocol v2, and OpenAI's list of models.

A request body is bounded while it arrives and passed on to the engine as it is; the engine parses
it, so a body that is not JSON is refused there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from dizuo import __version__
from dizuo.agent.errors import BodyOverdue
from dizuo.agent.local_answers import answer_error, answer_http_error
from dizuo.agent.local_guard import GuardRules, LocalGuard
from dizuo.agent.sampler import Answered
from dizuo.agent.slots import Route, Slots
from dizuo.agent.state import SiteState
from dizuo.core.errors import DizuoError, InvalidInput, TooLarge
from dizuo.families.errors import UnknownStack

BODY_SECONDS = 60.0
"""How long a request body may take to arrive: it has one of the engine's places meanwhile."""
SAMPLE_HEADER = "dizuo-sample"
"""A caller sets it to `no` for health checks and measurements, which teach nothing."""


@dataclass(frozen=True, slots=True)
class LocalApi:
    """The routes and what they ask.

    Args:
        slots: who answers.
        state: what the site does now.
        request_bytes_at_most: the largest body.
        answered: told about every answer, for the sampler; never waits.
        guard: who may call at all.
    """

    slots: Slots
    state: SiteState
    request_bytes_at_most: int
    answered: Callable[[Answered], None]
    guard: GuardRules = field(default_factory=GuardRules)

    def app(self) -> Starlette:
        """The ASGI application."""
        model = "/v2/models/{name}"
        versioned = model + "/versions/{version}"
        routes = [
            HttpRoute("/v1/models", self.list_models),
            HttpRoute("/status", self.status),
            HttpRoute("/v2", self.server_metadata),
            HttpRoute("/v2/health/live", self.live),
            HttpRoute("/v2/health/ready", self.ready),
        ]
        for prefix in (model, versioned):
            routes += [
                HttpRoute(prefix, self.model_metadata),
                HttpRoute(prefix + "/ready", self.model_ready),
                HttpRoute(prefix + "/infer", self.infer, methods=["POST"]),
            ]
        return Starlette(
            routes=routes,
            exception_handlers={DizuoError: answer_error, HTTPException: answer_http_error},
            middleware=[Middleware(LocalGuard, rules=self.guard)],
        )

    async def list_models(self, _request: Request) -> Response:
        """OpenAI's list form; the stack's digest and version come along."""
        models = [_model_entry(name, route) for name, route in sorted(self.slots.routes.items())]
        return JSONResponse({"object": "list", "data": models})

    async def status(self, _request: Request) -> Response:
        """What `dizuo agent status` shows."""
        return JSONResponse(self.state.as_dict())

    async def server_metadata(self, _request: Request) -> Response:
        """Who answers."""
        return JSONResponse({"name": "dizuo", "version": __version__, "extensions": []})

    async def live(self, _request: Request) -> Response:
        """Always, while the agent runs."""
        return JSONResponse({"live": True})

    async def ready(self, _request: Request) -> Response:
        """Whether every model could answer now; 503 if not."""
        return _readiness({"ready": self.slots.ready})

    async def model_metadata(self, request: Request) -> Response:
        """Inputs, outputs and version of a model."""
        route = self._route(request)
        direction = route.direction
        parameters = {"stack_digest": direction.digest}
        return JSONResponse(
            {
                **route.metadata,
                "name": direction.served_as,
                "versions": [str(direction.version)],
                "parameters": {**route.metadata.get("parameters", {}), **parameters},
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Whether this model could answer now; 503 if not."""
        route = self._route(request)
        return _readiness({"name": route.direction.served_as, "ready": route.host.alive})

    async def infer(self, request: Request) -> Response:
        """Answer one inference request; with `Dizuo-Sample: no` it never becomes a sample."""
        with self._route(request).host.arriving():
            body = await self.body(request)
        route = self._route(request)  # again: the body took time, and a switch may have come
        # Nothing may be awaited between here and the call: see EngineHost.infer.
        answer = await route.host.infer(route.direction.served_as, body)
        self.state.num_answers += 1
        if request.headers.get(SAMPLE_HEADER, "").lower() != "no":
            self.answered(Answered(route.direction, body, answer.observations))
        return Response(answer.body, media_type="application/json")

    def _route(self, request: Request) -> Route:
        name, version = request.path_params["name"], request.path_params.get("version")
        route = self.slots.route(name)
        if version is not None and version != str(route.direction.version):
            raise UnknownStack(
                f"This site serves {name} in version {route.direction.version}, not "
                f"{version[:20]!r}.",
                next_step="Leave the version out to ask whatever serves.",
            )
        return route

    async def body(self, request: Request) -> bytes:
        """The body of a request, within the bounds of size and time.

        Raises:
            TooLarge, BodyOverdue: it breaks one.
            InvalidInput: it is compressed.
        """
        limit = self.request_bytes_at_most
        told = request.headers.get("content-length", "")
        if told.isdigit() and int(told) > limit:
            raise _too_large(limit)
        if "content-encoding" in request.headers:
            raise InvalidInput(
                "Compressed request bodies are not accepted.",
                next_step="Send the JSON without Content-Encoding.",
            )
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await _read(request, limit)
        except TimeoutError as error:
            raise BodyOverdue(
                f"The request body did not arrive within {BODY_SECONDS:.0f} seconds.",
                next_step="Send fewer rows at a time.",
            ) from error


async def _read(request: Request, limit: int) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"The request body is larger than the {limit} bytes accepted here.",
        next_step="Send fewer rows at a time.",
    )


def _model_entry(name: str, route: Route) -> dict[str, object]:
    return {
        "id": name,
        "object": "model",
        "created": 0,  # nobody here knows; the field is required
        "owned_by": "dizuo",
        "stack": f"{route.direction.name}:{route.direction.version}",
        "digest": route.direction.digest,
    }


def _readiness(body: dict[str, object]) -> Response:
    return JSONResponse(body, status_code=200 if body["ready"] else 503)
