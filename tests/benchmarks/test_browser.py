"""A browser that hangs while it is closed does not hold up who waits for it."""

from __future__ import annotations

import signal
import time

import psutil
from benchmarks.rig.browser import chromium
from tests.conftest import require_program

_CLOSING_SECONDS = 2.0


def _browsers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.name().startswith("chrom")]


def test_one_that_hangs_is_killed_and_the_next_visitor_gets_a_fresh_one() -> None:
    require_program("chromium")
    with chromium(closing_seconds=_CLOSING_SECONDS) as browser:
        with browser.visit() as context:
            context.new_page().goto("data:text/html,<h1>first</h1>")
            hanging = _browsers()
            for one in hanging:
                one.send_signal(signal.SIGSTOP)
            began = time.monotonic()
        assert time.monotonic() - began >= _CLOSING_SECONDS
        with browser.visit() as context:
            page = context.new_page()
            page.goto("data:text/html,<h1>second</h1>")
            assert page.locator("h1").inner_text() == "second"
            assert not {one.pid for one in _browsers()} & {one.pid for one in hanging}
    assert _browsers() == []
