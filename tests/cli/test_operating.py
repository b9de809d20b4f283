"""Tokens, the audit log and refusals, by the command line against a real hub."""

from __future__ import annotations

import json
import shlex
import shutil
import sqlite3
from pathlib import Path

import pytest
from tests.cli.door import Said, dizuo, ok
from tests.client.serving import free_url
from tests.idling import outlives_a_client

from dizuo.demo.processes import Fleet, free_port, wait_until_answers


def _with_token(monkeypatch: pytest.MonkeyPatch, token: str, *arguments: str) -> Said:
    with monkeypatch.context() as environment:
        environment.setenv("DIZUO_TOKEN", token)
        return dizuo(*arguments)


def test_the_first_start_left_credentials_for_its_owner_only(at_hub: Path) -> None:
    kept = at_hub / "credentials.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert at_hub.stat().st_mode & 0o077 == 0
    assert set(json.loads(kept.read_text())) == {"url", "token"}


def test_the_first_start_says_how_people_get_in(at_hub: Path) -> None:
    told = (at_hub.parent / "logs" / "hub.log").read_text()
    command = f"dizuo --home {at_hub} account create NAME --role admin"
    assert f"To let people sign in, make an account: {command}\n" in told


def test_keys_are_made_once(at_hub: Path) -> None:
    said = dizuo("--home", str(at_hub), "keys", "init", "--json")
    assert said.status == 1
    assert said.json["error"]["code"] == "keys_exist"


def test_a_token_from_its_making_to_its_end(at_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = ok("token", "create", "ann", "--role", "builder").out.strip()
    assert token.startswith("dz_api_")
    assert _with_token(monkeypatch, token, "runs", "ls").status == 0
    refused = _with_token(monkeypatch, token, "token", "ls", "--json")
    assert refused.status == 1
    assert refused.json["error"]["code"] == "role_missing"
    assert "This needs the role admin; ann does not have it." in refused.err
    assert ok("token", "ls").out.splitlines()[2].split()[:2] == ["ann", "builder"]
    again = dizuo("token", "create", "ann")
    assert (again.status, "There is a token named ann already." in again.err) == (1, True)
    assert "The token of ann is revoked." in ok("token", "revoke", "ann").out
    gone = _with_token(monkeypatch, token, "runs", "ls")
    assert gone.status == 1
    assert "This credential is missing or not accepted here." in gone.err
    (ann,) = [one for one in ok("token", "ls", "--json").json if one["name"] == "ann"]
    assert ann["revoked_ms"]
    assert token not in ok("audit", "log", "--json").out


def test_the_command_that_comes_with_a_join_token_is_typed_as_it_is(
    at_hub: Path, tmp_path: Path
) -> None:
    made = ok("site", "token", "--name", "typed", "--json").json
    program, *arguments = shlex.split(made["command"])
    assert program == "dizuo"
    joined = ok(*arguments, "--home", str(tmp_path / "site"), "--json").json
    assert joined["site"] == "typed"
    assert ok("site", "rm", "typed", "--json").json["name"] == "typed"


def test_without_a_name_the_command_shows_where_it_belongs(at_hub: Path, tmp_path: Path) -> None:
    command = ok("site", "token", "--json").json["command"]
    said = dizuo(*shlex.split(command)[1:], "--home", str(tmp_path / "site"))
    assert said.status == 1
    assert "'NAME' cannot be the name of a site." in said.err
    assert "dizuo agent join TOKEN --name typed" in ok("site", "token", "--name", "typed").err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("token", "create", "Ann Lee"), "invalid_input"),
        (("token", "create", "bob", "--role", "king"), "invalid_input"),
        (("token", "revoke", "nobody"), "token_not_found"),
        (("token", "revoke", "admin"), "last_admin"),
        (("account", "role", "nobody", "admin"), "account_not_found"),
        (("account", "role", "nobody", "king"), "invalid_input"),
        (("account", "disable", "nobody"), "account_not_found"),
        (("model", "show", "nothing"), "stack_not_found"),
        (("model", "show", "nothing:3"), "stack_not_found"),
        (("model", "show", "Not A Name"), "invalid_reference"),
        (("model", "log", "nothing"), "stack_not_found"),
        (("trace", "nothing:1"), "stack_not_found"),
        (("gate", "nothing:1"), "stack_not_found"),
        (("release", "nothing:1"), "stack_not_found"),
        (("data", "show", "nothing"), "dataset_missing"),
        (("data", "show", "nothing@1"), "dataset_missing"),
        (("data", "show", "nothing@x"), "reference_refused"),
        (("data", "diff", "a@1", "b@2"), "invalid_input"),
        (("data", "diff", "a@1", "a@2"), "dataset_missing"),
        (("data", "add", "d", "/no/such/file.csv", "--family", "vision"), "cannot_send"),
        (("data", "add", "d", "/etc/hostname"), "format_unknown"),
        (("data", "add", "d", "/etc"), "family_missing"),
        (("model", "import", "/etc", "--name", "m"), "family_missing"),
        (
            ("model", "import", "/no/such/folder", "--family", "vision", "--name", "m"),
            "cannot_send",
        ),
        (("runs", "show", "nothing"), "run_not_found"),
        (("runs", "log", "nothing"), "run_not_found"),
        (("runs", "cancel", "nothing"), "run_not_found"),
        (("runs", "follow", "nothing"), "run_not_found"),
        (("runs", "ls", "--state", "tired"), "invalid_input"),
        (("site", "show", "nothing"), "site_not_found"),
        (("site", "show", ".."), "name_refused"),
        (("site", "rm", "nothing"), "site_not_found"),
        (("rollout", "status", "nothing"), "rollout_not_found"),
        (("rollout", "stop", "nothing"), "rollout_not_found"),
        (("rollout", "rollback", "nothing"), "rollout_not_found"),
        (("review", "label", "nothing", "7"), "sample_missing"),
        (("review", "dataset", "d"), "family_missing"),
        (("review", "dataset", "d", "--family", "vision"), "nothing_reviewed"),
        (("improve", "status", "nothing"), "improvement_not_found"),
        (("improve", "approve", "nothing"), "improvement_not_found"),
        (("improve", "reject", "nothing"), "improvement_not_found"),
        (("audit", "verify", "--head", "x"), "invalid_input"),
    ],
)
def test_what_is_not_there_is_one_sentence_and_changes_nothing(
    at_hub: Path, arguments: tuple[str, ...], code: str
) -> None:
    before = ok("audit", "verify", "--json").json
    said = dizuo(*arguments, "--json")
    assert (said.status, said.json["error"]["code"]) == (1, code)
    assert said.json["error"]["message"].endswith(".")
    assert said.err.splitlines()[0] == said.json["error"]["message"]
    plain = dizuo(*arguments)
    assert (plain.status, plain.out) == (1, "")
    assert ok("audit", "verify", "--json").json == before


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = free_url()
    monkeypatch.setenv("DIZUO_TOKEN", "dz_api_x")
    said = dizuo("--url", url, "site", "ls")
    assert said.status == 1
    assert said.err.splitlines() == [
        f"No hub answers at {url}.",
        "Start one with: dizuo up, or set DIZUO_URL.",
    ]


def test_a_connection_is_kept_for_longer_than_clients_keep_it(at_hub: Path) -> None:
    known = json.loads((at_hub / "credentials.json").read_bytes())
    assert outlives_a_client(known["url"], "/api/v1/health")


def test_the_log_shows_what_was_done_to_it(at_hub: Path, tmp_path: Path) -> None:
    ok("token", "create", "eve")
    verdict = ok("audit", "verify", "--json").json
    assert verdict["ok"]
    assert f"head {verdict['head']}" in ok("audit", "verify").out
    assert ok("audit", "verify", "--head", verdict["head"]).status == 0
    entries = ok("audit", "log", "--after", "0", "--limit", "1000", "--json").json
    assert [one["sequence"] for one in entries] == list(range(1, verdict["num_entries"] + 1))
    assert "credential:eve" in ok("audit", "log", "--limit", "1").out
    ok("token", "revoke", "eve")

    home = tmp_path / "copy"
    shutil.copytree(at_hub, home, ignore=shutil.ignore_patterns("runs", "*-wal", "*-shm"))
    with sqlite3.connect(at_hub / "hub.db") as whole, sqlite3.connect(home / "hub.db") as copy:
        whole.backup(copy)
    copy.execute("UPDATE audit_entries SET subject = 'credential:ann' WHERE sequence = 1")
    copy.commit()
    copy.close()
    whole.close()
    port = free_port()
    with Fleet(tmp_path / "logs") as fleet:
        process = fleet.start("copy", ["up", "--home", str(home), "--port", str(port)], {})
        wait_until_answers(process, f"http://127.0.0.1:{port}/api/v1/health")
        said = dizuo("--home", str(home), "audit", "verify")
        assert said.status == 1
        assert "The log is broken at entry 1: entry 1 was changed" in said.err
        in_json = dizuo("--home", str(home), "audit", "verify", "--json")
    assert (in_json.status, in_json.json["ok"], in_json.err) == (1, False, "")
