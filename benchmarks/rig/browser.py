"""Debian's Chromium, without a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

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


class NoBrowser(Unavailable):
    """Debian's Chromium is not installed."""

    code = "benchmark_no_browser"


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, closed at the end.

    Raises:
        NoBrowser: there is none.
    """
    program = shutil.which("chromium")
    if program is None:
        raise NoBrowser("chromium is not installed.", next_step="apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
