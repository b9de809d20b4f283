"""Processes that must not start: they say why and leave everything as it was."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.door import ok
from tests.e2e.refusals import RunningHub, refused, refused_by_a_process

from dizuo.demo.processes import free_port


@contextmanager
def taken_port() -> Iterator[int]:
    """A loopback port on which somebody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


@pytest.fixture
def joined(at_hub: RunningHub, tmp_path: Path) -> Path:
    """The folder of a site that has joined and whose agent does not run."""
    token = ok("site", "token", "--json").json["token"]
    home = tmp_path / "site"
    ok("agent", "join", token, "--name", f"idle-{tmp_path.name[-40:]}", "--home", str(home))
    return home


def listing(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "agent.lock"
    }


def test_a_hub_on_a_port_in_use(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with taken_port() as port:
        said = refused_by_a_process("up", "--home", str(home), "--port", str(port))
        assert f"Port {port} on 127.0.0.1 cannot be used: Address already in use." in said
        assert "another with --port" in said
    assert not home.exists() or not listing(home)


def test_an_agent_on_a_port_in_use(joined: Path) -> None:
    before = listing(joined)
    with taken_port() as port:
        said = refused_by_a_process("agent", "run", "--home", str(joined), "--port", str(port))
        assert f"127.0.0.1:{port} cannot be listened on (Address already in use)." in said
        assert "another with --port" in said
    assert listing(joined) == before


def test_a_second_hub_in_the_same_home(at_hub: RunningHub) -> None:
    credentials = (at_hub.home / "credentials.json").read_bytes()
    with at_hub.unchanged():
        said = refused_by_a_process("up", "--home", str(at_hub.home), "--port", str(free_port()))
    assert f"A hub is already running in {at_hub.home}." in said
    assert (at_hub.home / "credentials.json").read_bytes() == credentials
    assert at_hub.client.health()["status"] == "ok"


def test_keys_are_not_made_twice(at_hub: RunningHub) -> None:
    with at_hub.unchanged():
        told = refused("keys", "init", "--home", str(at_hub.home))
    told.matches("keys_exist", "has its keys and signed metadata already", "renew")


def test_neither_listens_beyond_loopback_without_tls(joined: Path, tmp_path: Path) -> None:
    before, home, port = listing(joined), tmp_path / "home", str(free_port())
    said = refused_by_a_process("up", "--home", str(home), "--host", "0.0.0.0", "--port", port)
    assert "Without TLS the hub listens on loopback only, not on 0.0.0.0." in said
    assert "--tls-certificate" in said
    assert not home.exists()
    beyond = ["--host", "0.0.0.0", "--port", port]
    said = refused_by_a_process("agent", "run", "--home", str(joined), *beyond)
    assert "The local API would listen on 0.0.0.0 without TLS." in said
    assert "DIZUO_AGENT_TLS_CERTIFICATE" in said
    assert listing(joined) == before


def test_settings_and_folders_that_cannot_be(joined: Path, tmp_path: Path) -> None:
    home, before = str(tmp_path / "home"), listing(joined)
    (tmp_path / "file").touch()
    up = ("up", "--home")
    table = [
        ((*up, home, "--port", "99999"), "The setting port is wrong", "--port or DIZUO_PORT"),
        (
            (*up, home, "--tls-certificate", "/no.pem", "--tls-key", "/no.key"),
            r"certificate /no\.pem",
            "",
        ),
        (
            (*up, str(tmp_path / "file"), "--port", str(free_port())),
            "The home folder .* cannot be used",
            "--home",
        ),
        (
            ("keys", "init", "--home", str(tmp_path / "file")),
            "The home folder .* cannot be used: File exists",
            "--home",
        ),
        (
            ("keys", "renew", "--home", str(tmp_path / "file")),
            "The home folder .* cannot be used: Not a directory",
            "--home",
        ),
        (
            ("agent", "run", "--home", str(tmp_path / "nowhere")),
            "has not joined a hub",
            "dizuo agent join",
        ),
        (
            ("agent", "run", "--home", str(joined), "--egress-policy", "all"),
            "There is no egress policy 'all'",
            "Installed policies: ",
        ),
    ]
    for arguments, says, next_step in table:
        told = refused(*arguments)
        told.matches(told.code, says, next_step)
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "nowhere").exists()
    assert listing(joined) == before


def test_a_command_without_a_hub(at_hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = at_hub.home.parent / "recipe.yaml"
    recipe.write_text("name: x\n")
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("DIZUO_TOKEN", at_hub.token)
    monkeypatch.setenv("DIZUO_URL", url)
    commands = [
        ("model", "ls"),
        ("tune", str(recipe)),
        ("data", "add", "x", str(at_hub.home.parent / "bars")),
        ("site", "show", "x"),
        ("audit", "verify"),
    ]
    for command in commands:
        refused(*command).matches("hub_unreachable", f"No hub answers at {url}", "dizuo up")
    assert f"No hub answers at {url}." in refused_by_a_process("model", "ls")


def test_a_command_with_a_wrong_token(at_hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIZUO_URL", at_hub.client.url)
    with at_hub.unchanged():
        for token in ("wrong", at_hub.token[:-1]):
            monkeypatch.setenv("DIZUO_TOKEN", token)
            told = refused("data", "add", "x", str(at_hub.home.parent / "bars"))
            told.matches("credential_refused", "missing or not accepted here", "")
            assert token not in told.message + told.next_step
        monkeypatch.setenv("DIZUO_TOKEN", "底座")
        told = refused("model", "ls")
        told.matches("no_credentials", "characters that no token has", "Copy it again")


def test_a_command_that_knows_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIZUO_HOME", str(tmp_path))
    refused("model", "ls").matches("no_credentials", "No hub is known", "dizuo up")
    assert not list(tmp_path.iterdir())
