"""A real browser before a real hub: pages opened, watched for faults, measured at every width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from benchmarks.rig import browser
from benchmarks.rig.browser import Chromium
from playwright.sync_api import (
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
)
from tests.conftest import require_program

WIDTHS = (1440, 1024, 390)
_PATIENCE_MS = 30_000
"""How long what is expected may take on a busy machine."""
_STICKING_OUT = """width => [...document.querySelectorAll('body *')]
    .filter(one => one.getBoundingClientRect().right > width && !one.closest('.table-wide'))
    .slice(-3).map(one => one.outerHTML.slice(0, 160))"""


@contextmanager
def chromium() -> Iterator[Chromium]:
    """The browser, for tests that have patience with it."""
    require_program("chromium")
    expect.set_options(timeout=_PATIENCE_MS)
    with browser.chromium() as opened:
        yield opened


@dataclass
class Visitor:
    """One person's browser. `faults` is what its pages complained of."""

    url: str
    context: BrowserContext
    page: Page
    faults: list[str] = field(default_factory=list)

    def open(self, address: str, heading: str | None = None) -> None:
        """Go to a page of the hub and wait until it is drawn and its socket stands."""
        self.page.goto(self.url + address)
        self.settle()
        if heading is not None:
            assert self.page.locator("h1").inner_text() == heading

    def settle(self) -> None:
        """Wait until what is open is drawn and its socket stands."""
        self.page.locator("h1").first.wait_for()
        self.page.wait_for_function("!window.socket || window.socket.connected")

    def sign_in(self, name: str, password: str) -> None:
        """Through the form, as a person does."""
        self.page.goto(self.url + "/login")
        self.page.locator("#name").fill(name)
        self.page.locator("#password").fill(password)
        self.page.locator("form button[type=submit]").click()
        self.settle()

    def another_window(self, address: str) -> Visitor:
        """A second window of the same person, open at a page; its faults are theirs."""
        other = Visitor(self.url, self.context, self.context.new_page(), self.faults)
        other.watch()
        other.open(address)
        return other

    def watch(self) -> None:
        """Note what the page complains of from now on."""
        self.page.on("console", lambda message: _note(self, message))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def overflow(self) -> list[str]:
        """What sticks out of the page to the right, at each of WIDTHS."""
        found = []
        for width in WIDTHS:
            self.page.set_viewport_size({"width": width, "height": 900})
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            if wide > width:
                out = self.page.evaluate(_STICKING_OUT, width)
                found.append(f"{self.page.url} is {wide} wide at {width}: {out}")
        self.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        return found

    def unfit(self) -> list[str]:
        """What axe-core finds wrong for people who see, hear or move otherwise."""
        found = Axe().run(self.page, options={"runOnly": ["wcag2a", "wcag2aa", "best-practice"]})
        return [
            f"{self.page.url}: {one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}"
            f" {one['nodes'][0].get('failureSummary', '')[:300]}"
            for one in found.response["violations"]
        ]

    def picture(self, path: Path) -> None:
        """A screenshot of the whole page."""
        self.page.screenshot(path=path, full_page=True)


@contextmanager
def visiting(browser: Chromium, url: str, *, dark: bool = False) -> Iterator[Visitor]:
    """A person with a browser of their own, who reads English."""
    with browser.visit(
        locale="en-GB", color_scheme="dark" if dark else "light", reduced_motion="reduce"
    ) as context:
        visitor = Visitor(url, context, context.new_page())
        visitor.watch()
        yield visitor


def _note(visitor: Visitor, message: ConsoleMessage) -> None:
    if message.type in ("error", "warning"):
        visitor.faults.append(f"{visitor.page.url}: {message.text}")
