"""What sites are directed to, and what is refused."""

from __future__ import annotations

import pytest
from tests.sites.fleet import ACTOR, M1, M2, Fleet, names

from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.releases.errors import ReleaseNotFound, ReleaseWithdrawn
from dizuo.sites import rollouts, service
from dizuo.sites.errors import (
    DirectionBlocked,
    NoSites,
    NoSiteTarget,
    RolloutKeyReused,
    RolloutNotFound,
    SiteNotFound,
)
from dizuo.sites.rollout_model import RolloutState


def test_all_means_every_site_that_has_joined(fleet3: Fleet) -> None:
    rollout = fleet3.start(M1, "all", served_as="meters")
    assert [one.site_name for one in rollout.entries] == ["a", "b", "c"]
    for name in ("a", "b", "c"):
        assert names(fleet3.poll(name)) == {"meters": M1}


def test_others_keep_their_generation(fleet3: Fleet) -> None:
    fleet3.start(M1, "all")
    for name in ("a", "b", "c"):
        fleet3.arrive(name)
    before = fleet3.site("b")
    fleet3.start(M2, ["a"])
    fleet3.arrive("a")
    assert fleet3.site("b").desired == before.desired
    assert fleet3.site("a").desired.generation == before.desired.generation + 1
    assert names(fleet3.site("a").running) == {"meter-reading": M2}


def test_each_name_is_directed_by_itself(fleet3: Fleet) -> None:
    fleet3.start(M1, ["a"], served_as="left")
    fleet3.start(M2, ["a"], served_as="right")
    fleet3.start("gauges:1", ["a"])
    assert names(fleet3.poll("a")) == {"gauges": "gauges:1", "left": M1, "right": M2}
    assert fleet3.poll("a").generation == 3


def test_a_site_that_has_it_already_is_not_disturbed(fleet3: Fleet) -> None:
    fleet3.start(M1, ["a"])
    fleet3.arrive("a")
    again = fleet3.start(M1, ["a", "b"])
    assert fleet3.site("a").desired.generation == 1
    assert fleet3.states(again) == ("progressing", {"a": "done", "b": "pending"})
    assert fleet3.start(M1, ["a"]).state is RolloutState.DONE


def test_a_site_that_is_on_its_way_is_not_sent_again(fleet3: Fleet) -> None:
    fleet3.start(M1, ["a"])
    fleet3.begin("a")
    again = fleet3.start(M1, ["a"])
    assert fleet3.states(again) == ("progressing", {"a": "progressing"})
    fleet3.arrive("a")
    assert fleet3.states(again) == ("done", {"a": "done"})


def test_a_site_that_gave_up_tries_again_when_asked_again(fleet3: Fleet) -> None:
    first = fleet3.start(M1, ["a"])
    fleet3.fall_back("a")
    again = fleet3.start(M1, ["a"])
    assert fleet3.site("a").desired.generation == 2
    assert again.state is RolloutState.PENDING
    fleet3.arrive("a")
    assert fleet3.states(again)[0] == "done"
    assert fleet3.states(first)[0] == "failed"


def test_the_newest_release_is_meant_where_no_version_is_named(fleet3: Fleet) -> None:
    assert fleet3.start("meter-reading", ["a"]).stack == M2


def test_the_form_that_is_not_for_training_is_chosen(fleet3: Fleet) -> None:
    fleet3.release("words", targets=("safetensors", "gguf-q4_0"))
    assert fleet3.start("words:1", ["a"]).direction.target == "gguf-q4_0"


def test_a_stack_whose_name_sites_cannot_serve_goes_by_another(fleet3: Fleet) -> None:
    fleet3.release("generation.json")
    with pytest.raises(InvalidInput, match=r"No site can serve a stack as 'generation\.json'"):
        fleet3.start("generation.json:1", ["a"])
    rollout = fleet3.start("generation.json:1", ["a"], served_as="meters")
    assert rollout.direction.served_as == "meters"


def test_the_sets_a_site_was_directed_to_are_kept(fleet3: Fleet) -> None:
    first = fleet3.start(M1, ["a"])
    second = fleet3.start(M2, ["a"])
    with fleet3.database.reading() as session:
        kept = service.directions(session, "a")
    assert [one["generation"] for one in kept] == [2, 1]
    assert [one["cause"] for one in kept] == [f"rollout:{second.id}", f"rollout:{first.id}"]


# What is refused, and changes nothing.


@pytest.mark.parametrize(
    ("stack", "sites", "error"),
    [
        ("meter-reading:9", ["a"], ReleaseNotFound),
        ("nothing:1", ["a"], ReleaseNotFound),
        ("withdrawn:1", ["a"], ReleaseWithdrawn),
        ("training-only:1", ["a"], NoSiteTarget),
        ("several:1", ["a"], NoSiteTarget),
        (M1, ["a", "nobody"], SiteNotFound),
        (M1, [], NoSites),
    ],
)
def test_refusals(fleet3: Fleet, stack: str, sites: list[str], error: type[DizuoError]) -> None:
    fleet3.withdraw(fleet3.release("withdrawn"))
    fleet3.release("training-only", targets=("safetensors",))
    fleet3.release("several", targets=("safetensors", "gguf-q4_0", "onnx"))
    before = fleet3.num_audited()
    with pytest.raises(error) as caught:
        fleet3.start(stack, sites)
    assert caught.value.next_step
    assert fleet3.num_audited() == before
    assert fleet3.site("a").desired.generation == 0


def test_all_of_no_sites_is_refused(fleet: Fleet) -> None:
    fleet.release()
    with pytest.raises(NoSites):
        fleet.start(M1, "all")


def test_a_set_with_a_withdrawn_stack_is_never_sent(fleet3: Fleet) -> None:
    gauges = fleet3.release("gauges", 2)
    fleet3.start("gauges:2", ["a"])
    fleet3.withdraw(gauges)
    with pytest.raises(DirectionBlocked, match="gauges:2"):
        fleet3.start(M1, ["a"])
    fleet3.start("gauges:1", ["a"])
    fleet3.start(M1, ["a"])
    assert names(fleet3.poll("a")) == {"gauges": "gauges:1", "meter-reading": M1}


def test_a_key_starts_one_rollout(fleet3: Fleet) -> None:
    first = fleet3.start(M1, ["b", "a"], key="k")
    assert fleet3.start(M1, ["a", "b"], key="k") == first
    assert fleet3.site("a").desired.generation == 1
    for other in (M2, M1):
        with pytest.raises(RolloutKeyReused):
            fleet3.start(other, ["a"], key="k")
    assert fleet3.start(M1, ["a", "b"]).id != first.id


@pytest.mark.parametrize("project", ["default", "other"])
def test_a_rollout_that_is_not_there(fleet3: Fleet, project: str) -> None:
    known = fleet3.start(M1, ["a"])
    wanted = known.id if project == "other" else "nothing"
    for call in (rollouts.stop, rollouts.rollback):
        with pytest.raises(RolloutNotFound), fleet3.database.transaction() as session:
            call(session, wanted, ACTOR, project_id=project)
