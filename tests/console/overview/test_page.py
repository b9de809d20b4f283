"""The first page in a browser: each figure with what it was in the last day."""

from __future__ import annotations

from playwright.sync_api import expect
from tests.console.browsing import Visitor
from tests.console.conftest import Place

from dizuo.console.messages import Language, Words
from dizuo.console.overview import history
from dizuo.core.clock import now_ms

WORDS = Words(Language.ENGLISH)
NAMES = ("sites_online", "samples_waiting", "runs_active", "stacks", "approvals", "answers")
SPAN_MS = 30 * history.MINUTE_MS


def test_every_figure_has_a_short_history(visitor: Visitor, place: Place) -> None:
    names = (*NAMES, "disk_free")
    with place.database.transaction() as session:
        for spans in range(1, 40):
            values = dict.fromkeys(names, float(spans % 7))
            history.note(session, "default", values, now_ms() - spans * SPAN_MS)
    visitor.open("/", WORDS("nav.overview"))
    for name in names:
        title = WORDS("overview.last_day", figure=WORDS(f"overview.{name}"))
        expect(visitor.page.get_by_role("img", name=title)).to_be_visible()
    assert visitor.page.locator(".figure").count() == len(NAMES)
    assert visitor.overflow() == []
    assert visitor.unfit() == []
