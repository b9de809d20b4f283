"""Check-ins and operators at the same time, on both engines."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tests.sites.fleet import Fleet

from dizuo.core.errors import DizuoError

SITES = ("a", "b", "c", "d")


def together(*work: Callable[[], object]) -> list[DizuoError]:
    """Do everything at once; the errors that came of it."""
    errors: list[DizuoError] = []
    start = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        start.wait(timeout=30)
        try:
            one()
        except DizuoError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive()
    return errors


def test_all_sites_arrive_at_once(any_fleet: Fleet) -> None:
    any_fleet.join(*SITES)
    any_fleet.release()
    rollout = any_fleet.start("meter-reading:1", "all")
    assert together(*(lambda name=name: any_fleet.arrive(name) for name in SITES)) == []
    assert any_fleet.states(rollout) == ("done", dict.fromkeys(SITES, "done"))


def test_a_key_that_is_used_at_once_starts_one_rollout(any_fleet: Fleet) -> None:
    any_fleet.join(*SITES)
    any_fleet.release()
    start = lambda: any_fleet.start("meter-reading:1", "all", key="k")  # noqa: E731
    assert together(start, start, start) == []
    assert any_fleet.actions("rollout.started") == ["rollout.started"]
    assert any_fleet.site("a").desired.generation == 1


def test_operators_and_sites_do_not_wait_for_each_other_in_a_circle(any_fleet: Fleet) -> None:
    any_fleet.join(*SITES)
    any_fleet.release(version=1)
    any_fleet.release(version=2)
    first = any_fleet.start("meter-reading:1", "all")
    errors = together(
        *(lambda name=name: any_fleet.arrive(name) for name in SITES),
        lambda: any_fleet.start("meter-reading:2", ["d", "a"]),
        lambda: any_fleet.start("meter-reading:2", ["c", "b"], served_as="x"),
        lambda: any_fleet.roll_back(first),
    )
    assert [error for error in errors if error.retryable] == []
    for name in SITES:
        any_fleet.arrive(name)
        assert any_fleet.site(name).running == any_fleet.site(name).desired
    any_fleet.actions()
