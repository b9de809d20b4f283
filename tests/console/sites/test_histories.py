"""Histories as tables: what charts show by the hour, for those who cannot see or point."""

from __future__ import annotations

import re

from dizuo.console.messages import Language, Words
from dizuo.console.sites.histories import histories, hours_table
from dizuo.datasets.returned import REASONS, Hour

ENGLISH = Words(Language.ENGLISH)
FIRST, SECOND, *_ = REASONS
NONE = Hour({}, None)


def _rows(table: str) -> list[list[str]]:
    rows = re.findall("<tr>(.*?)</tr>", table)
    return [re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_every_hour_stands_in_a_table_the_newest_first() -> None:
    taken = [Hour({FIRST: 1, SECOND: 3}, 0.5), NONE]
    answers, received, sure, drift = histories(ENGLISH, [None, 1500], [NONE, taken[0]], taken)
    assert _rows(hours_table(ENGLISH, answers)) == [
        ["Hours ago", "Answers per hour"],
        ["0", "1,500"],
        ["1", "–"],
    ]
    assert [row[1:] for row in _rows(hours_table(ENGLISH, received))[1:]] == [["4"], ["0"]]
    assert [row[1:] for row in _rows(hours_table(ENGLISH, sure))[1:]] == [["–"], ["0.50"]]
    shares = _rows(hours_table(ENGLISH, drift))
    assert len(shares[0]) == 1 + len(REASONS)
    assert [row[1:3] for row in shares[1:]] == [["–", "–"], ["25 %", "75 %"]]


def test_a_table_says_what_it_is_of() -> None:
    first, *_ = histories(ENGLISH, [1], [NONE], [NONE])
    assert 'aria-label="Answers per hour, by the hour"' in hours_table(ENGLISH, first)


def test_nothing_is_drawn_where_there_is_nothing() -> None:
    found = histories(ENGLISH, [None, None], [NONE, NONE], [NONE, NONE])
    assert [one.picture for one in found] == [None] * 4
