"""What a client says when the hub refuses, does not answer, or is no hub."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from tests.client.serving import free_url, served, talking

from dizuo.client.credentials import Credentials
from dizuo.client.errors import HubError, HubUnreachable, NameRefused, NotAHub
from dizuo.client.transport import Transport, api_path
from dizuo.core.errors import DizuoError, NotFound, Unavailable


async def _echo(request: Request) -> Response:
    return JSONResponse(
        {
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": dict(request.query_params),
            "authorization": request.headers.get("authorization"),
            "body": (await request.body()).decode(),
        }
    )


def _failing(status: int, body: str) -> Starlette:
    async def fail(_request: Request) -> Response:
        return PlainTextResponse(body, status)

    return Starlette(routes=[Route("/{path:path}", fail, methods=["GET", "PUT"])])


ECHO = Starlette(routes=[Route("/{path:path}", _echo, methods=["GET", "POST", "DELETE"])])


def _call(url: str) -> object:
    with Transport(Credentials(url, "secret")) as transport:
        return transport.call("GET", "/api/v1/things")


def test_a_call_carries_the_token_the_body_and_the_parameters_that_are_set() -> None:
    with served(ECHO) as url, Transport(Credentials(url, "secret")) as transport:
        answer = transport.call(
            "POST", api_path("things", 7), body={"a": "底"}, params={"x": 1, "y": None, "z": ""}
        )
        assert transport.text("/plain").startswith("{")
    assert answer == {
        "method": "POST",
        "path": "/api/v1/things/7",
        "query": {"x": "1", "z": ""},
        "authorization": "Bearer secret",
        "body": '{"a":"底"}',
    }


@pytest.mark.parametrize("name", ["../tokens", "a/b", "a?b=c", "a#b", "底座", "%2e", "..."])
def test_a_name_stays_in_its_place(name: str) -> None:
    with served(ECHO) as url, Transport(Credentials(url, "secret")) as transport:
        answer = transport.call("GET", api_path("sites", name, "end"))
    parts = str(answer["path"]).split("/")
    assert parts[:4] == ["", "api", "v1", "sites"]
    assert parts[-1] == "end"
    assert len(parts) == 6
    assert answer["query"] == {}


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_no_quoting_keeps_in_its_place_is_no_name(name: str) -> None:
    with pytest.raises(NameRefused) as refused:
        api_path("sites", name)
    assert refused.value.message == f"{name!r} is not a name."


def test_the_hubs_own_words_arrive() -> None:
    error = NotFound("There is no site x.", next_step="See dizuo site ls.").as_dict()
    with served(_failing(404, json.dumps(error))) as url, pytest.raises(HubError) as refused:
        _call(url)
    assert str(refused.value) == "There is no site x. See dizuo site ls."
    assert (refused.value.answered_code, refused.value.status) == ("not_found", 404)
    assert not refused.value.may_retry
    assert refused.value.as_dict() == error


def test_what_a_hub_adds_to_an_error_is_kept() -> None:
    problems = [{"line": 3, "message": "Unknown key."}, {"line": 9, "message": "No such data."}]
    answer = {**Unavailable("Not now.").as_dict(), "problems": problems}
    with served(_failing(503, json.dumps(answer))) as url, pytest.raises(HubError) as refused:
        _call(url)
    assert refused.value.may_retry
    assert refused.value.problems == problems
    assert refused.value.as_dict() == answer


@pytest.mark.parametrize(
    "answer", [{"error": {}}, {"error": {"message": None, "code": 7}, "problems": "none"}]
)
def test_a_meagre_error_is_still_an_error(answer: dict[str, object]) -> None:
    refused = HubError(answer, 500)
    assert refused.message == "The hub gave no reason."
    assert refused.problems == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (502, "<html>Bad Gateway</html>"),
        (404, ""),
        (404, "[]"),
        (500, '{"detail": "Internal"}'),
        (400, '{"error": "text"}'),
        (418, "x" * 3_000_000),
        (302, ""),
        (200, "<html>a shop</html>"),
        (200, ""),
    ],
)
def test_something_else_answers_there(status: int, body: str) -> None:
    with served(_failing(status, body)) as url, pytest.raises(NotAHub) as refused:
        _call(url)
    assert url in refused.value.message
    assert len(str(refused.value)) < 200


def test_nothing_answers_there() -> None:
    url = free_url()
    with pytest.raises(HubUnreachable) as refused:
        _call(url)
    assert refused.value.message == f"No hub answers at {url}."
    assert "dizuo up" in refused.value.next_step
    assert refused.value.retryable


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
    ],
)
def test_the_connection_breaks_off(words: bytes) -> None:
    def say(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(words)

    with talking(say) as url, pytest.raises(HubUnreachable) as refused:
        _call(url)
    assert refused.value.message == f"The connection to the hub at {url} broke off."


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hub",
        "ftp://127.0.0.1/",
        "http://",
        "http://[::1",
        "https://a b/",
        "https://x:99999999/",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(DizuoError) as refused:
        _call(url)
    assert refused.value.code in ("not_a_hub", "hub_unreachable")
    assert refused.value.next_step


def test_a_hub_on_this_machine_is_not_asked_for_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, free_url())
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with served(ECHO) as url:
        assert _call(url)


def test_a_certificate_that_nobody_here_trusts(tmp_path: Path) -> None:
    certificate, key = _self_signed(tmp_path)
    with (
        served(ECHO, certificate=certificate, key=key) as url,
        pytest.raises(HubUnreachable) as refused,
    ):
        _call(url)
    assert refused.value.message == f"The certificate of {url} is not trusted here."


def _self_signed(folder: Path) -> tuple[str, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")
