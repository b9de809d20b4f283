"""Every page as everybody: no action that is not theirs."""

from __future__ import annotations

import httpx2
import pytest
from benchmarks.rig.browser import Chromium
from tests.console.approvals import decisions_scene
from tests.console.approvals.decisions_scene import NAME, Scene
from tests.console.browsing import visiting
from tests.console.conftest import PASSWORD, PEOPLE, Place

from dizuo.access.model import Role
from dizuo.console.frame import NAVIGATION, NEEDED

ROLES = {Role[role.upper()]: name for name, role in PEOPLE.items()}
LOOKING = {"Verify", "Search"}
"""Buttons that change nothing."""
ACTIONS = {
    "/approvals": {
        Role.RELEASER: {f"Approve {NAME}:2", f"Reject {NAME}:2", f"Approve {NAME}:3"}
        | {f"Reject {NAME}:3"},
        Role.ADMIN: {"Ask for approval"},
    },
    "/approvals/{waiting}": {Role.RELEASER: {f"Approve {NAME}:3", f"Reject {NAME}:3"}},
    "/people": {Role.ADMIN: {"Make the account"}},
    "/releases": {Role.RELEASER: {f"Release {NAME}:{version}" for version in (1, 2, 3)}},
    "/people/bo": {
        Role.ADMIN: {"Change the role", "Set the password", "Disable the account"},
    },
}
"""What each role may do beyond those below it, on every page where there is something to do."""
PAGES_FOR = {
    "/runs/new": Role.BUILDER,
    "/data/import": Role.BUILDER,
    "/review/label": Role.BUILDER,
    "/review/label?work=settle": Role.RELEASER,
    "/approvals/new": Role.BUILDER,
    "/join": Role.ADMIN,
    "/people/bo": Role.ADMIN,
    "/account": Role.READER,
}
"""Pages on which things are done, and the role that it takes to see them."""
DETAILS = ("/approvals/{waiting}", "/audit/1", "/people/bo")
_NAMES = """elements => elements.map(
    one => one.getAttribute('aria-label') || one.innerText.trim()).filter(name => name)"""


@pytest.fixture(scope="module")
def scene(place: Place) -> Scene:
    """Something on every page, in two projects."""
    return decisions_scene.fill(place.database)


def addresses() -> list[str]:
    return [*(href for _, href in NAVIGATION), *DETAILS]


def cookie_of(place: Place, name: str, password: str) -> str:
    form = {"name": name, "password": password}
    answer = httpx2.post(f"{place.url}/login", data=form, headers={"Origin": place.url})
    return answer.headers["set-cookie"].partition(";")[0]


def is_allowed(address: str, role: Role) -> bool:
    part = address.strip("/").partition("/")[0]
    return role >= NEEDED.get(part, Role.READER)


def expected(address: str, role: Role) -> set[str]:
    own = ACTIONS.get(address, {})
    if not is_allowed(address, role):
        return set()
    return {name for needed, names in own.items() if needed <= role for name in names}


@pytest.fixture(params=list(Role), ids=lambda role: role.word)
def role(request: pytest.FixtureRequest) -> Role:
    """Each role in turn."""
    found: Role = request.param
    return found


def test_each_role_finds_its_own_actions_and_no_others(
    scene: Scene, place: Place, browser: Chromium, role: Role
) -> None:
    with visiting(browser, place.url) as one:
        one.sign_in(ROLES[role], PASSWORD)
        parts = one.page.locator("nav.wide a").evaluate_all("all => all.map(a => a.pathname)")
        assert parts == [href for _, href in NAVIGATION if is_allowed(href, role)]
        for address in addresses():
            one.open(address.format(waiting=scene.waiting[1]))
            found = one.page.locator("#main button, #main [role=switch]").evaluate_all(_NAMES)
            assert set(found) - LOOKING == expected(address, role), address
            if not is_allowed(address, role):
                assert "needs the role" in one.page.locator("[role=alert]").inner_text()
                one.faults.clear()  # the browser itself notes the 403
        assert one.faults == []


@pytest.mark.parametrize(("address", "needed"), PAGES_FOR.items())
def test_pages_on_which_things_are_done_are_for_who_may_do_them(
    scene: Scene, place: Place, address: str, needed: Role
) -> None:
    for held, name in ROLES.items():
        headers = {"Cookie": cookie_of(place, name, PASSWORD), "Accept": "text/html"}
        answer = httpx2.get(place.url + address, headers=headers, timeout=30)
        assert answer.status_code == (200 if held >= needed else 403), (name, address)
