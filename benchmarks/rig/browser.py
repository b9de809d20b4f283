"""Debian's Chromium, without a window."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
from playwright.sync_api import Browser, BrowserContext, Error, Playwright, sync_playwright

from dizuo.core.errors import Unavailable

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_CLOSING_SECONDS = 30.0


class NoBrowser(Unavailable):
    """Debian's Chromium is not installed."""

    code = "benchmark_no_browser"


class Chromium:
    """One browser for many visits, started when the first one needs it.

    Playwright waits without end for a browser that hangs while something of it is closed. Here it
    is killed after `closing_seconds`, and the next visit gets a fresh one.
    """

    def __init__(self, playwright: Playwright, program: str, closing_seconds: float) -> None:
        self._playwright = playwright
        self._program = program
        self._closing_seconds = closing_seconds
        self._browser: Browser | None = None

    @contextmanager
    def visit(self, **options: Any) -> Iterator[BrowserContext]:
        """A visitor's cookies and pages, gone at the end; `options` as in `new_context`."""
        context = self._running().new_context(**options)
        try:
            yield context
        finally:
            with self._killed_if_it_hangs():
                context.close()

    def close(self) -> None:
        """End the browser, if it runs."""
        if self._browser is not None:
            with self._killed_if_it_hangs():
                self._browser.close()

    def _running(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._playwright.chromium.launch(
                executable_path=self._program, args=list(_FLAGS)
            )
        return self._browser

    @contextmanager
    def _killed_if_it_hangs(self) -> Iterator[None]:
        timer = threading.Timer(self._closing_seconds, _kill_browsers)
        timer.start()
        try:
            with suppress(Error):  # it has died, so there is nothing to close
                yield
        finally:
            timer.cancel()


@contextmanager
def chromium(*, closing_seconds: float = _CLOSING_SECONDS) -> Iterator[Chromium]:
    """The browser, closed at the end.

    Raises:
        NoBrowser: there is none.
    """
    program = shutil.which("chromium")
    if program is None:
        raise NoBrowser("chromium is not installed.", next_step="apt-get install chromium")
    with sync_playwright() as playwright:
        browser = Chromium(playwright, program, closing_seconds)
        try:
            yield browser
        finally:
            browser.close()


def _kill_browsers() -> None:
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if child.name().startswith("chrom"):
                child.kill()
