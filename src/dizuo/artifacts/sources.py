"""Where blobs can be fetched from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import httpx2

from dizuo.artifacts.errors import BlobCorrupt, FetchInterrupted, NotInRegistry, RegistryRefused
from dizuo.artifacts.manifests import INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE
from dizuo.artifacts.reference import require_name

_TIMEOUT = httpx2.Timeout(connect=10, read=30, write=30, pool=30)
_MAX_HOPS = 5
_CONTENT_RANGE_PATTERN = re.compile(r"bytes ([0-9]{1,15})-[0-9]{1,15}/(?:[0-9]{1,15}|\*)")


@dataclass(frozen=True, slots=True)
class BlobStream:
    """Bytes of a blob from `offset` on; a source that cannot start later starts at 0.

    Taking from `chunks` raises `FetchInterrupted` when the transfer breaks.
    """

    offset: int
    chunks: Iterator[bytes]


class BlobSource(Protocol):
    """A place that has blobs. Nothing it says is believed: the caller checks every byte."""

    def open_manifest(self, digest: str) -> AbstractContextManager[BlobStream]:
        """An index or a manifest, from its beginning.

        Raises:
            NotInRegistry: it is not there.
            RegistryRefused: the credential was not accepted.
            FetchInterrupted: the source cannot be reached or answers nonsense; try again later.
        """

    def open_blob(self, digest: str, offset: int) -> AbstractContextManager[BlobStream]:
        """A blob, if possible from `offset` on.

        Raises:
            BlobCorrupt: the source's blob ends before `offset`.
            NotInRegistry, RegistryRefused, FetchInterrupted: as `open_manifest`.
        """


class RegistrySource:
    """A repository of a registry that speaks the OCI distribution API: a hub, Harbor, any other.

    Args:
        client: its base URL is the registry's; it may bring its own `auth`.
        repository: `project/name`, with more parts where a registry nests them.
        credential: sent as a bearer token, to the registry only and not where it redirects to.
        follow_redirects: whether the registry may send us elsewhere for a blob, as those do that
            keep blobs in a storage service: over https only, at most 5 times. A hub never does.
    """

    def __init__(
        self,
        client: httpx2.Client,
        repository: str,
        credential: str = "",
        *,
        follow_redirects: bool = False,
    ) -> None:
        for part in repository.split("/"):
            require_name(part)
        self._client = client
        self._repository = repository
        self._max_hops = _MAX_HOPS if follow_redirects else 0
        self._headers = {"Accept-Encoding": "identity"}
        if credential:
            self._headers["Authorization"] = f"Bearer {credential}"

    def open_manifest(self, digest: str) -> AbstractContextManager[BlobStream]:
        """As `BlobSource`."""
        accept = f"{INDEX_MEDIA_TYPE}, {MANIFEST_MEDIA_TYPE}"
        return self._open(f"manifests/{digest}", {"Accept": accept}, 0)

    def open_blob(self, digest: str, offset: int) -> AbstractContextManager[BlobStream]:
        """As `BlobSource`."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        return self._open(f"blobs/{digest}", headers, offset)

    @contextmanager
    def _open(self, what: str, headers: dict[str, str], offset: int) -> Iterator[BlobStream]:
        with _telling_interruption(what):
            request = self._client.build_request(
                "GET",
                f"/v2/{self._repository}/{what}",
                headers=self._headers | headers,
                timeout=_TIMEOUT,
            )
            response = self._send(request, what)
        try:
            _require_success(response, what)
            yield BlobStream(_offset_of(response, offset, what), _chunks(response, what))
        finally:
            response.close()

    def _send(self, request: httpx2.Request, what: str) -> httpx2.Response:
        """The answer to a request, or to the one that its last redirect asked for."""
        for _ in range(self._max_hops + 1):
            response = self._client.send(request, stream=True, follow_redirects=False)
            if response.next_request is None:
                return response
            response.close()
            # Made by the client's own rules: the credential stays behind where the host changes.
            request = response.next_request
            if self._max_hops and request.url.scheme != "https":
                raise _sent_away(what, "to an address without TLS")
        raise _sent_away(what, f"more than {_MAX_HOPS} times" if self._max_hops else "elsewhere")


def _sent_away(what: str, how: str) -> RegistryRefused:
    return RegistryRefused(
        f"The registry redirects {what} {how}.",
        next_step="Check the registry's address, and any proxy on the way.",
    )


@contextmanager
def _telling_interruption(what: str) -> Iterator[None]:
    try:
        yield
    except httpx2.HTTPError as error:
        raise FetchInterrupted(
            f"The registry broke off at {what}: {str(error) or type(error).__name__}.",
            next_step="Try again; what arrived is kept.",
        ) from error


def _chunks(response: httpx2.Response, what: str) -> Iterator[bytes]:
    """The body as it arrives. Not gathered into larger pieces, so that a bound on time is looked at
    even when a byte comes once a minute."""
    with _telling_interruption(what):
        yield from response.iter_raw()


def _require_success(response: httpx2.Response, what: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in (401, 403):
        raise RegistryRefused(
            f"The registry did not accept the credential for {what}.",
            next_step="Check that the credential was not revoked and is meant for this project.",
        )
    if status == 404:
        raise NotInRegistry(f"The registry does not hold {what}.")
    if status == 416:
        raise BlobCorrupt(f"The registry's {what} is shorter than what is here of it.")
    raise FetchInterrupted(f"The registry answered {status} for {what}.", next_step="Try again.")


def _offset_of(response: httpx2.Response, asked: int, what: str) -> int:
    if response.status_code == 200:
        return 0
    match = _CONTENT_RANGE_PATTERN.fullmatch(response.headers.get("content-range", ""))
    if match is None or int(match[1]) != asked:
        raise FetchInterrupted(f"The registry answered another range of {what} than was asked for.")
    return asked
