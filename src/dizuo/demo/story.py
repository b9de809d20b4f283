"""What stories have in common: where they are told, and what they come to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx2

from dizuo.client.hub import HubClient
from dizuo.demo.hub import Built, DemoHub
from dizuo.demo.measure import StoryScores
from dizuo.demo.screen import Screen
from dizuo.demo.waiting import Patience, wait_for

Scores = TypeVar("Scores", bound=StoryScores)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a story is told: a hub with sites that have just joined, each keeping its files in a
    folder of its name below `home`; on a screen; with a seed that decides all that is random."""

    hub: DemoHub
    sites: Mapping[str, httpx2.Client]
    screen: Screen
    seed: int
    home: Path


@dataclass(frozen=True, slots=True)
class Told(Generic[Scores]):
    """What a story came to.

    `update_bytes` is what each drifted site fetched for the loop's update and nothing else, by its
    name;
    `trace` leads from the digest that the drifted site says it runs to the samples it learned from;
    `others_identical` says whether those whom the update was not for answer exactly as before.
    """

    scores: Scores
    built: Mapping[str, Built]
    update_bytes: Mapping[str, int]
    trace: Sequence[Mapping[str, Any]]
    others_identical: bool


def bytes_fetched(hub: HubClient, site: str, patience: Patience | None = None) -> int:
    """What a site fetched for the generation that it was directed to last, as the hub was told.

    A site tells that only after its trial of the generation, which a rollout does not wait for;
    until then it is still updating.

    Raises:
        TookTooLong: its trial does not end.
    """

    def look() -> tuple[object, int | None]:
        told = hub.site(site)
        generation, newest = told["generation"], told["desired"]["generation"]
        if told["state"] == "serving" and generation == newest:
            return told, int(told["bytes_last_update"])
        return (told["state"], generation), None

    return wait_for(f"{site} to have tried its newest generation", look, patience)


def trace_of(hub: HubClient, site: str, served_as: str) -> list[dict[str, Any]]:
    """Every step from the digest that a site serves by a name, as `dizuo trace` tells it."""
    stacks = hub.site(site)["stacks"]
    (running,) = [stack for stack in stacks if stack["served_as"] == served_as]
    found = hub.find_stack(running["digest"])
    return hub.trace(found["name"], found["version"])


def random_arm_recipe(
    recipe: str, dataset: str, chosen: str, *, metric: str, at_least: float
) -> str:
    """The loop's own recipe for the dataset `chosen` at random in place of `dataset`, so that both
    arms differ in their labels and names alone.

    Only its gates of `metric` are lower: the arm is there to be measured, also where it does badly.
    """
    renamed = re.sub(rf"\b{dataset}(?=(-test)?@)", chosen, recipe)
    renamed = re.sub(r"^name: (.*)$", r"name: \1-random", renamed, flags=re.M)
    return _with_gates_at(renamed, metric, at_least)


def lenient(recipe: str, metric: str) -> str:
    """A recipe whose gates of `metric` are only measured, and that has none of latency: what is
    left is whether the exported stack answers as the one in memory."""
    without = re.sub(r"^  - {.*p95_latency_ms_at_most: .*}\n", "", recipe, flags=re.M)
    return _with_gates_at(without, metric, 0.0)


def _with_gates_at(recipe: str, metric: str, at_least: float) -> str:
    return re.sub(rf"(metric: {metric}, at_least:) [\d.]+", rf"\g<1> {at_least}", recipe)
