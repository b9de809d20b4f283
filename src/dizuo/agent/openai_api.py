"""OpenAI's protocol at the site: chat completions and completions, whole or as a stream.

The body says which model is asked, so it is read before a route is known; all else in it is the
family's to judge, in the engine. Who leaves before the answer is done ends it in the engine too.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route as HttpRoute

from dizuo.agent.answers import AnswerStream, EngineAnswer
from dizuo.agent.engine_process import parse_request
from dizuo.agent.errors import EngineBusy
from dizuo.agent.local_answers import openai_error
from dizuo.agent.request_body import read_body
from dizuo.agent.sampler import Answered
from dizuo.agent.slots import Route, Slots
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.edge.wire import Direction
from dizuo.families import registry

PROTOCOL = "openai"
_T = TypeVar("_T")
_BODIES_AT_MOST = 64
"""Bodies that arrive at the same time; which engine they are for is not known yet."""
_FORMS = {
    "messages": ("/v1/chat/completions", "a list of messages"),
    "prompt": ("/v1/completions", "a prompt"),
}


@dataclass(slots=True)
class OpenAiApi:
    """The routes and what they ask.

    Args:
        slots: who answers.
        request_bytes_at_most: the largest body.
        answered: told about every answer, with whether it may become a sample.
    """

    slots: Slots
    request_bytes_at_most: int
    answered: Callable[[Request, Answered], None]
    _num_arriving: int = 0

    def routes(self) -> list[HttpRoute]:
        """Everything under `/v1`."""
        return [
            HttpRoute("/v1/models", self.list_models),
            HttpRoute("/v1/models/{name}", self.show_model),
            HttpRoute("/v1/chat/completions", self.chat, methods=["POST"]),
            HttpRoute("/v1/completions", self.complete, methods=["POST"]),
        ]

    async def list_models(self, _request: Request) -> Response:
        """OpenAI's list form; the stack's digest and version come along."""
        models = [_model_entry(name, route) for name, route in sorted(self.slots.routes.items())]
        return JSONResponse({"object": "list", "data": models})

    async def show_model(self, request: Request) -> Response:
        """One entry of the list."""
        name = request.path_params["name"]
        return JSONResponse(_model_entry(name, self.slots.route(name)))

    async def chat(self, request: Request) -> Response:
        """Answer a chat."""
        return await self._answer(request, "messages")

    async def complete(self, request: Request) -> Response:
        """Go on from a raw prompt."""
        return await self._answer(request, "prompt")

    async def _answer(self, request: Request, form: str) -> Response:
        body = await self._read(request)
        wanted = parse_request(body, PROTOCOL)
        route = self._route(wanted, form)
        # Nothing may be awaited between here and the call: see EngineHost.stream.
        stream = route.host.stream(route.direction.served_as, body)
        exchange = _Exchange(request, route.direction, body, stream)
        if wanted.get("stream") is not True:
            answer = await exchange.unless_left(stream.whole())
            await stream.close()
            self._tell(exchange, answer)
            return Response(answer.body, media_type="application/json")
        chunks = stream.chunks()
        first = await exchange.unless_left(_first(chunks))
        if first is None:  # it failed before it began: an error like any other
            await stream.whole()
        events = self._events(exchange, first, chunks)
        return StreamingResponse(events, media_type="text/event-stream", headers=_UNBUFFERED)

    async def _read(self, request: Request) -> bytes:
        if self._num_arriving >= _BODIES_AT_MOST:
            raise EngineBusy(
                "The site is at its limit of requests.", next_step="Try again in a moment."
            )
        self._num_arriving += 1
        try:
            return await read_body(request, self.request_bytes_at_most)
        finally:
            self._num_arriving -= 1

    def _route(self, wanted: dict[str, Any], form: str) -> Route:
        name = wanted.get("model")
        if not isinstance(name, str) or not name:
            raise InvalidInput(
                "The request does not say which model is asked.",
                next_step=f"Give one as model: {', '.join(sorted(self.slots.routes)) or 'none'}.",
            )
        route = self.slots.route(name)
        if registry.spec(route.direction.family).PROTOCOL != PROTOCOL:
            raise InvalidInput(
                f"{name} is no language model.", next_step=f"Ask it at /v2/models/{name}/infer."
            )
        if wanted.get(form) is None:
            address, thing = _FORMS[form]
            others = (path for key, (path, _) in _FORMS.items() if wanted.get(key) is not None)
            other = next(others, "")
            step = f"Send it to {other}." if other else f"Send {thing}."
            raise InvalidInput(f"A request to {address} needs {thing}.", next_step=step)
        return route

    def _tell(self, exchange: _Exchange, answer: EngineAnswer) -> None:
        answered = Answered(exchange.direction, exchange.body, answer.observations)
        self.answered(exchange.request, answered)

    async def _events(
        self, exchange: _Exchange, first: bytes | None, chunks: AsyncIterator[bytes]
    ) -> AsyncIterator[bytes]:
        try:
            if first is not None:
                yield _event(first)
            async for chunk in chunks:
                yield _event(chunk)
            self._tell(exchange, await exchange.stream.whole())
        except DizuoError as error:
            yield _event(json.dumps(openai_error(error)).encode())
        finally:
            await exchange.stream.close()
        yield b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One request and the answer that is being made to it."""

    request: Request
    direction: Direction
    body: bytes
    stream: AnswerStream

    async def unless_left(self, awaitable: Awaitable[_T]) -> _T:
        """What is awaited; the answer is ended as soon as nobody waits for it, or it failed.

        Raises:
            ClientDisconnect: the caller has left.
        """
        leaving = asyncio.create_task(_left(self.request))
        waiting = asyncio.ensure_future(awaitable)
        try:
            await asyncio.wait((leaving, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ClientDisconnect
            return waiting.result()
        except BaseException:
            waiting.cancel()
            await self.stream.close()
            raise
        finally:
            leaving.cancel()


_UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def _event(chunk: bytes) -> bytes:
    return b"data: " + chunk + b"\n\n"


async def _first(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _model_entry(name: str, route: Route) -> dict[str, object]:
    return {
        "id": name,
        "object": "model",
        "created": 0,  # nobody here knows; the field is required
        "owned_by": "dizuo",
        "stack": f"{route.direction.name}:{route.direction.version}",
        "digest": route.direction.digest,
    }
