"""The frame in a real browser: signing in and out, language, colours, what strangers see."""

from __future__ import annotations

import httpx2
import pytest
from benchmarks.rig.browser import Chromium
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, PEOPLE, Place


def test_a_stranger_is_asked_to_sign_in_and_comes_to_the_page_that_was_asked_for(
    place: Place, browser: Chromium
) -> None:
    with visiting(browser, place.url) as visitor:
        visitor.page.goto(f"{place.url}/?from=somewhere")
        assert visitor.page.url == f"{place.url}/login?next=/%3Ffrom%3Dsomewhere"
        assert visitor.unfit() == []
        assert visitor.overflow() == []
        visitor.page.locator("#name").fill("rui")
        visitor.page.locator("#password").fill(PASSWORD)
        visitor.page.keyboard.press("Enter")
        visitor.settle()
        assert visitor.page.url == f"{place.url}/?from=somewhere"
        assert visitor.faults == []


def test_a_wrong_password_keeps_the_name_and_says_so(place: Place, browser: Chromium) -> None:
    with visiting(browser, place.url) as visitor:
        visitor.page.goto(f"{place.url}/login")
        visitor.page.locator("#name").fill("bo")
        visitor.page.locator("#password").fill("not the password")
        visitor.page.keyboard.press("Enter")
        visitor.page.locator("[role=alert]").wait_for()
        assert "wrong" in visitor.page.locator("[role=alert]").inner_text()
        assert visitor.page.locator("#name").input_value() == "bo"
        assert visitor.page.locator("#password").input_value() == ""


def test_a_wrong_password_is_told_in_the_language_of_the_page(
    place: Place, browser: Chromium
) -> None:
    with visiting(browser, place.url) as visitor:
        visitor.page.goto(f"{place.url}/login?language=zh")
        visitor.page.locator("#name").fill("bo")
        visitor.page.locator("#password").fill("not the password")
        visitor.page.keyboard.press("Enter")
        told = visitor.page.locator("[role=alert]").inner_text()
        assert told == "用户名或密码不正确，或账户已停用。请重试，或请管理员重设密码。"


def test_only_who_reads_pages_is_sent_to_sign_in(place: Place) -> None:
    """A site whose join token has a wrong path is a program: it finds nothing there."""
    for address in ("/stacks", "/elsewhere/tuf/1.root.json"):
        reader = httpx2.get(place.url + address, headers={"Accept": "text/html,*/*;q=0.8"})
        assert reader.headers["location"] == f"/login?next={address}"
        assert httpx2.get(place.url + address).status_code == 404
    assert httpx2.get(place.url).headers["location"] == "/login"


@pytest.mark.parametrize(
    "next_page", ["//elsewhere.example", "/\\elsewhere.example", "https://elsewhere.example"]
)
def test_signing_in_leads_nowhere_else(place: Place, next_page: str) -> None:
    form = {"name": "lin", "password": PASSWORD, "next": next_page}
    answer = httpx2.post(f"{place.url}/login", data=form, headers={"Origin": place.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize(
    ("length", "leads_to"), [(7_000, "/" + "a" * 6_999), (9_000, "/"), (100_000, "/")]
)
def test_signing_in_follows_addresses_that_fit_a_header(
    place: Place, length: int, leads_to: str
) -> None:
    form = {"name": "lin", "password": PASSWORD, "next": "/" + "a" * (length - 1)}
    answer = httpx2.post(f"{place.url}/login", data=form, headers={"Origin": place.url})
    assert (answer.status_code, answer.headers["location"]) == (303, leads_to)


def test_whatever_is_typed_at_signing_in_is_answered_by_the_page(place: Place) -> None:
    for form in ({}, {"name": "n" * 5_000, "password": "p" * 50_000}):
        answer = httpx2.post(f"{place.url}/login", data=form, headers={"Origin": place.url})
        assert answer.status_code == 401
        assert "<form" in answer.text


def test_language_and_colours_are_remembered_with_the_account(
    visitor: Visitor, place: Place, browser: Chromium
) -> None:
    visitor.open("/", "Overview")
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="总览").wait_for()
    visitor.page.locator(".foot button[value=dark]").click()
    visitor.page.locator("html[data-theme=dark]").wait_for(state="attached")
    assert visitor.page.locator("html").get_attribute("lang") == "zh-CN"
    assert visitor.unfit() == []
    with visiting(browser, place.url) as elsewhere:
        elsewhere.sign_in("mei", PASSWORD)
        assert elsewhere.page.locator("h1").inner_text() == "总览"
        assert elsewhere.page.locator("html").get_attribute("data-theme") == "dark"
        elsewhere.page.locator(".foot button[name=language]").click()
        elsewhere.page.locator("h1", has_text="Overview").wait_for()
        elsewhere.page.locator(".foot button[value=auto]").click()
        elsewhere.page.locator("html[data-theme=auto]").wait_for(state="attached")


def test_the_language_changes_where_somebody_is(visitor: Visitor) -> None:
    visitor.open("/stacks?search=nothing")
    visitor.page.evaluate("history.replaceState(history.state, '', '/stacks?search=typed')")
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="模型栈").wait_for()
    assert visitor.page.url.endswith("/stacks?search=typed")
    visitor.page.locator(".foot button[name=language]").click()
    visitor.page.locator("h1", has_text="Stacks").wait_for()
    assert visitor.page.url.endswith("/stacks?search=typed")


def test_an_open_page_of_a_session_that_has_ended_asks_to_sign_in(
    place: Place, browser: Chromium
) -> None:
    with visiting(browser, place.url) as visitor:
        visitor.sign_in("lin", PASSWORD)
        other = visitor.context.new_page()
        other.goto(f"{place.url}/")
        other.locator(".foot form[action='/logout'] button").click()
        other.locator("#name").wait_for()
        visitor.page.wait_for_url("**/login?next=/", timeout=30_000)


def test_an_account_that_is_disabled_is_out_at_once(place: Place, browser: Chromium) -> None:
    place.client.create_account("guest", "reader", PASSWORD)
    with visiting(browser, place.url) as visitor:
        visitor.sign_in("guest", PASSWORD)
        visitor.page.goto("about:blank")  # no page is open, which the hub would lead away
        place.client.disable_account("guest")
        visitor.page.goto(f"{place.url}/")
        assert visitor.page.url.startswith(f"{place.url}/login")


def test_pages_and_sockets_of_others_are_refused(place: Place) -> None:
    session = _signed_in(place, "rui")
    foreign = {"Origin": "https://elsewhere.example", "Cookie": session}
    assert httpx2.post(f"{place.url}/logout", headers=foreign).status_code == 403
    assert httpx2.post(f"{place.url}/logout", headers={"Cookie": session}).status_code == 403
    polling = f"{place.url}/_nicegui_ws/socket.io/?EIO=4&transport=polling"
    assert httpx2.get(polling, headers=foreign).status_code == 403
    assert httpx2.get(polling).status_code == 401
    assert httpx2.get(polling, headers={"Cookie": session}).status_code == 200


def test_every_answer_says_what_a_page_may_load(place: Place) -> None:
    for address in ("/login", "/console/static/console.css"):
        headers = httpx2.get(f"{place.url}{address}").headers
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("address", ["/api/v1/nope", "/api/nope", "/edge/nope", "/tuf/a/b/c"])
def test_unknown_addresses_of_other_surfaces_are_no_pages(place: Place, address: str) -> None:
    answer = httpx2.get(f"{place.url}{address}", headers={"Cookie": _signed_in(place, "rui")})
    assert answer.status_code in (401, 404)
    assert "<html" not in answer.text


def test_an_unknown_page_says_so_and_leads_back(visitor: Visitor, place: Place) -> None:
    answer = visitor.page.goto(f"{place.url}/nowhere")
    assert answer is not None
    assert answer.status == 404
    assert visitor.page.locator("h1").inner_text() == "There is no such page"
    assert visitor.unfit() == []
    visitor.page.locator("main a").click()
    visitor.page.locator("h1", has_text="Overview").wait_for()
    visitor.faults.clear()  # the browser itself notes the 404


def _signed_in(place: Place, name: str) -> str:
    assert name in PEOPLE
    form = {"name": name, "password": PASSWORD}
    answer = httpx2.post(f"{place.url}/login", data=form, headers={"Origin": place.url})
    return answer.headers["set-cookie"].partition(";")[0]
