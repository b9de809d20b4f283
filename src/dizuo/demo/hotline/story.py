"""The story of the hotline: two cities on one base, and a winter that one of them had not known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import as_file, files
from itertools import islice
from typing import Any

import httpx2
import numpy as np

from dizuo.core.progress import silent
from dizuo.demo.hotline.asking import CALLERS, read_tickets, score_city
from dizuo.demo.hotline.cities import HARBIN, SHENZHEN
from dizuo.demo.hotline.copying import varied_rows
from dizuo.demo.hotline.government import GOVERNMENT
from dizuo.demo.hotline.model import Desk, Row, Split
from dizuo.demo.hotline.tickets import Mix, ticket_rows
from dizuo.demo.hub import Built, Gates, Runs, recipe_text
from dizuo.demo.measure import Score, StoryScores
from dizuo.demo.promises import Promise
from dizuo.demo.samples import Reviewer, count_returned, labels_summary, wait_until_sent
from dizuo.demo.screen import Bars
from dizuo.demo.story import Stage, Told, bytes_fetched, random_arm_recipe, trace_of
from dizuo.improvements.repin import repin

SITE = "hotline"
SITES: Mapping[str, Mapping[str, str]] = {SITE: {"DIZUO_AGENT_UNCERTAIN_AT_MOST": "0.6"}}
"""The site; while a season begins a hotline would rather look at more of its calls."""
CHANGED, OTHER = "harbin-hotline", "shenzhen-hotline"
CITIES = ((CHANGED, HARBIN), (OTHER, SHENZHEN))
RANDOM = f"{CHANGED}-random"
RETURNED = "harbin-calls"
"""The dataset of what the loop's reviewer labelled."""
BASE = "hotline-base"
TARGETS = ("safetensors", "gguf-f16")
NUM_GOVERNMENT = 6400
NUM_CITY = 1600
NUM_SUITE = 200
NUM_CALLS = 960
NUM_TEST = 500
NUM_COMPARED = 60
NEW_SHARE = 0.5
MAX_LABELS = 600
HOLDOUT = 0.15
NUM_STEPS = 16
PROMISE = Promise(
    things="tickets",
    num_test=NUM_TEST,
    before_drift=0.9,
    after_drift=0.6,
    after_update=0.85,
    num_labels=MAX_LABELS,
)


@dataclass(frozen=True, slots=True)
class HotlineScores(StoryScores):
    """Exact match of the whole JSON in the changed city, and in the other one after the update."""

    other_city_after_update: Score


@dataclass
class HotlineStory:
    """The story's steps in their order; each leaves what the next ones need."""

    stage: Stage
    built: dict[str, Built] = field(default_factory=dict)
    tickets: dict[str, int] = field(default_factory=dict)

    @property
    def site(self) -> httpx2.Client:
        """The one site, where both cities are served."""
        return self.stage.sites[SITE]

    def import_base(self) -> Built:
        """L0, as a user brings an open model in."""
        with (
            self.stage.screen.step("Import L0: a small language base of ours") as bars,
            as_file(files("dizuo.demo.hotline").joinpath("base")) as folder,
        ):
            built = self.stage.hub.import_model(BASE, folder, TARGETS, bars.report)
            return self._note(bars, [built])[0]

    def begin_industry(self, base: Built) -> Runs:
        """L1 begins to learn, from tickets of no city in particular; what the cities' L2 will learn
        from is brought in meanwhile."""
        with self.stage.screen.step("Begin L1: government, from made-up tickets") as bars:
            versions = self._add_tickets(GOVERNMENT, NUM_GOVERNMENT, bars)
            begun = self.stage.hub.begin([repin(recipe_text("government", base), versions)])
            for _, desk in CITIES:
                self.tickets |= self._add_tickets(desk, NUM_CITY, bars)
            bars.summary = f"{NUM_GOVERNMENT} tickets to learn"
            return begun

    def _add_tickets(self, desk: Desk, num_rows: int, bars: Bars) -> dict[str, int]:
        """The tickets that a layer learns from and those that its gates ask about."""
        seed = self.stage.seed
        learned = self._add(f"{desk.name}-tickets", varied_rows(Mix(desk), num_rows, seed), bars)
        suite = ticket_rows(Mix(desk, Split.HELDOUT), NUM_SUITE, seed)
        return learned | self._add(f"{desk.name}-test", suite, bars)

    def finish_industry(self, begun: Runs) -> Runs:
        """L1 once it has learned and passed its gates. While these are measured the L2 of both
        cities begin to learn on it; returns their runs."""
        with self.stage.screen.step("Wait for L1 and gate it") as bars:
            hub = self.stage.hub
            (industry,) = hub.wait_for(begun, bars.report)
            gates = hub.begin_gates([industry])
            cities = hub.begin(
                [repin(recipe_text(name, industry), self.tickets) for name, _ in CITIES]
            )
            hub.finish_gates(gates, bars.report)
            self._note(bars, [industry])
            return cities

    def finish_cities(self, begun: Runs) -> list[Built]:
        """Two L2, side by side: the same events go to other departments."""
        with self.stage.screen.step("Build and gate an L2 for each of two cities") as bars:
            return self._note(bars, self.stage.hub.finish(begun, bars.report))

    def _add(self, name: str, rows: Iterable[Row], bars: Bars) -> dict[str, int]:
        return self.stage.hub.add_rows(name, rows, bars.report)

    def _note(self, bars: Bars, built: Sequence[Built]) -> list[Built]:
        self.built |= {one.name: one for one in built}
        found = " (found, not built again)" if all(one.cached for one in built) else ""
        bars.summary = f"{', '.join(one.ref for one in built)}{found}"
        return list(built)

    def serve(self, cities: Sequence[Built]) -> None:
        """Sign both L2 and serve them by one engine."""
        with self.stage.screen.step("Sign both and serve them on one base at one site") as bars:
            for one in cities:
                self.stage.hub.client.release(one.ref)
                self.stage.hub.roll_out(one.ref, [SITE], one.name, bars.report)
            bars.summary = f"{', '.join(one.ref for one in cities)} serving at {SITE}"

    def measure(self, title: str, served_as: str, rows: Sequence[Row]) -> Score:
        """One score, through the site's own address."""
        with self.stage.screen.step(title) as bars:
            score = score_city(self.site, served_as, rows, bars.report)
            bars.summary = f"{score.score:.1%} of {len(rows)} tickets"
            return score

    def test_rows(self, mix: Mix) -> list[Row]:
        """Tickets whose places, wordings and mixes no training saw."""
        return list(ticket_rows(mix, NUM_TEST, self.stage.seed + 1000))

    @cached_property
    def calls(self) -> list[Row]:
        """What people call about once the festival has begun."""
        mix = Mix(HARBIN, Split.TRAIN, NEW_SHARE)
        return list(ticket_rows(mix, NUM_CALLS, self.stage.seed + 2000))

    def work_in_winter(self) -> int:
        """The festival begins; the site goes on and returns what it is unsure of."""
        with self.stage.screen.step("Winter in Harbin: half of the calls are new") as bars:
            self.stage.screen.say(
                "Ice that breaks, prices that jump, crowds: no category for them yet."
            )
            read_tickets(
                self.site, CHANGED, self.calls, sample=True, callers=CALLERS, report=bars.report
            )
            wait_until_sent(self.site, bars.report)
            num_returned = count_returned(self.stage.home / SITE / "egress.jsonl")
            bars.summary = f"{num_returned} of {len(self.calls)} tickets returned"
            return num_returned

    def review(self) -> int:
        """A stand-in reviewer labels at most MAX_LABELS, in the queue's order."""
        with self.stage.screen.step("A stand-in reviewer notes what those were about") as bars:
            truth = {row["prompt"]: row["label"] for row in self.calls}
            reviewer = Reviewer(
                self.stage.hub.client,
                SITE,
                self.built[CHANGED].digest,
                lambda row: truth[row["prompt"]],
            )
            num_labels, num_before = reviewer.label(MAX_LABELS, bars.report)
            bars.summary = labels_summary(num_labels, num_before)
            return num_labels

    def begin_random_arm(self, num_labels: int) -> Runs:
        """For comparison the same update begins to learn, from labels of calls chosen at random."""
        order = np.random.default_rng(self.stage.seed + 3000).permutation(len(self.calls))
        rows = [self.calls[index] for index in islice(order.tolist(), num_labels)]
        name = f"{self._dataset}-random"
        versions = self.stage.hub.add_rows(name, rows, silent, holdout=HOLDOUT)
        recipe = random_arm_recipe(self._recipe(), self._dataset, "exact_match", 0.1)
        return self.stage.hub.begin([repin(recipe, versions)])

    def begin_improvement(self) -> str:
        """The loop begins to make a new L2 of what was reviewed; the improvement's id."""
        return self.stage.hub.begin_improvement(
            {
                "recipe": self._recipe(),
                "dataset": self._dataset,
                "family": "text",
                "sites": [SITE],
                "served_as": CHANGED,
                "from_site": SITE,
                "holdout": HOLDOUT,
            }
        )

    def finish_improvement(self, improvement_id: str) -> None:
        """Wait until the loop has brought it to the site."""
        with self.stage.screen.step("The loop tunes, gates, signs and ships a new L2") as bars:
            built = self.stage.hub.finish_improvement(improvement_id, bars.report)
            self.built[f"{CHANGED}-winter"] = built
            bars.summary = f"{built.ref} serving at {SITE}"

    def gate_random_arm(self, begun: Runs) -> tuple[Built, Gates]:
        """The one from random labels, once it has learned; its gates are measured from then on."""
        title = "For comparison: wait for an L2 from random labels"
        with self.stage.screen.step(title) as bars:
            (built,) = self.stage.hub.wait_for(begun, bars.report)
            self._note(bars, [built])
            return built, self.stage.hub.begin_gates([built])

    def serve_random_arm(self, built: Built, gates: Gates) -> None:
        """Serve it too where it passes its gates, under a name of its own."""
        title = "For comparison: serve the L2 from random labels beside it"
        with self.stage.screen.step(title) as bars:
            self.stage.hub.finish_gates(gates, bars.report)
            self.stage.hub.client.release(built.ref)
            self.stage.hub.roll_out(built.ref, [SITE], RANDOM, bars.report)
            bars.summary = f"{built.ref} serving at {SITE}"

    @property
    def _dataset(self) -> str:
        """Where labels go; a new version of L2 errs elsewhere, so it gets a set of its own."""
        version = self.built[CHANGED].version
        return RETURNED if version == 1 else f"{RETURNED}-v{version}"

    def _recipe(self) -> str:
        text = recipe_text("harbin-hotline-winter", self.built["government"])
        return re.sub(rf"\b{RETURNED}\b", self._dataset, text)

    def trace(self) -> list[dict[str, Any]]:
        """From what runs at the site for Harbin back to its samples."""
        with self.stage.screen.step("Trace Harbin's new L2 back to its samples") as bars:
            steps = trace_of(self.stage.hub.client, SITE, CHANGED)
            bars.summary = " ← ".join(dict.fromkeys(str(step["kind"]) for step in steps))
            return steps

    def other_answers(self, rows: Sequence[Row]) -> list[tuple[str, str]]:
        """What the other city's stack says, and its digest."""
        notes = read_tickets(self.site, OTHER, rows[:NUM_COMPARED], sample=False)
        return [(note.text, note.stack_digest) for note in notes]


@dataclass(frozen=True, slots=True)
class Begun:
    """A story whose L1 is learning."""

    story: HotlineStory
    industry: Runs


def begin(stage: Stage) -> Begun:
    """The story's beginning, at a hub with one freshly joined site: its L1 learns from then on,
    whatever else is told meanwhile."""
    story = HotlineStory(stage)
    return Begun(story, story.begin_industry(story.import_base()))


def tell(begun: Begun) -> Told[HotlineScores]:
    """The rest of the story."""
    story = begun.story
    story.serve(story.finish_cities(story.finish_industry(begun.industry)))
    random_runs = story.begin_random_arm(MAX_LABELS)  # it learns while the site is asked
    usual = story.test_rows(Mix(HARBIN, Split.HELDOUT))
    winter = story.test_rows(Mix(HARBIN, Split.HELDOUT, NEW_SHARE))
    other = story.test_rows(Mix(SHENZHEN, Split.HELDOUT))
    before = story.measure("Read held-out tickets of Harbin", CHANGED, usual)
    answers = story.other_answers(other)
    num_returned = story.work_in_winter()
    random_gates = story.gate_random_arm(random_runs)  # measured while the site is asked again
    after_drift = story.measure("Read held-out tickets of the winter", CHANGED, winter)
    num_labels = story.review()
    if num_labels < MAX_LABELS:
        random_gates = story.gate_random_arm(story.begin_random_arm(num_labels))
    improvement_id = story.begin_improvement()
    # Both bring one adapter of the same size: `update_bytes` are those of whichever comes last.
    story.serve_random_arm(*random_gates)
    random_arm = story.measure("Read them with the L2 from random labels", RANDOM, winter)
    story.finish_improvement(improvement_id)
    after_update = story.measure("Read them with the loop's L2", CHANGED, winter)
    other_score = story.measure("Read held-out tickets of Shenzhen", OTHER, other)
    scores = HotlineScores(
        before_drift=before,
        after_drift=after_drift,
        after_update=after_update,
        random_arm=random_arm,
        num_returned=num_returned,
        num_labels=num_labels,
        num_test=NUM_TEST,
        other_city_after_update=other_score,
    )
    same = story.other_answers(other) == answers
    update_bytes = {SITE: bytes_fetched(story.stage.hub.client, SITE)}
    return Told(scores, story.built, update_bytes, story.trace(), same)
