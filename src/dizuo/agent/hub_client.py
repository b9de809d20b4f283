"""How the agent speaks to its hub.

`/edge/v1` takes the site's edge credential, `/v2` and `/tuf` its registry credential. Every call is
bounded in time and in the bytes of its answer, whatever stands at the hub's address; none follows a
redirect.
"""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Annotated, TypeVar

import httpx2
from pydantic import AfterValidator, BaseModel, ValidationError

from dizuo import __version__
from dizuo.agent.errors import HubAnswerBroken, HubRefused, HubUnreachable
from dizuo.core.errors import InvalidInput, TooLarge
from dizuo.core.settings import InvalidSetting
from dizuo.edge.bounded_http import AS_IT_IS, read_bounded
from dizuo.edge.wire import (
    CheckIn,
    CheckInReply,
    EnrolReply,
    EnrolRequest,
    SampleReceipt,
    SampleUpload,
)

ENROL_PATH = "/edge/v1/enrol"
CHECK_IN_PATH = "/edge/v1/check-in"
SAMPLES_PATH = "/edge/v1/samples"
CALL_SECONDS = 60.0
"""Bound on one call of `/edge/v1` as a whole, against a peer that answers byte by byte."""
MAX_REPLY_BYTES = 4_000_000
"""Of one answer; a desired state of ten thousand stacks has about half of that."""
_MAX_SENTENCE = 500
_Sentence = Annotated[str, AfterValidator(lambda text: text[:_MAX_SENTENCE])]
_Reply = TypeVar("_Reply", bound=BaseModel)


def open_client(
    hub_url: str, *, credential: str = "", ca: Path | None = None, timeout_seconds: float = 20.0
) -> httpx2.Client:
    """An HTTP client for one surface of one hub.

    Args:
        hub_url: where the hub is.
        credential: sent as a bearer token with every call; empty sends none.
        ca: a PEM file with the authority of the hub's certificate, if not a public one.
        timeout_seconds: how long the hub may stay silent.

    Raises:
        InvalidSetting: `ca` is not a file of certificates.
        InvalidInput: `hub_url` is not an address.
    """
    headers = {"User-Agent": f"dizuo-agent/{__version__}"}
    if credential:
        headers["Authorization"] = f"Bearer {credential}"
    try:
        return httpx2.Client(
            base_url=hub_url,
            headers=headers,
            timeout=timeout_seconds,
            verify=True if ca is None else _trusting(ca),
            follow_redirects=False,
        )
    except httpx2.InvalidURL as error:
        raise InvalidInput(
            f"{hub_url[:200]!r} is not the address of a hub.",
            next_step="Ask the hub's operator for a new token: dizuo site token.",
        ) from error


def _trusting(ca: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca))
    except OSError as error:
        raise InvalidSetting(
            f"{ca} is not a file of certificates ({error.strerror or 'none in it'}).",
            next_step="Set DIZUO_AGENT_HUB_CA to the PEM file your hub's operator gave you.",
        ) from error


class _Refusal(BaseModel):
    """What `error` holds in an answer of the project's own shape."""

    code: _Sentence
    message: _Sentence
    next_step: _Sentence


class _RefusalBody(BaseModel):
    error: _Refusal


class HubClient:
    """The calls of `/edge/v1`.

    Every call raises:
        HubUnreachable: no answer in time, or one that says it cannot now.
        HubRefused: an answer that refuses; with the hub's sentence.
        HubAnswerBroken: an answer that is not of the agreed form, or too large to be it.

    Args:
        client: has the hub's address and the site's edge credential.
        call_seconds: bound on the answer to one call as a whole.
    """

    def __init__(self, client: httpx2.Client, *, call_seconds: float = CALL_SECONDS) -> None:
        self._client = client
        self._call_seconds = call_seconds

    def enrol(self, request: EnrolRequest) -> EnrolReply:
        """Show the one-time secret and get the site's own credentials."""
        return self._post(ENROL_PATH, request, EnrolReply)

    def check_in(self, state: CheckIn) -> CheckInReply:
        """Tell the site's state and learn what it shall run."""
        return self._post(CHECK_IN_PATH, state, CheckInReply)

    def send_samples(self, upload: SampleUpload) -> SampleReceipt:
        """Return samples; sending one again is harmless."""
        return self._post(SAMPLES_PATH, upload, SampleReceipt)

    def _post(self, path: str, body: BaseModel, reply: type[_Reply]) -> _Reply:
        status, content = self._exchange(path, body.model_dump_json())
        if not 200 <= status < 300:
            raise _refusal(status, content)
        try:
            return reply.model_validate_json(content)
        except ValidationError as error:
            raise _broken(path) from error

    def _exchange(self, path: str, content: str) -> tuple[int, bytes]:
        """The status and the body of the answer to one POST."""
        deadline = time.monotonic() + self._call_seconds
        headers = {"Content-Type": "application/json", **AS_IT_IS}
        try:
            with self._client.stream("POST", path, content=content, headers=headers) as response:
                return response.status_code, read_bounded(response, deadline, MAX_REPLY_BYTES)
        except httpx2.HTTPError as error:
            raise HubUnreachable(
                f"The hub at {self._client.base_url} does not answer ({type(error).__name__}).",
                next_step="The site keeps serving what it has and tries again.",
            ) from error
        except TooLarge as error:
            raise _broken(path) from error


def _broken(path: str) -> HubAnswerBroken:
    return HubAnswerBroken(
        f"The hub's answer to {path} does not have the agreed form.",
        next_step="Check that the address is a dizuo hub and that versions fit.",
    )


def _refusal(status: int, content: bytes) -> HubRefused | HubUnreachable:
    """The hub's own sentence where it sent one, and whether to try again from the status."""
    try:
        told = _RefusalBody.model_validate_json(content).error
    except ValidationError:  # a proxy's page, or another program: the status is all there is to say
        told = _Refusal(code="", message=f"The hub answered {status}.", next_step="")
    if status >= 500 or status == 429:
        return HubUnreachable(told.message, next_step=told.next_step)
    return HubRefused(told.message, next_step=told.next_step, status=status, hub_code=told.code)
