"""Accounts in a real browser: made, changed, disabled; who is signed in; who stays."""

from __future__ import annotations

import re

import pytest
from benchmarks.rig.browser import Chromium
from playwright.sync_api import expect
from tests.console.approvals import decisions_scene
from tests.console.approvals.decisions_scene import BOSS, OTHER, Scene
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place


@pytest.fixture(scope="module")
def scene(place: Place) -> Scene:
    """The other project, whose admin is its last."""
    return decisions_scene.fill(place.database)


def account(place: Place, name: str) -> dict[str, object]:
    return next(one for one in place.client.accounts() if one["name"] == name)


def test_an_account_is_made_and_every_fault_stands_at_its_field(
    visitor: Visitor, place: Place
) -> None:
    page = visitor.page
    visitor.open("/people", "People")
    form = page.locator(".form-panel")
    name, password = form.get_by_label("Name"), form.get_by_label("Password")
    name.fill("Yu Yan")
    password.fill("short")
    form.get_by_role("button", name="Make the account").click()
    expect(form.get_by_text("Begin and end with a lower-case letter")).to_be_visible()
    expect(form.get_by_text("A password has at least 10 characters.")).to_be_visible()
    assert (name.input_value(), password.input_value()) == ("Yu Yan", "short")
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    name.fill("bo")
    password.fill(PASSWORD)
    form.get_by_role("button", name="Make the account").click()
    expect(form.get_by_text("There is an account named bo already.")).to_be_visible()
    assert password.input_value() == PASSWORD
    name.fill("yuyan")
    form.get_by_label("Role").click()
    page.get_by_role("option", name=re.compile("^builder")).click()
    form.get_by_role("button", name="Make the account").click()
    page.wait_for_url("**/people/yuyan")
    assert account(place, "yuyan")["role"] == "builder"


def test_a_role_is_changed_after_it_was_asked_about(visitor: Visitor, place: Place) -> None:
    page = visitor.page
    visitor.open("/people/rui", "rui")
    page.get_by_label("Role").click()
    page.get_by_role("option", name=re.compile("^releaser")).click()
    page.get_by_role("button", name="Change the role").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert account(place, "rui")["role"] == "reader"
    page.get_by_role("button", name="Change the role").click()
    page.get_by_role("dialog").get_by_role("button", name="Change the role").click()
    expect(page.locator(".facts").first).to_contain_text("releaser")
    assert account(place, "rui")["role"] == "releaser"
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    place.client.set_account_role("rui", "reader")


def test_a_new_password_ends_sessions_and_lets_in(
    visitor: Visitor, place: Place, browser: Chromium
) -> None:
    page = visitor.page
    with visiting(browser, place.url) as bo:
        bo.sign_in("bo", PASSWORD)
        visitor.open("/people")
        row = page.locator("tbody tr", has=page.get_by_role("link", name="bo", exact=True))
        expect(row).to_contain_text("1, since")
        row.get_by_role("link", name="bo", exact=True).click()
        expect(page.locator("h1")).to_have_text("bo")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.get_by_label("Password").fill("bo")
        page.get_by_role("button", name="Set the password").click()
        expect(page.get_by_text("at least 10 characters.")).to_be_visible()
        page.get_by_label("Password").fill("another battery staple")
        page.get_by_role("button", name="Set the password").click()
        page.get_by_role("dialog").get_by_role("button", name="Set the password").click()
        expect(page.get_by_text("Not signed in.")).to_be_visible()
        bo.sign_in("bo", "another battery staple")
        assert bo.page.locator("h1").inner_text() == "Overview"
    place.client.set_account_password("bo", PASSWORD)


def test_an_account_is_disabled_and_enabled(visitor: Visitor, place: Place) -> None:
    page = visitor.page
    place.client.create_account("guest", "reader", PASSWORD)
    visitor.open("/people/guest", "guest")
    page.get_by_role("button", name="Disable the account").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable the account").click()
    expect(page.get_by_role("button", name="Enable the account")).to_be_visible()
    assert account(place, "guest")["disabled_ms"] is not None
    page.get_by_role("button", name="Enable the account").click()
    page.get_by_role("dialog").get_by_role("button", name="Enable the account").click()
    expect(page.get_by_role("button", name="Disable the account")).to_be_visible()
    assert account(place, "guest")["disabled_ms"] is None


def test_ones_own_account_is_named_as_such(visitor: Visitor, place: Place) -> None:
    visitor.open("/people", "People")
    expect(visitor.page.locator("tbody tr", has_text="(you)")).to_contain_text("mei")
    visitor.open("/people?search=li")
    expect(visitor.page.locator("tbody tr")).to_have_count(1)
    visitor.open("/people/mei", "mei")
    visitor.page.get_by_role("button", name="Disable the account").click()
    expect(visitor.page.get_by_role("dialog")).to_contain_text("This is your own account.")
    visitor.page.get_by_role("dialog").get_by_role("button", name="Cancel").click()


def test_the_last_admin_stays_and_the_page_says_why(
    scene: Scene, place: Place, browser: Chromium
) -> None:
    with visiting(browser, place.url) as boss:
        boss.sign_in(BOSS, decisions_scene.PASSWORD)
        boss.open("/people", "People")
        expect(boss.page.locator("tbody tr")).to_have_count(1)
        expect(boss.page.locator("tbody tr")).to_contain_text("last admin")
        boss.open(f"/people/{BOSS}", BOSS)
        expect(boss.page.get_by_text("This is the only account that can manage")).to_be_visible()
        for name in ("Disable the account", "Change the role"):
            assert boss.page.get_by_role("button", name=name).count() == 0
        assert boss.page.get_by_role("button", name="Set the password").count() == 1
        assert boss.unfit() == []
        assert boss.overflow() == []
        assert boss.faults == []


def test_accounts_of_other_projects_are_not_there(
    scene: Scene, visitor: Visitor, place: Place
) -> None:
    visitor.open("/people", "People")
    assert OTHER not in visitor.page.content()
    answer = visitor.page.goto(f"{place.url}/people/{BOSS}")
    assert answer is not None
    assert answer.status == 404
    visitor.faults.clear()  # the browser itself notes the 404


def test_somebody_changes_their_own_password_and_every_fault_stands_at_its_field(
    place: Place, browser: Chromium
) -> None:
    place.client.create_account("self", "reader", PASSWORD)
    with visiting(browser, place.url) as here, visiting(browser, place.url) as elsewhere:
        for one in (here, elsewhere):
            one.sign_in("self", PASSWORD)
        elsewhere.page.goto("about:blank")  # no page is open there, which the hub would lead away
        page = here.page
        page.get_by_role("link", name="self").click()
        expect(page.locator("h1")).to_have_text("Your account")
        expect(page.locator("tbody tr")).to_have_count(2)
        present = page.get_by_label("Present password", exact=True)
        chosen = page.get_by_label("New password", exact=True)
        again = page.get_by_label("New password again", exact=True)
        change = page.get_by_role("button", name="Change your password")
        present.fill("guessed by somebody")
        chosen.fill("short")
        again.fill("shorter")
        change.click()
        expect(page.get_by_text("A password has at least 10 characters.")).to_be_visible()
        expect(page.get_by_text("This is not the same as above.")).to_be_visible()
        chosen.fill("another battery staple")
        again.fill("another battery staple")
        again.press("Enter")
        expect(page.get_by_text("This is not the password you have.")).to_be_visible()
        typed = (present.input_value(), chosen.input_value(), again.input_value())
        assert typed == ("guessed by somebody", *["another battery staple"] * 2)
        assert here.unfit() == []
        assert here.overflow() == []
        present.fill(PASSWORD)
        change.dblclick()
        expect(page.get_by_text("Your password is changed.")).to_be_visible()
        expect(change).to_be_enabled()
        expect(page.locator(".q-field--error")).to_have_count(0)
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(present).to_have_value("")
        assert here.faults == []
        elsewhere.page.goto(place.url + "/account")
        expect(elsewhere.page.locator("#name")).to_be_visible()
        elsewhere.sign_in("self", "another battery staple")
        assert elsewhere.page.locator("h1").inner_text() == "Overview"
