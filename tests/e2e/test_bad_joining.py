"""Join tokens that must not let anybody in: the hub has no new site, the folder no credentials, and
whoever was refused for another reason can still use the token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.door import ok
from tests.e2e.refusals import RunningHub, refused, refused_by_a_process

from dizuo.core.addresses import InsecureAddress
from dizuo.database.engine import Database, sqlite_url
from dizuo.demo.processes import free_port
from dizuo.edge.join import PREFIX, JoinToken, JoinTokenMalformed, decode
from dizuo.sites import service

Change = Callable[[JoinToken], dict[str, str]]


@pytest.fixture
def token(at_hub: RunningHub) -> str:
    """A fresh join token, as `dizuo site token` prints it."""
    text: str = ok("site", "token", "--json").json["token"]
    return text


def join(token: str, home: Path, name: str = "newcomer") -> tuple[str, ...]:
    return ("agent", "join", token, "--name", name, "--home", str(home))


def nothing_joined(home: Path) -> bool:
    """At most the lock of the attempt is there, and the nonce with which it may be repeated."""
    left = {path.name for path in home.rglob("*")} if home.exists() else set()
    return left <= {"agent.lock", "join-nonce"}


def expired_token(hub: RunningHub) -> str:
    """A token of this hub whose time is over: the CLI makes none that lasts less than a minute."""
    database = Database(sqlite_url(hub.home / "hub.db"))
    root = decode(ok("site", "token", "--json").json["token"]).root_sha256
    with database.transaction() as session:
        issued = service.create_join_token(session, "test", hub.client.url, root, ttl_seconds=-1)
    database.close()
    return issued.text


def test_an_expired_token(at_hub: RunningHub, tmp_path: Path) -> None:
    token = expired_token(at_hub)
    with at_hub.unchanged():
        told = refused(*join(token, tmp_path / "site"))
    told.matches("hub_refused", "This join token has expired", "dizuo site token")
    assert nothing_joined(tmp_path / "site")


def test_a_token_that_was_used(at_hub: RunningHub, token: str, tmp_path: Path) -> None:
    ok(*join(token, tmp_path / "first", "first-come"))
    with at_hub.unchanged():
        told = refused(*join(token, tmp_path / "second"))
    told.matches("hub_refused", "This join token was used already", "dizuo site token")
    assert nothing_joined(tmp_path / "second")


def another(letter: str) -> str:
    return "A" if letter != "A" else "B"


# what was changed inside the token: the code, what is said, the next step
CHANGED: dict[str, tuple[Change, str, str, str]] = {
    "one character of the secret": (
        lambda t: {"secret": another(t.secret[0]) + t.secret[1:]},
        "hub_refused",
        "This hub did not issue that join token",
        "dizuo site token",
    ),
    "one digit of the pinned root": (
        lambda t: {"root_sha256": t.root_sha256[:-1] + ("0" if t.root_sha256[-1] != "0" else "1")},
        "trust_root_mismatch",
        "The hub does not have the root [0-9a-f]{12} that the join token names",
        "Check that the token is from this hub",
    ),
    "the hub's port, to one where nothing listens": (
        lambda _: {"url": f"http://127.0.0.1:{free_port()}"},
        "hub_silent",
        r"No hub answers at http://127\.0\.0\.1:\d+, which the join token names",
        "the token is still good",
    ),
    "the hub's address, to none": (
        lambda _: {"url": "http://[::1"},
        "invalid_input",
        r"'http://\[::1' is not the address of a hub",
        "dizuo site token",
    ),
    "the hub's path": (
        lambda t: {"url": f"{t.url}/elsewhere"},
        "trust_root_mismatch",
        "The hub does not have the root",
        "",
    ),
}


@pytest.mark.parametrize("case", CHANGED.values(), ids=list(CHANGED))
def test_a_token_that_was_changed_skilfully(
    at_hub: RunningHub, token: str, tmp_path: Path, case: tuple[Change, str, str, str]
) -> None:
    change, code, says, next_step = case
    true = decode(token)
    forged = true.model_copy(update=change(true)).encode()
    with at_hub.unchanged():
        told = refused(*join(forged, tmp_path / "site"))
    told.matches(code, says, next_step)
    assert true.secret not in told.message
    assert nothing_joined(tmp_path / "site")


def test_the_token_is_still_good_after_all_that_was_refused(
    at_hub: RunningHub, token: str, tmp_path: Path
) -> None:
    true = decode(token)
    home = tmp_path / "site"
    forged = true.model_copy(update={"root_sha256": "sha256:" + "0" * 64}).encode()
    with at_hub.unchanged():
        refused(*join(forged, home))
        refused(*join(token, home, "Not A Name")).matches(
            "invalid_input", "'Not A Name' cannot be the name of a site", "lower-case letters"
        )
    ok(*join(token, home, "patient"))
    assert "patient" in [site["name"] for site in at_hub.client.sites()]


def test_no_single_character_can_be_changed_unnoticed(token: str) -> None:
    """Whatever a flip makes of the line, it is no longer this token."""
    true = decode(token)
    for place in range(len(PREFIX), len(token)):
        flipped = token[:place] + another(token[place]) + token[place + 1 :]
        try:
            assert decode(flipped) != true
        except (JoinTokenMalformed, InsecureAddress):
            continue


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda token: token[:-1], "was cut or changed"),
        (lambda token: token[: len(token) // 2], "was cut or changed"),
        (lambda token: token.replace(PREFIX, PREFIX + "!"), "characters that do not belong to it"),
        (lambda token: token.removeprefix("dizuo-"), "A join token starts with dizuo-join-"),
        (lambda _: "", "A join token starts with dizuo-join-"),
    ],
    ids=["last character", "half", "other characters", "no prefix", "nothing"],
)
def test_a_line_that_is_no_whole_token(
    at_hub: RunningHub, token: str, tmp_path: Path, spoil: Callable[[str], str], says: str
) -> None:
    with at_hub.unchanged():
        told = refused(*join(spoil(token), tmp_path / "site"))
    told.matches("join_token_malformed", says, "Copy the whole line")
    assert nothing_joined(tmp_path / "site")


def test_a_name_or_a_folder_that_is_taken(at_hub: RunningHub, token: str, tmp_path: Path) -> None:
    ok(*join(token, tmp_path / "one", "taken"))
    fresh = ok("site", "token", "--json").json["token"]
    (tmp_path / "file").touch()
    with at_hub.unchanged():
        refused(*join(fresh, tmp_path / "two", "taken")).matches(
            "hub_refused", "There is a site taken already", "Choose another name"
        )
        refused(*join(fresh, tmp_path / "one", "other")).matches(
            "already_joined", "is already the site taken of http", "another folder"
        )
        refused(*join(fresh, tmp_path / "file")).matches(
            "agent_home_refused", "cannot be used: File exists", "--home"
        )
    assert nothing_joined(tmp_path / "two")
    ok(*join(fresh, tmp_path / "two", "untaken"))


def test_a_token_is_not_made_for_an_address_that_is_none(at_hub: RunningHub) -> None:
    with at_hub.unchanged():
        for url in ("http://[::1", "http://hub:99999", "ftp://hub", "hub"):
            told = refused("site", "token", "--hub-url", url)
            told.matches("invalid_input", r"wrong at body\.url")


def test_as_a_shell_sees_it(at_hub: RunningHub, token: str, tmp_path: Path) -> None:
    with at_hub.unchanged():
        said = refused_by_a_process(*join(token[:-1], tmp_path / "site"))
    assert token[20:40] not in said
