"""Errors as the local API answers them.

The Open Inference Protocol wants `{"error": "<string>"}`, the project's own shape has an object
there. Under `/v2` an error is therefore `{"error": "<sentence>", "code": …, "message": …,
"next_step": …, "retryable": …}`: a client of the protocol reads the string, ours reads the rest.
Everywhere else the project's shape holds, under `/v1` with the keys `type` and `param` that
OpenAI's clients read beside it.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from dizuo.core.errors import DizuoError, InvalidInput, NotFound, Unauthenticated

RETRY_AFTER_SECONDS = 1
CLIENT_LEFT_STATUS = 499
"""Nobody reads it; proxies use this number too for a caller that closed the connection."""


async def answer_error(request: Request, error: Exception) -> Response:
    """The answer to a request that met an expected error."""
    assert isinstance(error, DizuoError)
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)} if error.retryable else {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    body = error.as_dict()
    if request.url.path.startswith("/v2"):
        fields = body["error"]
        assert isinstance(fields, dict)
        body = {**fields, "error": str(error)}
    elif request.url.path.startswith("/v1"):
        body = openai_error(error)
    return JSONResponse(body, status_code=error.http_status, headers=headers)


def openai_error(error: DizuoError) -> dict[str, object]:
    """An error as OpenAI's clients read it, whole or inside a stream."""
    fields = error.as_dict()["error"]
    assert isinstance(fields, dict)
    kind = "server_error" if error.http_status >= 500 else "invalid_request_error"
    return {"error": {**fields, "message": str(error), "type": kind, "param": None}}


async def answer_http_error(request: Request, error: Exception) -> Response:
    """The answer to a request that no route takes."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        told: DizuoError = InvalidInput(
            f"{request.method} is not for this address.",
            next_step=f"Use {' or '.join(sorted(allowed.split(', ')))}.",
        )
    else:
        told = NotFound(
            "There is nothing at this address.", next_step="See GET /v2 and /v1/models."
        )
    answer = await answer_error(request, told)
    answer.status_code = error.status_code
    return answer


async def answer_nobody(_request: Request, error: Exception) -> Response:
    """The answer to a request whose caller has left: an ordinary end, and no error of the site."""
    assert isinstance(error, ClientDisconnect)
    return Response(status_code=CLIENT_LEFT_STATUS)
