"""Tickets read over OpenAI's protocol: one request each, right only where the whole JSON is."""

from __future__ import annotations

import json
from collections.abc import Callable
from threading import Barrier
from typing import Any

import httpx2
import pytest

from dizuo.core.progress import Progress
from dizuo.demo.hotline.asking import read_tickets, score_city
from dizuo.demo.measure import SiteSilent

LABEL = {"category": "noise", "department": "police", "place": "3 Anhai Road", "urgency": "low"}
ROWS = [{"prompt": f"ticket {number}", "label": LABEL} for number in range(3)]


def site(
    asked: list[httpx2.Request], content: Callable[[str], str], status: int = 200
) -> httpx2.Client:
    """A site that notes `content` of a ticket's text."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(request)
        prompt = json.loads(request.content)["messages"][0]["content"]
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": content(prompt)}}
        body = {"choices": [choice], "confidence": 0.75, "stack_digest": "sha256:1"}
        return httpx2.Response(status, json=body)

    return httpx2.Client(base_url="http://site", transport=httpx2.MockTransport(answer))


def test_tickets_read_of_all_are_told() -> None:
    asked: list[httpx2.Request] = []
    events: list[Progress] = []
    with site(asked, json.dumps) as client:
        notes = read_tickets(client, "city", ROWS, sample=True, report=events.append)
    assert [note.label for note in notes] == ["ticket 0", "ticket 1", "ticket 2"]
    assert {(note.confidence, note.stack_digest) for note in notes} == {(0.75, "sha256:1")}
    assert [(e.stage, e.done, e.total, e.unit) for e in events] == [
        ("read", done, 3, "ticket") for done in range(4)
    ]
    assert {str(request.url.path) for request in asked} == {"/v1/chat/completions"}
    bodies = [json.loads(request.content) for request in asked]
    assert {(body["model"], body["temperature"]) for body in bodies} == {("city", 0)}
    assert not any("dizuo-sample" in request.headers for request in asked)


def test_callers_ask_at_once_and_answers_keep_their_order() -> None:
    both = Barrier(2, timeout=30)

    def content(prompt: str) -> str:
        both.wait()
        return json.dumps(prompt)

    rows = [*ROWS, *ROWS][:4]
    with site([], content) as client:
        notes = read_tickets(client, "city", rows, sample=False, callers=2)
    assert [note.label for note in notes] == [row["prompt"] for row in rows]


def test_a_ticket_is_right_where_the_whole_json_is_and_is_not_sampled() -> None:
    noted = {
        "ticket 0": json.dumps(dict(reversed(LABEL.items()))),
        "ticket 1": json.dumps({**LABEL, "urgency": "high"}),
        "ticket 2": '{"category": "noi',
    }
    asked: list[httpx2.Request] = []
    with site(asked, noted.__getitem__) as client:
        reading = score_city(client, "city", ROWS)
    assert reading.score.score == pytest.approx(1 / 3)
    assert reading.confidence == 0.75
    assert {request.headers["dizuo-sample"] for request in asked} == {"no"}


def test_a_site_that_does_not_answer_is_named() -> None:
    with (
        site([], lambda prompt: prompt, status=503) as client,
        pytest.raises(SiteSilent, match=r"http://site.*503"),
    ):
        read_tickets(client, "city", ROWS, sample=False)
