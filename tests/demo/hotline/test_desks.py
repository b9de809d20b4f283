"""The desks: every event has a department, and cities differ."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from dizuo.demo.hotline.cities import DESKS, FESTIVAL, HARBIN, SHENZHEN
from dizuo.demo.hotline.facility import FACILITY
from dizuo.demo.hotline.government import GOVERNMENT
from dizuo.demo.hotline.model import Desk, Event, Language

CODE = re.compile(r"[a-z]+(-[a-z]+)*")
EVERY_EVENT = (*FACILITY.events, *GOVERNMENT.events, *FESTIVAL)


@pytest.mark.parametrize("desk", DESKS.values(), ids=DESKS)
def test_a_desk_knows_the_department_of_each_of_its_events(desk: Desk) -> None:
    assert set(desk.departments) == {one.category for one in (*desk.events, *desk.new_events)}
    assert all(CODE.fullmatch(code) for pair in desk.departments.items() for code in pair)


def test_no_category_is_two_events() -> None:
    assert set(Counter(one.category for one in EVERY_EVENT).values()) == {1}


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: event.category)
def test_an_event_has_four_subjects_and_faults_in_each_language(event: Event) -> None:
    for language in Language:
        wording = event.wordings[language]
        assert len(set(wording.subjects)) == len(set(wording.faults)) == 4
        english = "".join((*wording.subjects, *wording.faults)).isascii()
        assert english == (language is Language.ENGLISH)


def test_no_wording_means_two_events() -> None:
    said = Counter(
        (subject, fault)
        for event in EVERY_EVENT
        for wording in event.wordings.values()
        for subject in wording.subjects
        for fault in wording.faults
    )
    assert set(said.values()) == {1}


def test_departments_differ_between_the_cities_and_from_the_general_table() -> None:
    shared = [one.category for one in SHENZHEN.events]
    for one, other in ((HARBIN, SHENZHEN), (HARBIN, GOVERNMENT), (SHENZHEN, GOVERNMENT)):
        changed = [name for name in shared if one.departments[name] != other.departments[name]]
        assert len(changed) >= len(shared) / 2


def test_harbins_new_events_are_in_no_other_table() -> None:
    new = {one.category for one in HARBIN.new_events}
    assert len(new) == 3
    for desk in DESKS.values():
        assert new.isdisjoint(one.category for one in desk.events)
    old = {HARBIN.departments[one.category] for one in HARBIN.events}
    assert old.isdisjoint(HARBIN.departments[name] for name in new)
