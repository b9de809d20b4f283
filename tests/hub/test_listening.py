"""Where a hub may listen, and TLS with a real certificate."""

from __future__ import annotations

import datetime
import ipaddress
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.improvements.conftest import until

from dizuo.demo.processes import free_port
from dizuo.hub.errors import CertificateRefused, PortTaken, UnsafeAddress
from dizuo.hub.listening import listen
from dizuo.hub.settings import HubSettings


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for loopback, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
    now = datetime.datetime.now(datetime.UTC)
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "localhost"])
def test_loopback_needs_no_tls(host: str) -> None:
    port = free_port()
    with closing(listen(HubSettings(host=host, port=port))) as listening:
        assert listening.getsockname()[1] == port
        with socket.create_connection((host, port)):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "hub.example"])
def test_beyond_loopback_needs_tls(host: str) -> None:
    with pytest.raises(UnsafeAddress, match="loopback only"):
        listen(HubSettings(host=host, port=free_port()))


def test_with_tls_every_address_will_do(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    settings = HubSettings(host="0.0.0.0", port=free_port(), tls_certificate=cert, tls_key=key)
    listen(settings).close()
    assert settings.url.startswith("https://")


def test_a_port_in_use_is_told() -> None:
    with closing(listen(HubSettings(port=free_port()))) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {port} on 127.0.0.1 cannot be used"):
            listen(HubSettings(port=port))


def test_an_address_of_another_machine_is_told(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with pytest.raises(PortTaken, match="cannot be used"):
        listen(HubSettings(host="192.0.2.7", port=1234, tls_certificate=cert, tls_key=key))


def test_half_of_tls_is_refused(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with pytest.raises(CertificateRefused, match="the key is not set"):
        listen(HubSettings(tls_certificate=cert))
    with pytest.raises(CertificateRefused, match="the certificate is not set"):
        listen(HubSettings(tls_key=key))


def test_files_that_are_no_certificate_are_refused(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "junk").write_text("junk")
    for cert in (tmp_path / "junk", tmp_path / "missing"):
        with pytest.raises(CertificateRefused, match="cannot be used"):
            listen(HubSettings(tls_certificate=cert, tls_key=certificate[1]))


def _dizuo(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "dizuo.cli.main", *map(str, arguments)]


def test_a_hub_speaks_tls_and_stops_in_good_order(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    port = free_port()
    cert, key = certificate
    tls = ("--tls-certificate", cert, "--tls-key", key, "--host", "0.0.0.0")
    trusted = ssl.create_default_context(cafile=cert)
    url = f"https://127.0.0.1:{port}/api/v1/health"
    with subprocess.Popen(_dizuo("up", "--home", tmp_path / "h", "--port", str(port), *tls)) as hub:
        try:
            with httpx2.Client(verify=trusted, trust_env=False) as http:
                until(lambda: _answers(http, url) or hub.poll() is not None)
                assert http.get(url).json()["status"] == "ok"
            with pytest.raises(httpx2.ConnectError), httpx2.Client(trust_env=False) as stranger:
                stranger.get(url)
            hub.send_signal(signal.SIGINT)
            assert hub.wait(60) == 0
        finally:
            hub.kill()


def _answers(http: httpx2.Client, url: str) -> bool:
    try:
        return http.get(url).is_success
    except httpx2.TransportError:
        return False


def test_up_tells_in_one_sentence_why_it_cannot(tmp_path: Path) -> None:
    with closing(listen(HubSettings(port=free_port()))) as taken:
        port = str(taken.getsockname()[1])
        command = _dizuo("up", "--home", tmp_path / "h", "--port", port)
        ended = subprocess.run(command, capture_output=True, check=False, timeout=60, text=True)
    assert ended.returncode == 1
    assert ended.stdout == ""
    first, second = ended.stderr.strip().splitlines()
    assert first.startswith(f"Port {port} on 127.0.0.1 cannot be used")
    assert second.startswith("Stop the program that uses it")
    assert not (tmp_path / "h").exists()
