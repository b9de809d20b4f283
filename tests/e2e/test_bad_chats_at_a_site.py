"""Bad chats at a site: one sentence each, and the next good one is answered as before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from tests.e2e.language import CONTEXT_TOKENS, GGUF_MODEL, MODEL, PROMPT
from tests.e2e.refusals import one_clear_sentence
from tests.e2e.site import MAX_REQUEST_BYTES, RunningSite

CHAT, RAW = "/v1/chat/completions", "/v1/completions"
LONG = "很长" * 400


def chat(**changes: Any) -> dict[str, Any]:
    """A good chat with some keys changed."""
    messages = [{"role": "user", "content": PROMPT}]
    return {"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 12, **changes}


def says(content: Any, role: str = "user") -> dict[str, Any]:
    return chat(messages=[{"role": role, "content": content}])


def formed(schema: Any) -> dict[str, Any]:
    return chat(response_format={"type": "json_schema", "json_schema": {"schema": schema}})


def of_part(part: Any) -> dict[str, Any]:
    return formed({"type": "object", "properties": {"a": part}, "required": ["a"]})


def answer(site: RunningSite, **changes: Any) -> str:
    """What it says to the good chat; it must say something."""
    response = site.http.post(CHAT, json=chat(**changes))
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    assert content
    return content


def told(response: httpx2.Response, status: int, code: str) -> tuple[str, str]:
    """Message and next step; OpenAI's clients read both in one text."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code, error
    assert error["type"] == "invalid_request_error"
    assert error["next_step"], error
    assert error["message"].endswith(error["next_step"])
    message = error["message"].removesuffix(error["next_step"]).strip()
    one_clear_sentence(message)
    return message, error["next_step"]


_FORM = "Send a request of OpenAI's protocol."
# the body: what is said, the next step
BODIES: dict[str, tuple[Any, str, str]] = {
    "not JSON": (b"{nope", "The request body is not JSON.", _FORM),
    "nothing": (b"", "The request body is not JSON.", _FORM),
    "not text": (b"\xff\xfe", "The request body is not JSON.", _FORM),
    "nested without end": (b"[" * 90_000, "The request body is not JSON.", _FORM),
    "a list": ([1], "The request body is not a JSON object.", _FORM),
    "no model": (chat(model=None), "does not say which model is asked", MODEL),
    "a model that is a number": (chat(model=7), "does not say which model is asked", MODEL),
    "a prompt without messages": (
        {"model": MODEL, "prompt": "x"},
        f"A request to {CHAT} needs a list of messages.",
        f"Send it to {RAW}.",
    ),
    "no messages": (chat(messages=[]), "not a list of 1 to 256 messages", "Send a list"),
    "messages that are a number": (chat(messages=7), "not a list of 1 to", "Send a list"),
    "too many messages": (
        chat(messages=[{"role": "user", "content": "x"}] * 300),
        "not a list of 1 to 256 messages",
        "Send a list",
    ),
    "a message that is a text": (chat(messages=["x"]), "Message 1 is not an object", "Send a"),
    "a content that is a number": (says(5), "Message 1 has no text as content", "Send a"),
    "a content that is nothing": (says(None), "Message 1 has no text as content", "Send a"),
    "a picture": (
        says([{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]),
        "Message 1 holds something else than text",
        "reads text only",
    ),
    "an unknown role": (says("x", "robot"), "Message 1 has the role 'robot'", "Send a list"),
    "an answer to answer": (says("x", "assistant"), "nothing to answer", "Send a list"),
    "half a character": (
        says("\ud83d"),
        "The request body holds half a character.",
        "both of its surrogates",
    ),
    "a temperature that is a text": (
        chat(temperature="hot"),
        "temperature is not a number",
        "Correct",
    ),
    "a temperature that is too high": (
        chat(temperature=9),
        "temperature is not between 0",
        "Correct temperature",
    ),
    "a length below zero": (
        chat(max_tokens=-1),
        "max_tokens is not a whole number from 1",
        "Correct max_tokens",
    ),
    "a length that is a text": (
        chat(max_tokens="all"),
        "max_tokens is not a whole number",
        "Correct max_tokens",
    ),
    "a length that is half": (
        chat(max_completion_tokens=1.5),
        "is not a whole number",
        "Correct max_c",
    ),
    "two answers at once": (chat(n=2), "so n can only be 1.", "Leave out n,"),
    "a stop that is a number": (chat(stop=5), "stop is not a text or a list", "Give texts of 1"),
    "stops that are numbers": (chat(stop=[5]), "stop is not a text or a list", "Give texts of 1"),
    "too many stops": (chat(stop=["x"] * 99), "a list of at most 16 texts", "leave out stop"),
    "a seed that is a text": (chat(seed="lucky"), "seed is not a whole number", "Correct seed"),
    "a stream that is a text": (
        chat(stream="yes"),
        "stream is neither true nor false",
        "Correct stream",
    ),
    "several questions": (
        chat(requests=[chat(), chat()]),
        "A request asks one question.",
        "a request of its own",
    ),
    "several questions, streamed": (
        chat(requests=[chat(), chat()], stream=True),
        "A request asks one question.",
        "a request of its own",
    ),
    "several questions and no messages": (
        {"model": MODEL, "requests": [chat()]},
        f"A request to {CHAT} needs a list of messages.",
        "Send a list of messages.",
    ),
    "messages and a prompt": (
        chat(prompt="x"),
        "A request holds messages or a prompt, not both.",
        f"a prompt to {RAW}",
    ),
    "a parameter that nobody knows": (
        chat(zork=1),
        "This model takes no parameter 'zork'.",
        "Leave it out",
    ),
    "tools": (chat(tools=[{"type": "function"}]), "This model calls no tools.", "Leave out tools"),
    "a bias on a token": (
        chat(logit_bias={"7": 5}),
        "no bias on its tokens.",
        "Leave out logit_bias",
    ),
    "an echo": (chat(echo=True), "does not repeat the prompt", "Leave out echo."),
    "a format of another kind": (
        chat(response_format={"type": "xml"}),
        "response_format",
        "as its type",
    ),
    "a format that is a text": (
        chat(response_format="json"),
        "response_format is neither",
        "Give one of these",
    ),
    "a format without its schema": (
        formed(None),
        "json_schema with a schema",
        "json_schema.schema",
    ),
    "a schema of a text": (
        formed({"type": "string"}),
        "an object with properties",
        "Correct the schema",
    ),
    "a schema with an unknown keyword": (
        of_part({"zork": 1}),
        "'zork' cannot be enforced",
        "Correct the schema",
    ),
    "a schema that leads nowhere": (
        of_part({"$ref": "#/$defs/x"}),
        "its own $defs",
        "Correct the schema",
    ),
    "a schema whose pattern looks ahead": (
        of_part({"pattern": "(?=x)"}),
        "looks around",
        "Correct the schema",
    ),
    "a schema that contradicts itself": (
        of_part({"type": "number", "enum": ["x"]}),
        "The engine cannot hold an answer to this schema.",
        "contradict",
    ),
}


@pytest.mark.parametrize("case", BODIES.values(), ids=list(BODIES))
def test_a_chat_that_cannot_be_answered(talker: RunningSite, case: tuple[Any, str, str]) -> None:
    body, says, next_step = case
    before = answer(talker)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    message, step = told(talker.http.post(CHAT, content=content), 400, "invalid_input")
    assert says in message
    assert next_step in step
    assert answer(talker) == before


@pytest.mark.parametrize("prompt", [["x", "y"], [7, 8], [[7, 8]]])
def test_prompts_that_are_several_or_no_text(talker: RunningSite, prompt: list[Any]) -> None:
    response = talker.http.post(RAW, json={"model": MODEL, "prompt": prompt})
    message, step = told(response, 400, "invalid_input")
    assert message == "One prompt at a time is read, and as text."
    assert step.startswith("Send a text as prompt")


@pytest.mark.parametrize("stream", [False, True])
def test_a_chat_that_is_too_long_for_the_model(talker: RunningSite, *, stream: bool) -> None:
    before = answer(talker)
    body = {**says(LONG), "stream": stream}
    response = talker.http.post(CHAT, json=body)
    message, step = told(response, 400, "context_length_exceeded")
    assert f"this model reads {CONTEXT_TOKENS} at once" in message
    assert step == "Shorten the messages."
    assert answer(talker) == before


def test_a_chat_with_a_model_that_is_not_there(talker: RunningSite) -> None:
    for path, body in ((CHAT, chat(model="nobody")), (RAW, {"model": "nobody", "prompt": "x"})):
        message, step = told(talker.http.post(path, json=body), 404, "unknown_model")
        assert message == "This site serves no model 'nobody'."
        assert step == f"It serves: {MODEL}, {GGUF_MODEL}."


def test_a_chat_that_is_too_large(talker: RunningSite) -> None:
    before = answer(talker)

    def unannounced() -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(MAX_REQUEST_BYTES // 2)

    for content in (bytes(MAX_REQUEST_BYTES + 1), unannounced()):
        message, _ = told(talker.http.post(CHAT, content=content), 413, "too_large")
        assert f"larger than the {MAX_REQUEST_BYTES} bytes accepted here" in message
    assert answer(talker) == before
