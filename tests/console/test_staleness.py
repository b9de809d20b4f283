"""What is said about a page that cannot be brought up to date."""

from __future__ import annotations

from dizuo.console.live import Trouble
from dizuo.console.messages import Language, Words
from dizuo.console.staleness import told

WORDS = Words(Language.ENGLISH)
NOON_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000


def test_nothing_is_said_without_trouble() -> None:
    assert told(WORDS, []) == ""


def test_the_oldest_reading_counts() -> None:
    said = told(WORDS, [Trouble(NOON_MS, False), Trouble(NOON_MS - 60_000, False)])
    assert "cannot be brought up to date" in said
    assert "11:59:00 UTC" in said
    assert "notice bad" not in said


def test_what_is_gone_counts_before_what_cannot_be_read() -> None:
    said = told(WORDS, [Trouble(NOON_MS, False), Trouble(NOON_MS, True)])
    assert "no longer there" in said
    assert "notice bad" in said
