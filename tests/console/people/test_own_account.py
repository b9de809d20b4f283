"""The form for another password without a browser: what counts as a try, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, cast

import pytest
from anyio import from_thread, to_thread
from argon2 import PasswordHasher
from nicegui import Client
from nicegui.page import page
from tests.access.people import OTHER, PASSWORD, Town
from tests.console.test_live import apart

from dizuo.access import passwords
from dizuo.access.throttle import NUM_TRIES
from dizuo.console.elements.buttons import Act
from dizuo.console.frame import View
from dizuo.console.messages import Language
from dizuo.console.parts import Parts
from dizuo.console.people.own_account import PasswordForm
from dizuo.console.visit import Theme, Visit
from dizuo.core.clock import now_ms
from dizuo.database.engine import Database


@pytest.fixture
def town(database: Database, monkeypatch: pytest.MonkeyPatch) -> Town:
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    return Town(database, now_ms())


@asynccontextmanager
async def form_of(town: Town, name: str) -> AsyncIterator[tuple[PasswordForm, Act]]:
    """The form on a page of somebody who has signed in, and what its button does."""
    secret, nothing = town.signed_up(name), cast(Any, None)
    visit = Visit(town.recognise(secret), Language.ENGLISH, Theme.LIGHT)
    parts = Parts(nothing, "", 1.0, 0.0, town.database, nothing, nothing, nothing, nothing)
    with Client(page("/account"), request=None) as client:
        assert visit.person is not None
        view = View(visit, visit.person, parts, nothing, nothing, client, secret, nothing)
        form = PasswordForm(view)
        form.draw_sessions([])
        yield form, view.doing(form.change)
        client.delete()


def fill(form: PasswordForm, present: str, chosen: str, again: str) -> None:
    form.present.value, form.chosen.value, form.again.value = present, chosen, again


def errors(form: PasswordForm) -> list[str | None]:
    return [field.error for field in form.fields]


@apart
async def test_two_clicks_change_it_once_and_nothing_fails(town: Town) -> None:
    async with form_of(town, "ann") as (form, change):
        fill(form, PASSWORD, OTHER, OTHER)
        await asyncio.gather(change(), change())
        assert errors(form) == [None] * 3
        said = [entry.action for entry in town.log()]
        assert said == ["account.created", "session.begun", "account.password_changed"]
        fill(form, OTHER, PASSWORD, PASSWORD)
        await change()
        assert town.sign_in("ann", PASSWORD)


@apart
async def test_an_empty_field_is_told_and_is_no_try(town: Town) -> None:
    async with form_of(town, "ann") as (form, change):
        fill(form, "", OTHER, OTHER)
        for _ in range(NUM_TRIES + 1):
            await change()
            assert errors(form) == ["This is needed.", None, None]
        fill(form, "", "short", "")
        await change()
        needed, short, again = errors(form)
        assert needed == again == "This is needed."
        assert "at least 10 characters" in (short or "")
        fill(form, PASSWORD, "", "")
        await change()
        assert errors(form) == [None, "This is needed.", "This is needed."]
        assert [entry.action for entry in town.log()] == ["account.created", "session.begun"]
        assert town.sign_in("ann")


@apart
async def test_hashing_takes_none_of_the_threads_that_the_hub_shares(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    borrowed = []

    class Watched(PasswordHasher):
        """Notes how many of the shared threads are in use while it works."""

        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            borrowed.append(from_thread.run_sync(num_borrowed))
            return super().hash(password, salt=salt)

        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            borrowed.append(from_thread.run_sync(num_borrowed))
            return super().verify(hash, password)

    def num_borrowed() -> int:
        return int(to_thread.current_default_thread_limiter().borrowed_tokens)

    async with form_of(town, "ann") as (form, change):
        monkeypatch.setattr(passwords, "_HASHER", Watched(1, 8, 1))
        fill(form, PASSWORD, OTHER, OTHER)
        await change()
    assert set(borrowed) == {0}
