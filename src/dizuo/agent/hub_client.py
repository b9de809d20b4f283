"""How the agent speaks to its hub.

`/edge/v1` takes the site's edge credential, `/v2` and `/tuf` its registry credential. Every call is
bounded in time; none follows a redirect.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from dizuo import __version__
from dizuo.agent.errors import HubAnswerBroken, HubRefused, HubUnreachable
from dizuo.core.errors import InvalidInput
from dizuo.core.settings import InvalidSetting
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
_MAX_SENTENCE = 500
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


class HubClient:
    """The calls of `/edge/v1`.

    Every call raises:
        HubUnreachable: no answer, or one that says it cannot now.
        HubRefused: an answer that refuses; with the hub's sentence.
        HubAnswerBroken: an answer that is not of the agreed form.
    """

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

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
        try:
            response = self._client.post(
                path,
                content=body.model_dump_json(),
                headers={"Content-Type": "application/json"},
            )
        except httpx2.HTTPError as error:
            raise HubUnreachable(
                f"The hub at {self._client.base_url} does not answer ({_kind(error)}).",
                next_step="The site keeps serving what it has and tries again.",
            ) from error
        if not response.is_success:
            raise _refusal(response)
        try:
            return reply.model_validate_json(response.content)
        except ValidationError as error:
            raise HubAnswerBroken(
                f"The hub's answer to {path} does not have the agreed form.",
                next_step="Check that the address is a dizuo hub and that versions fit.",
            ) from error


def _kind(error: httpx2.HTTPError) -> str:
    return type(error).__name__


def _refusal(response: httpx2.Response) -> HubRefused | HubUnreachable:
    """The hub's own sentence where it sent one, and whether to try again from the status."""
    message, next_step, code = f"The hub answered {response.status_code}.", "", ""
    try:
        fields = response.json()["error"]
        message, next_step = str(fields["message"]), str(fields["next_step"])
        code = str(fields["code"])
    except (ValueError, KeyError, TypeError):
        pass  # a proxy's page, or another program: the status is all there is to say
    if response.status_code >= 500 or response.status_code == 429:
        return HubUnreachable(message[:_MAX_SENTENCE], next_step=next_step[:_MAX_SENTENCE])
    return HubRefused(
        message[:_MAX_SENTENCE],
        next_step=next_step[:_MAX_SENTENCE],
        status=response.status_code,
        hub_code=code,
    )
