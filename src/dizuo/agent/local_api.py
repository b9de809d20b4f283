"""What applications on the site call: Open Inference Protocol v2, and OpenAI's under `/v1`.

A request body is bounded while it arrives and passed on to the engine as it is; the engine parses
it, so a body that is not JSON is refused there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as HttpRoute

from dizuo import __version__
from dizuo.agent.local_answers import answer_error, answer_http_error, answer_nobody
from dizuo.agent.local_guard import GuardRules, LocalGuard
from dizuo.agent.openai_api import OpenAiApi
from dizuo.agent.request_body import read_body
from dizuo.agent.sampler import Answered
from dizuo.agent.slots import Route, Slots
from dizuo.agent.state import SiteState
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.families import registry
from dizuo.families.errors import UnknownStack

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
            *OpenAiApi(self.slots, self.request_bytes_at_most, self._told).routes(),
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
            exception_handlers={
                DizuoError: answer_error,
                HTTPException: answer_http_error,
                ClientDisconnect: answer_nobody,
            },
            middleware=[Middleware(LocalGuard, rules=self.guard)],
        )

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
        with self._open_inference(request).host.arriving():
            body = await read_body(request, self.request_bytes_at_most)
        route = self._route(request)  # again: the body took time, and a switch may have come
        # Nothing may be awaited between here and the call: see EngineHost.infer.
        answer = await route.host.infer(route.direction.served_as, body)
        self._told(request, Answered(route.direction, body, answer.observations))
        return Response(answer.body, media_type="application/json")

    def _told(self, request: Request, answered: Answered) -> None:
        self.state.num_answers += 1
        if request.headers.get(SAMPLE_HEADER, "").lower() != "no":
            self.answered(answered)

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

    def _open_inference(self, request: Request) -> Route:
        route = self._route(request)
        if registry.spec(route.direction.family).PROTOCOL != "open-inference":
            raise InvalidInput(
                f"{route.direction.served_as} speaks OpenAI's protocol.",
                next_step="Ask it at /v1/chat/completions.",
            )
        return route


def _readiness(body: dict[str, object]) -> Response:
    return JSONResponse(body, status_code=200 if body["ready"] else 503)
