"""Sites and rollouts are searched, counted and paged by the database, within one project."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from tests.sites.fleet import M1, M2, Fleet

from dizuo.sites import finding, rollout_finding, service
from dizuo.sites.errors import RolloutNotFound
from dizuo.sites.finding import SiteFilter
from dizuo.sites.rollout_finding import EntryFilter
from dizuo.sites.rollout_model import EntryState
from dizuo.sites.store import SITES

OTHER = "other"


def _names(fleet: Fleet, wanted: SiteFilter, limit: int = 10, offset: int = 0) -> list[str]:
    with fleet.database.reading() as session:
        found = finding.find(session, wanted, limit=limit, offset=offset)
        assert finding.count(session, wanted) >= len(found)
        return [site.name for site in found]


def _set(fleet: Fleet, name: str, **values: object) -> None:
    with fleet.database.transaction() as session:
        session.execute(update(SITES).where(SITES.c.name == name).values(**values))


def test_sites_come_by_name_a_page_at_a_time(any_fleet: Fleet) -> None:
    any_fleet.join("c", "a", "d", "b")
    assert _names(any_fleet, SiteFilter(), limit=3) == ["a", "b", "c"]
    assert _names(any_fleet, SiteFilter(), limit=3, offset=3) == ["d"]


def test_a_search_is_for_a_part_of_the_name_and_nothing_in_it_is_a_pattern(
    any_fleet: Fleet,
) -> None:
    any_fleet.join("mine-1", "mine_1", "quarry", "mine-2")
    assert _names(any_fleet, SiteFilter("MINE-")) == ["mine-1", "mine-2"]
    assert _names(any_fleet, SiteFilter("mine_")) == ["mine_1"]
    assert _names(any_fleet, SiteFilter("%")) == []


def test_sites_are_filtered_by_state_and_by_when_they_were_heard_of(any_fleet: Fleet) -> None:
    any_fleet.join("a", "b")
    any_fleet.say("a", "serving")
    _set(any_fleet, "b", last_seen_ms=1000)
    assert _names(any_fleet, SiteFilter(state="serving")) == ["a"]
    assert _names(any_fleet, SiteFilter(seen_before_ms=1001)) == ["b"]
    assert _names(any_fleet, SiteFilter(state="serving", seen_before_ms=1001)) == []


def test_sites_of_another_project_are_not_found(any_fleet: Fleet) -> None:
    any_fleet.join("a", "b")
    _set(any_fleet, "b", project_id=OTHER)
    assert _names(any_fleet, SiteFilter()) == ["a"]
    assert _names(any_fleet, SiteFilter(project_id=OTHER)) == ["b"]


def test_directions_are_paged_by_generation(fleet3: Fleet) -> None:
    for stack in (M1, M2, M1):
        fleet3.start(stack, ["a"])
    with fleet3.database.reading() as session:
        newest = service.directions(session, "a", limit=2)
        older = service.directions(session, "a", before=2, limit=2)
    assert [one["generation"] for one in newest] == [3, 2]
    assert [one["generation"] for one in older] == [1]


def test_a_rollout_is_shown_in_figures_and_its_sites_a_page_at_a_time(fleet3: Fleet) -> None:
    rollout = fleet3.start(M1, "all")
    fleet3.arrive("b")
    with fleet3.database.reading() as session:
        shown = rollout_finding.show(session, rollout.id)
        page = rollout_finding.entries(session, rollout, EntryFilter(), limit=2, offset=1)
        done = EntryFilter(state=EntryState.DONE)
        arrived = rollout_finding.entries(session, rollout, done, limit=2)
        assert rollout_finding.count_entries(session, rollout, done) == 1
        assert rollout_finding.count_entries(session, rollout, EntryFilter("C")) == 1
    assert shown.rollout.entries == ()
    assert (shown.num_sites, shown.num_done) == (3, 1)
    assert shown.states == {EntryState.PENDING: 2, EntryState.DONE: 1}
    assert [one.site_name for one in page] == ["b", "c"]
    assert [one.site_name for one in arrived] == ["b"]


def test_rollouts_come_newest_first_and_stay_in_their_project(fleet3: Fleet) -> None:
    first, second = fleet3.start(M1, ["a"]), fleet3.start(M2, ["a", "b"])
    with fleet3.database.reading() as session:
        assert [
            (one.rollout.id, one.num_sites) for one in rollout_finding.newest(session, limit=5)
        ] == [(second.id, 2), (first.id, 1)]
        (older,) = rollout_finding.newest(session, limit=1, offset=1)
        assert older.rollout.id == first.id
        assert rollout_finding.count(session) == 2
        assert rollout_finding.count(session, project_id=OTHER) == 0
        assert rollout_finding.newest(session, project_id=OTHER, limit=5) == []
        with pytest.raises(RolloutNotFound):
            rollout_finding.show(session, first.id, project_id=OTHER)
