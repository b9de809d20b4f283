"""`dizuo agent` as a person types it."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.agent.agent_process import AgentProcess
from tests.agent.certificates import certificate
from tests.agent.hub_simulator import HubSimulator

from dizuo.agent.home import AgentHome
from dizuo.agent.join import JoinRequest, join


def dizuo(*arguments: str, typed: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dizuo.cli.main", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        input=typed,
        text=True,
        timeout=60,
        check=False,
    )


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """What a person reads: no traceback, and a status that says it failed."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    return " ".join(result.stderr.split())


def test_join_and_status(tmp_path: Path, hub: HubSimulator) -> None:
    home = str(tmp_path / "agent")
    joined = dizuo("agent", "join", hub.token(), "--name", "site3", "--home", home, "--json")
    assert json.loads(joined.stdout) == {
        "site": "site3",
        "project": "default",
        "hub": hub.url,
        "home": home,
    }
    status = json.loads(dizuo("agent", "status", "--home", home, "--json").stdout)
    assert status == {"site": "site3", "hub": hub.url, "agent_runs": False}
    second = str(tmp_path / "second")
    said = dizuo("agent", "join", hub.token(), "--name", "site4", "--home", second).stdout
    assert f"Joined {hub.url} as site4." in said
    text = dizuo("agent", "status", "--home", home).stdout
    assert re.search(r"agent\s+does not run", text)
    assert re.search(r"state\s+never started", text)


def test_a_token_may_come_by_stdin(tmp_path: Path, hub: HubSimulator) -> None:
    home = str(tmp_path / "agent")
    arguments = ("agent", "join", "-", "--name", "site3", "--home", home)
    assert "There is no join token on stdin." in refused(dizuo(*arguments))
    assert "Joined" in dizuo(*arguments, typed=f"  {hub.token()}\n").stdout
    assert "site3" in hub.sites


def test_status_of_a_running_agent(site: tuple[AgentProcess, HubSimulator]) -> None:
    agent, _ = site
    home = str(agent.home.root)
    status = json.loads(dizuo("agent", "status", "--home", home, "--json").stdout)
    assert (status["agent_runs"], status["state"], status["site"]) == (True, "serving", "site3")
    text = dizuo("agent", "status", "--home", home).stdout
    assert re.search(r"serves\s+meter = meter:1 \(sha256:", text)
    assert re.search(rf"address\s+{re.escape(agent.url)}", text)
    assert re.search(r"samples dropped\s+0", text)
    second = dizuo("agent", "run", "--home", home, "--port", "0")
    assert "Another agent works in" in refused(second)


def test_running_without_having_joined(tmp_path: Path) -> None:
    said = refused(dizuo("agent", "run", "--home", str(tmp_path)))
    assert "has not joined a hub. Run dizuo agent join TOKEN --name NAME" in said
    said = refused(dizuo("agent", "status", "--home", str(tmp_path)))
    assert "has not joined a hub." in said


def test_a_port_in_use(tmp_path: Path, hub: HubSimulator) -> None:
    home = AgentHome(tmp_path / "agent")
    join(home, JoinRequest(hub.token(), "site3"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = dizuo("agent", "run", "--home", str(home.root), "--port", port)
    said = refused(result)
    assert f"127.0.0.1:{port} cannot be listened on (Address already in use)." in said
    assert "choose another with --port" in said
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        (("--host", "0.0.0.0"), {}, "would listen on 0.0.0.0 without TLS"),
        (("--host", "no.such.host.invalid"), {}, "without TLS"),
        ((), {"DIZUO_AGENT_EGRESS_POLICY": "everything"}, "There is no egress policy 'everything'"),
        ((), {"DIZUO_AGENT_CONTROL_SHARE": "2"}, "The setting control_share is wrong"),
        ((), {"DIZUO_AGENT_SAMPLER_SCORES": '["curiosity"]'}, "no sampler score 'curiosity'"),
    ],
)
def test_settings_that_are_wrong_keep_it_from_starting(
    tmp_path: Path,
    hub: HubSimulator,
    arguments: tuple[str, ...],
    settings: dict[str, str],
    says: str,
) -> None:
    home = AgentHome(tmp_path / "agent")
    join(home, JoinRequest(hub.token(), "site3"))
    result = dizuo("agent", "run", "--home", str(home.root), *arguments, **settings)
    assert says in refused(result)


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "site.json").write_text('{"format": 1, "half": ')
    said = refused(dizuo("agent", "run", "--home", str(tmp_path)))
    assert "site.json cannot be read" in said


@pytest.mark.parametrize("command", ["join", "run", "status"])
def test_every_help_has_an_example(command: str) -> None:
    assert f"Example: dizuo agent {command}" in dizuo("agent", command, "--help").stdout


def test_beyond_loopback_it_wants_the_key(agent: AgentProcess, tmp_path: Path) -> None:
    chain, key = certificate(tmp_path)
    api_key = "a-key-of-this-site-1"
    agent.settings |= {
        "DIZUO_AGENT_TLS_CERTIFICATE": chain,
        "DIZUO_AGENT_TLS_KEY": key,
        "DIZUO_AGENT_API_KEY": api_key,
        "DIZUO_AGENT_HOST": "0.0.0.0",
    }
    agent.start()
    url = agent.url.replace("0.0.0.0", "127.0.0.1") + "/v2/health/live"
    assert url.startswith("https://127.0.0.1:")
    with httpx2.Client(verify=ssl.create_default_context(cafile=chain)) as client:
        refused = client.get(url)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        assert refused.headers["www-authenticate"] == "Bearer"
        shown = {"Authorization": f"Bearer {api_key}", "Host": "site3.example"}
        assert client.get(url, headers=shown).json() == {"live": True}
    home = agent.home.root
    kept = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert not any(api_key.encode() in data for data in [*kept, agent.log().encode()])


def test_tls_files_that_are_none(agent: AgentProcess, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("nothing")
    settings = {
        "DIZUO_AGENT_TLS_CERTIFICATE": str(tmp_path / "x.pem"),
        "DIZUO_AGENT_TLS_KEY": str(tmp_path / "missing.pem"),
    }
    home = str(agent.home.root)
    said = refused(dizuo("agent", "run", "--home", home, "--port", "0", **settings))
    assert "The certificate of the local API cannot be used" in said
