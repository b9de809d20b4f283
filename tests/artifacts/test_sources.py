"""RegistrySource against registries that answer in every way."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from dizuo.artifacts.errors import (
    BlobCorrupt,
    FetchInterrupted,
    NotInRegistry,
    RegistryRefused,
)
from dizuo.artifacts.fetch import RegistrySource
from dizuo.artifacts.reference import InvalidReference
from dizuo.core.errors import DizuoError

DIGEST = "sha256:" + 64 * "a"


class Body(httpx2.SyncByteStream):
    """A body that arrives in pieces, and breaks off if the last one is an error."""

    def __init__(self, *pieces: bytes | httpx2.HTTPError) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, httpx2.HTTPError):
                raise piece
            yield piece


class Recorder:
    """A registry that gives one answer and remembers the questions."""

    def __init__(self, *answers: httpx2.Response | httpx2.HTTPError) -> None:
        self.answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, httpx2.HTTPError):
            raise answer
        return answer

    def source(self, credential: str = "", *, follow_redirects: bool = False) -> RegistrySource:
        client = httpx2.Client(
            base_url="http://registry.example", transport=httpx2.MockTransport(self)
        )
        return RegistrySource(
            client, "default/site3", credential, follow_redirects=follow_redirects
        )


def read_blob(source: RegistrySource, offset: int = 0) -> tuple[int, bytes]:
    with source.open_blob(DIGEST, offset) as stream:
        return stream.offset, b"".join(stream.chunks)


def test_a_blob_from_the_beginning() -> None:
    registry = Recorder(httpx2.Response(200, stream=Body(b"wei", b"ghts")))
    assert read_blob(registry.source("s3cret")) == (0, b"weights")
    (request,) = registry.requests
    assert request.url.path == f"/v2/default/site3/blobs/{DIGEST}"
    assert request.headers["authorization"] == "Bearer s3cret"
    assert request.headers["accept-encoding"] == "identity"
    assert "range" not in request.headers


def test_a_blob_from_later_on() -> None:
    headers = {"Content-Range": "bytes 3-6/7"}
    registry = Recorder(httpx2.Response(206, stream=Body(b"ghts"), headers=headers))
    assert read_blob(registry.source(), 3) == (3, b"ghts")
    (request,) = registry.requests
    assert request.headers["range"] == "bytes=3-"
    assert "authorization" not in request.headers


def test_a_registry_without_ranges_starts_at_the_beginning() -> None:
    registry = Recorder(httpx2.Response(200, stream=Body(b"wei", b"ghts")))
    assert read_blob(registry.source(), 3) == (0, b"weights")


def test_a_manifest_is_asked_for_by_its_media_types() -> None:
    registry = Recorder(httpx2.Response(200, stream=Body(b"{}")))
    with registry.source().open_manifest(DIGEST) as stream:
        assert b"".join(stream.chunks) == b"{}"
    (request,) = registry.requests
    assert request.url.path == f"/v2/default/site3/manifests/{DIGEST}"
    assert "application/vnd.oci.image.index.v1+json" in request.headers["accept"]


def test_the_credential_does_not_follow_a_redirect_elsewhere() -> None:
    registry = Recorder(
        httpx2.Response(307, headers={"Location": "https://storage.example/x?signature=1"}),
        httpx2.Response(200, stream=Body(b"wei", b"ghts")),
    )
    source = registry.source("s3cret", follow_redirects=True)
    assert read_blob(source) == (0, b"weights")
    assert registry.requests[1].url.host == "storage.example"
    assert "authorization" not in registry.requests[1].headers


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx2.Response(401), RegistryRefused),
        (httpx2.Response(403), RegistryRefused),
        (httpx2.Response(404), NotInRegistry),
        (httpx2.Response(416), BlobCorrupt),
        (httpx2.Response(429), FetchInterrupted),
        (httpx2.Response(500), FetchInterrupted),
        (httpx2.Response(204), FetchInterrupted),
        (httpx2.Response(206, stream=Body(b"x")), FetchInterrupted),
        (httpx2.Response(206, headers={"Content-Range": "bytes 0-6/7"}), FetchInterrupted),
        (httpx2.Response(206, headers={"Content-Range": "lines 3-6/7"}), FetchInterrupted),
        (httpx2.ConnectError("refused"), FetchInterrupted),
        (httpx2.ReadTimeout("silence"), FetchInterrupted),
    ],
)
def test_answers_that_are_not_the_blob(
    answer: httpx2.Response | httpx2.HTTPError, error: type[DizuoError]
) -> None:
    with pytest.raises(error) as raised:
        read_blob(Recorder(answer).source("s3cret"), 3)
    assert type(raised.value) is error
    assert "s3cret" not in str(raised.value)


def redirects(number: int, location: str) -> list[httpx2.Response]:
    return [httpx2.Response(307, headers={"Location": location}) for _ in range(number)]


@pytest.mark.parametrize("location", ["/again", "https://storage.example/x", "http://169.254.1.1/"])
def test_nobody_is_sent_elsewhere_unless_it_was_asked_for(location: str) -> None:
    registry = Recorder(*redirects(2, location))
    with pytest.raises(RegistryRefused, match=r"redirects blobs/sha256:.* elsewhere"):
        read_blob(registry.source("s3cret"))
    assert len(registry.requests) == 1


@pytest.mark.parametrize("location", ["/plain", "http://storage.example/x"])
def test_nobody_is_sent_to_an_address_without_tls(location: str) -> None:
    registry = Recorder(*redirects(2, location))
    with pytest.raises(RegistryRefused, match="to an address without TLS"):
        read_blob(registry.source(follow_redirects=True))
    assert len(registry.requests) == 1


def test_redirects_end_after_five() -> None:
    blob = httpx2.Response(200, stream=Body(b"weights"))
    away = "https://storage.example/x"
    enough = Recorder(*redirects(5, away), blob)
    assert read_blob(enough.source(follow_redirects=True)) == (0, b"weights")
    too_many = Recorder(*redirects(9, away))
    with pytest.raises(RegistryRefused, match="more than 5 times"):
        read_blob(too_many.source(follow_redirects=True))
    assert len(too_many.requests) == 6


def test_a_break_in_the_middle_is_an_interruption() -> None:
    body = Body(b"wei", httpx2.ReadError("reset"))
    source = Recorder(httpx2.Response(200, stream=body)).source()
    with source.open_blob(DIGEST, 0) as stream:
        assert next(stream.chunks) == b"wei"
        with pytest.raises(FetchInterrupted, match="reset"):
            next(stream.chunks)


@pytest.mark.parametrize("repository", ["../x", "Default/x", "", "a//b", "a/b?x"])
def test_a_repository_is_of_the_grammar(repository: str) -> None:
    with httpx2.Client(base_url="http://registry.example") as client:
        with pytest.raises(InvalidReference):
            RegistrySource(client, repository)
        RegistrySource(client, "library/nested/name")
