"""Accounts as admins make and change them, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from tests.access.people import NOON, OTHER, PASSWORD, ROOT, Town

from dizuo.access import accounts
from dizuo.access.accounts import AccountExists, AccountNotFound
from dizuo.access.model import Account, Person, Role
from dizuo.access.sessions import SessionEnded, SignInRefused
from dizuo.access.throttle import TooManyTries
from dizuo.access.tokens import LastAdmin
from dizuo.core.errors import DizuoError, InvalidInput

ELSEWHERE = replace(ROOT, project_id="other")


def test_an_account_from_its_making_to_its_end(any_town: Town) -> None:
    town = any_town
    made = town.add("ann", Role.BUILDER)
    assert (made.name, made.role, made.language, made.theme) == ("ann", Role.BUILDER, "", "auto")
    assert (made.project_id, made.created_ms, made.disabled_ms) == ("default", NOON, None)
    assert town.set_role("ann", Role.RELEASER) == replace(made, role=Role.RELEASER)
    town.now += 1
    assert town.set_password("ann", OTHER) == replace(made, role=Role.RELEASER)
    gone = town.disable("ann")
    assert gone == replace(made, role=Role.RELEASER, disabled_ms=NOON + 1)
    assert town.listing() == [gone]
    assert town.enable("ann") == replace(gone, disabled_ms=None)
    assert town.said() == [
        ("operator:root", "account.created", "account:ann", {"role": "builder"}),
        (
            "operator:root",
            "account.role_set",
            "account:ann",
            {"role": "releaser", "before": "builder"},
        ),
        ("operator:root", "account.password_set", "account:ann", {}),
        ("operator:root", "account.disabled", "account:ann", {}),
        ("operator:root", "account.enabled", "account:ann", {}),
    ]


def test_what_changes_nothing_is_not_written_down(town: Town) -> None:
    made = town.add("ann", Role.READER)
    assert town.set_role("ann", Role.READER) == made
    assert town.enable("ann") == made
    gone = town.disable("ann")
    town.now += 1
    assert town.disable("ann") == gone
    assert [entry.action for entry in town.log()] == ["account.created", "account.disabled"]


def test_another_password_and_being_disabled_end_every_session(any_town: Town) -> None:
    town = any_town
    town.add("bob")
    of_bob = town.sign_in("bob")
    town.add("ann")
    before = [town.sign_in("ann"), town.sign_in("ann")]
    start = len(town.log())
    town.now += 1
    town.set_password("ann", OTHER)
    for secret in before:
        with pytest.raises(SessionEnded):
            town.recognise(secret)
    with pytest.raises(SignInRefused):
        town.sign_in("ann", PASSWORD)
    later = town.sign_in("ann", OTHER)
    town.disable("ann")
    with pytest.raises(SessionEnded):
        town.recognise(later)
    town.enable("ann")
    with pytest.raises(SessionEnded):
        town.recognise(later)
    assert town.recognise(of_bob).principal.name == "bob"
    ended = [entry.detail for entry in town.log()[start:] if entry.action == "session.ended"]
    assert ended == [{"num_sessions": 2}, {"num_sessions": 1}]


def test_somebody_with_another_password_need_not_wait_for_tries_at_the_old_one(
    any_town: Town,
) -> None:
    town = any_town
    town.add("ann")
    for _ in range(5):
        with pytest.raises(SignInRefused):
            town.sign_in("ann", OTHER)
    with pytest.raises(TooManyTries):
        town.sign_in("ann")
    town.set_password("ann", OTHER)
    town.sign_in("ann", OTHER)


def test_changes_and_the_end_of_sessions_do_not_wait_for_each_other(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    for _ in range(4):
        people = [town.recognise(town.sign_in("ann")) for _ in range(3)]
        together = threading.Barrier(len(people) + 1)

        def leave(person: Person, start: threading.Barrier = together) -> None:
            start.wait(timeout=30)
            town.sign_out(person)

        with ThreadPoolExecutor(len(people)) as pool:
            leaving = [pool.submit(leave, person) for person in people]
            together.wait(timeout=30)
            town.set_password("ann", PASSWORD)
        assert [one.result() for one in leaving] == [None] * len(people)


def test_another_role_counts_in_sessions_at_once(town: Town) -> None:
    town.add("ann", Role.ADMIN)
    town.add("bob", Role.ADMIN)
    secret = town.sign_in("ann")
    assert town.recognise(secret).principal.role is Role.ADMIN
    town.set_role("ann", Role.READER)
    assert town.recognise(secret).principal.role is Role.READER


@pytest.mark.parametrize("name", ["", "Ann", "ann lee", "-ann", "ann-", "a" * 64, "安", "ann\n"])
def test_what_cannot_be_a_name_is_not_repeated(town: Town, name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        town.add(name)
    assert refused.value.message == "This cannot be the name of an account."
    assert town.listing() == []


def test_names_are_unique_across_the_hub_and_accounts_belong_to_projects(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    town.add("bob")
    away = replace(town, caller=ELSEWHERE)
    carl = away.add("carl")
    for there in (town, away):
        with pytest.raises(AccountExists):
            there.add("ann")
    town.disable("bob")
    with pytest.raises(AccountExists):
        town.add("bob")
    assert away.listing() == [carl]
    assert [one.name for one in town.listing()] == ["ann", "bob"]
    acts: list[Callable[[], object]] = [
        lambda: away.set_role("ann", Role.ADMIN),
        lambda: away.set_password("ann", OTHER),
        lambda: away.disable("ann"),
        lambda: away.enable("bob"),
        lambda: town.disable("nobody"),
    ]
    for act in acts:
        with pytest.raises(AccountNotFound):
            act()
    assert town.recognise(town.sign_in("carl")).principal.project_id == "other"


def test_of_two_at_once_one_gets_a_name(any_town: Town) -> None:
    together = threading.Barrier(2)

    def add(role: Role) -> str:
        together.wait(timeout=30)
        try:
            return any_town.add("ann", role).name
        except AccountExists as error:
            return error.code

    with ThreadPoolExecutor(2) as pool:
        ends = sorted(pool.map(add, (Role.READER, Role.ADMIN)))
    assert ends == ["account_exists", "ann"]
    assert len(any_town.listing()) == 1


LOWERING: dict[str, Callable[[Town, str], Account]] = {
    "lowered": lambda town, name: town.set_role(name, Role.RELEASER),
    "disabled": lambda town, name: town.disable(name),
}


@pytest.mark.parametrize("how", LOWERING)
def test_the_last_admin_stays(any_town: Town, how: str) -> None:
    town, lower = any_town, LOWERING[how]
    town.add("ann", Role.ADMIN)
    town.add("bob", Role.ADMIN)
    town.add("carl", Role.RELEASER)
    replace(town, caller=ELSEWHERE).add("dan", Role.ADMIN)
    replace(town, caller=ELSEWHERE).add_token("dan", Role.ADMIN)
    lower(town, "bob")
    before = town.listing()
    with pytest.raises(LastAdmin) as refused:
        lower(town, "ann")
    assert refused.value.message == "ann is the last admin account, and there is no admin token."
    assert town.listing() == before
    town.add_token("low", Role.RELEASER)
    town.add_token("registry", None)
    with pytest.raises(LastAdmin):
        lower(town, "ann")
    town.add_token("root", Role.ADMIN)
    lower(town, "ann")


def test_one_who_could_not_manage_the_hub_may_always_be_disabled(town: Town) -> None:
    town.add("ann", Role.ADMIN)
    town.add("bob", Role.ADMIN)
    town.add("carl")
    town.disable("carl")
    town.disable("bob")
    assert town.set_role("bob", Role.READER).role is Role.READER  # disabled, it managed nothing
    assert town.set_role("ann", Role.ADMIN).role is Role.ADMIN


def test_two_admins_who_disable_each_other_leave_one(any_town: Town) -> None:
    town = any_town
    for name in ("ann", "bob"):
        town.add(name, Role.ADMIN)
    together = threading.Barrier(2)

    def disable(name: str) -> str:
        together.wait(timeout=30)
        try:
            town.disable(name)
        except LastAdmin as error:
            return error.code
        return "disabled"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(disable, ("ann", "bob"))) == ["disabled", "last_admin"]


def _prefer(town: Town, person: Person, language: Any, theme: Any) -> Account:
    with town.database.transaction() as session:
        return accounts.set_preferences(session, person, language, theme)


def test_preferences_are_a_persons_own(any_town: Town) -> None:
    town = any_town
    town.add("ann")
    ann = town.recognise(secret := town.sign_in("ann"))
    assert (ann.language, ann.theme) == ("", "auto")
    start = len(town.log())
    for _ in range(2):
        changed = _prefer(town, ann, "zh", "dark")
        assert (changed.language, changed.theme) == ("zh", "dark")
    assert town.said(after=start) == [
        (
            "person:ann",
            "account.preferences_set",
            "account:ann",
            {"language": "zh", "theme": "dark"},
        )
    ]
    again = town.recognise(secret)
    assert (again.language, again.theme) == ("zh", "dark")
    for language, theme in (("fr", "dark"), ("en", "blue"), ("en", "")):
        with pytest.raises(DizuoError, match="is not offered"):
            _prefer(town, ann, language, theme)
    assert town.recognise(secret) == again


def test_neither_password_nor_hash_is_in_the_log(town: Town) -> None:
    town.add("ann")
    town.set_password("ann", OTHER)
    log = repr(town.log()) + repr(town.listing())
    assert all(word not in log for word in (PASSWORD, OTHER, "argon2"))
