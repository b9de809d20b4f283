"""Following a run across broken connections."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from tests.client.serving import free_url, served

from dizuo.client.errors import HubError, HubUnreachable, NotAHub
from dizuo.client.events import Patience
from dizuo.client.hub import HubClient
from dizuo.core.errors import NotFound, Unavailable
from dizuo.core.progress import Progress

RUN = {"id": "r1", "state": "succeeded"}
END = f"event: end\ndata: {json.dumps(RUN)}\n\n"


def _event(number: int, **more: object) -> str:
    data = json.dumps({"stage": "train", "done": number, "total": 9, **more})
    return f"id: 1:{number}\ndata: {data}\n\n"


@dataclass
class Script:
    """What the hub says on each connection, one after the other; the last is repeated."""

    answers: Sequence[str | Callable[[], Response]]
    asked_after: list[str | None] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/api/v1/runs/r1/events", self._answer)])

    async def _answer(self, request: Request) -> Response:
        said = self.answers[min(len(self.asked_after), len(self.answers) - 1)]
        self.asked_after.append(request.headers.get("last-event-id"))
        if not isinstance(said, str):
            return said()
        return StreamingResponse(_pieces(said), media_type="text/event-stream")


async def _pieces(text: str) -> AsyncIterator[str]:
    """In pieces that end in the middle of lines and of characters' names."""
    for start in range(0, len(text), 7):
        yield text[start : start + 7]


def _follow(script: Script, tries: int = 3) -> tuple[dict[str, object], list[int], list[float]]:
    seen: list[Progress] = []
    pauses: list[float] = []
    with served(script.app()) as url, HubClient(url, "token") as hub:
        run = hub.follow_run("r1", seen.append, Patience(tries, pauses.append))
    return run, [event.done for event in seen], pauses


def test_every_event_and_then_the_run() -> None:
    script = Script([_event(1) + ": a sign of life\n\n" + _event(2, message="底") + END])
    assert _follow(script) == (RUN, [1, 2], [])
    assert script.asked_after == [None]


def test_a_broken_connection_goes_on_where_it_broke_off() -> None:
    script = Script([_event(1) + _event(2), _event(3)[:-4], _event(3) + END])
    run, seen, pauses = _follow(script)
    assert (run, seen) == (RUN, [1, 2, 3])
    assert script.asked_after == [None, "1:2", "1:2"]
    assert len(pauses) == 2


def test_a_hub_that_restarts_is_waited_for() -> None:
    def restarting() -> Response:
        return JSONResponse(Unavailable("Not yet.").as_dict(), 503)

    script = Script([_event(1), restarting, restarting, END])
    run, seen, pauses = _follow(script)
    assert (run, seen) == (RUN, [1])
    assert pauses == sorted(pauses)


def test_progress_makes_patience_new() -> None:
    script = Script([_event(number) for number in range(8)] + [END])
    run, seen, pauses = _follow(script, tries=1)
    assert (run, seen) == (RUN, list(range(8)))
    assert len(pauses) == 8


def test_patience_ends() -> None:
    with pytest.raises(HubUnreachable, match="stopped telling about the run"):
        _follow(Script([""]), tries=2)
    with pytest.raises(HubError, match="Not yet"):
        _follow(Script([lambda: JSONResponse(Unavailable("Not yet.").as_dict(), 503)]), tries=2)
    pauses: list[float] = []
    with HubClient(free_url(), "token") as hub, pytest.raises(HubUnreachable, match="No hub"):
        hub.follow_run("r1", patience=Patience(3, pauses.append))
    assert len(pauses) == 3


def test_a_refusal_is_not_tried_again() -> None:
    script = Script([lambda: JSONResponse(NotFound("There is no run r1.").as_dict(), 404)])
    with pytest.raises(HubError, match="There is no run r1"):
        _follow(script)
    assert len(script.asked_after) == 1


@pytest.mark.parametrize("data", ["{", "[]", "7", ""])
def test_events_that_no_hub_sends(data: str) -> None:
    with pytest.raises(NotAHub):
        _follow(Script([f"data: {data}\n\n"]))


def test_an_answer_that_is_no_stream_of_events() -> None:
    with pytest.raises(HubUnreachable):
        _follow(Script([lambda: JSONResponse({})]), tries=0)


def test_keys_of_a_newer_hub_are_passed_over() -> None:
    seen: list[Progress] = []
    script = Script([_event(1, colour="red", metrics={"loss": 0.5}) + "data: {}\n\n" + END])
    with served(script.app()) as url, HubClient(url, "token") as hub:
        hub.follow_run("r1", seen.append)
    assert seen == [Progress("train", 1, 9, metrics={"loss": 0.5}), Progress("")]


def test_pauses_grow_and_stay_bounded() -> None:
    pauses: list[float] = []
    patience = Patience(pause=pauses.append)
    for number in range(30):
        patience.wait(number)
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.5
    assert pauses[-1] == 5.0
