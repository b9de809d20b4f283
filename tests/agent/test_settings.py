"""What the people of a site may set, and what keeps an agent from starting."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.agent.certificates import certificate

from dizuo.agent.hub_client import open_client
from dizuo.agent.settings import AgentSettings
from dizuo.core.settings import InvalidSetting


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.9.9.9"])
def test_loopback_needs_no_tls(host: str) -> None:
    AgentSettings.load(host=host).require_safe_address()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "site3.example"])
def test_everything_else_does(host: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="without TLS"):
        AgentSettings.load(host=host).require_safe_address()
    key = tmp_path / "key.pem"
    with pytest.raises(InvalidSetting, match="without TLS"):
        AgentSettings.load(host=host, tls_key=key).require_safe_address()
    with pytest.raises(InvalidSetting, match="cannot be used"):
        AgentSettings.load(host=host, tls_key=key, tls_certificate=key).require_safe_address()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7"])
def test_tls_alone_is_not_enough_beyond_loopback(host: str, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    tls = {"tls_certificate": chain, "tls_key": key}
    with pytest.raises(InvalidSetting, match="without an API key") as refused:
        AgentSettings.load(host=host, **tls).require_safe_address()
    assert "DIZUO_AGENT_API_KEY" in refused.value.next_step
    AgentSettings.load(host=host, api_key="k" * 16, **tls).require_safe_address()
    AgentSettings.load(**tls).require_safe_address()


@pytest.mark.parametrize("key", ["", "k" * 15, "a key with spaces in it", "schlüssel-von-hier-1"])
def test_a_key_that_is_no_key(key: str) -> None:
    with pytest.raises(InvalidSetting, match="a key has at least 16") as refused:
        AgentSettings.load(api_key=key)
    assert not key or key not in str(refused.value)


def test_a_key_never_shows() -> None:
    settings = AgentSettings.load(api_key="k" * 16)
    assert "kkk" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_an_authority_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="is not a file of certificates"):
        open_client("https://hub", ca=tmp_path / "missing.pem")
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(InvalidSetting, match="is not a file of certificates"):
        open_client("https://hub", ca=tmp_path / "ca.pem")
