"""How TUF metadata reaches python-tuf's client: over HTTP, or from what is already kept.

Every URL here is a path that begins with `/` and names one metadata file (`/timestamp.json`,
`/3.snapshot.json`); where the hub keeps them is the fetcher's business. python-tuf bounds the
bytes, the fetcher bounds the time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from tuf.api.exceptions import DownloadError, DownloadHTTPError, SlowRetrievalError
from tuf.ngclient import FetcherInterface

from dizuo.edge.bounded_http import AS_IT_IS, pieces_in_time

_VERSIONED = re.compile(r"/(?:(?P<version>[0-9]+)\.)?(?P<role>[^/]+\.json)")


class HttpFetcher(FetcherInterface):
    """Fetches from a hub.

    Args:
        client: has the hub's address as its base URL and carries the site's registry credential;
            its own timeouts bound each wait, and it must not follow redirects.
        prefix: where the hub keeps the metadata.
        deadline_seconds: bound on one file as a whole, against a hub that sends byte by byte.
    """

    def __init__(
        self, client: httpx2.Client, *, prefix: str = "/tuf", deadline_seconds: float = 60.0
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._deadline_seconds = deadline_seconds

    def _fetch(self, url: str) -> Iterator[bytes]:
        # A generator, so errors here surface while python-tuf reads: they must be its own classes.
        deadline = time.monotonic() + self._deadline_seconds
        try:
            with self._client.stream("GET", self._prefix + url, headers=AS_IT_IS) as response:
                if response.status_code != 200:
                    raise DownloadHTTPError(
                        f"{url} was answered with status {response.status_code}",
                        response.status_code,
                    )
                yield from pieces_in_time(response, deadline)
        except httpx2.TimeoutException as error:
            raise SlowRetrievalError(f"{url} did not arrive in time") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise DownloadError(f"{url} could not be fetched: {error}") from error


class CacheFirst(FetcherInterface):
    """Answers for the hub from kept metadata, and asks `remote` only for what is not there.

    The kept timestamp stands in for the hub's, so verifying against it never looks for news. A file
    whose version is not the one asked for goes to `remote`; without a `remote` the kept bytes
    answer whatever their version, so that the client refuses them for the true reason.

    Args:
        directory: python-tuf's metadata folder.
        remote: the fetcher of the last refresh, or None.
    """

    def __init__(self, directory: Path, remote: FetcherInterface | None) -> None:
        self._directory = directory
        self._remote = remote

    def _fetch(self, url: str) -> Iterator[bytes]:
        match = _VERSIONED.fullmatch(url)
        if match is None or match["role"] == "root.json":
            raise DownloadHTTPError(f"{url} is not kept here", 404)
        if match["version"] and self._remote is not None:
            return self._remote.fetch(url)
        try:
            return iter([(self._directory / match["role"]).read_bytes()])
        except FileNotFoundError as error:
            raise DownloadHTTPError(f"{url} is not kept here", 404) from error
