"""One HTTP connection to a hub, speaking its JSON and its one shape of errors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import quote

import httpx2

from dizuo.client.credentials import Credentials
from dizuo.client.errors import HubError, HubUnreachable, NameRefused, NotAHub
from dizuo.core.addresses import is_loopback, require_private

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
_MAX_ERROR_BYTES = 1 << 20

Params = Mapping[str, str | int | None]


def api_path(*parts: str | int) -> str:
    """`/api/v1/…` with each part quoted, so that a name can never leave its place.

    Raises:
        NameRefused: a part is empty or dots, which no quoting keeps in place.
    """
    for part in parts:
        if part in ("", ".", ".."):
            raise NameRefused(f"{part!r} is not a name.", next_step="List the names there are.")
    return "/api/v1/" + "/".join(quote(str(part), safe="") for part in parts)


class Transport:
    """Calls to one hub. Close it, or use it as a context manager.

    Raises:
        NotAHub: the address is none.
        InsecureAddress: the token would be sent unencrypted to another machine.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.url = credentials.url
        require_private(credentials.url)
        try:
            self._http = httpx2.Client(
                base_url=credentials.url,
                headers={"Authorization": f"Bearer {credentials.token}"},
                timeout=httpx2.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
                trust_env=not is_loopback(httpx2.URL(credentials.url).host),
            )
        except (httpx2.InvalidURL, ValueError) as error:
            raise _not_a_url(credentials.url) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connection."""
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The JSON that the hub answers.

        Raises:
            HubError: it answered with an error.
            HubUnreachable: it did not answer.
            NotAHub: what answered is no hub.
        """
        with self.stream(method, path, body=body, params=params, headers=headers) as response:
            return _json(response, self.url)

    def text(self, path: str) -> str:
        """The plain text that the hub answers; raises as `call`."""
        with self.stream("GET", path) as response:
            response.read()
            return response.text

    def send(self, path: str, pieces: Iterable[bytes], size_bytes: int) -> Any:
        """PUT bytes as they come, and the JSON that the hub answers; raises as `call`."""
        headers = {
            "Content-Length": str(size_bytes),
            "Content-Type": "application/octet-stream",
        }
        with self._speaking():
            request = self._http.build_request("PUT", path, content=pieces, headers=headers)
            response = self._http.send(request, stream=True)
            try:
                _raise_for_error(response, self.url)
                return _json(response, self.url)
            finally:
                response.close()

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[httpx2.Response]:
        """An answer whose body is still to be read; raises as `call`."""
        given = {name: value for name, value in (params or {}).items() if value is not None}
        with (
            self._speaking(),
            self._http.stream(
                method,
                path,
                json=body,
                params=given or None,
                headers=dict(headers) if headers else None,
            ) as response,
        ):
            _raise_for_error(response, self.url)
            yield response

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except httpx2.UnsupportedProtocol as error:
            raise _not_a_url(self.url) from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise _unreachable(self.url, error) from error
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            raise HubUnreachable(
                f"The connection to the hub at {self.url} broke off.",
                next_step="See that the hub runs, then try again.",
            ) from error


def _unreachable(url: str, error: Exception) -> HubUnreachable:
    if "CERTIFICATE" in str(error).upper():
        return HubUnreachable(
            f"The certificate of {url} is not trusted here.",
            next_step="Set SSL_CERT_FILE to the certificate of the authority that signed it.",
        )
    return HubUnreachable(
        f"No hub answers at {url}.", next_step="Start one with: dizuo up, or set DIZUO_URL."
    )


def _not_a_url(url: str) -> NotAHub:
    return NotAHub(
        f"{url[:200]!r} is not the address of a hub.",
        next_step="Write it like http://127.0.0.1:8420, in DIZUO_URL or --url.",
    )


def _json(response: httpx2.Response, url: str) -> Any:
    try:
        return json.loads(response.read())
    except ValueError as error:
        raise NotAHub(
            f"What answers at {url} is not a dizuo hub.", next_step="Check DIZUO_URL or --url."
        ) from error


def _raise_for_error(response: httpx2.Response, url: str) -> None:
    if response.is_success:
        return
    body = b""
    for piece in response.iter_bytes():
        body += piece
        if len(body) > _MAX_ERROR_BYTES:
            break
    try:
        refused = HubError(json.loads(body), response.status_code)
    except (ValueError, KeyError, TypeError, AttributeError) as cause:
        raise NotAHub(
            f"{url} answered {response.status_code}, and not as a dizuo hub does.",
            next_step="Check DIZUO_URL or --url, and any proxy on the way.",
        ) from cause
    raise refused
