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
from dizuo.demo.hotline.asking import CALLERS, Reading, read_tickets, score_city
from dizuo.demo.hotline.cities import HARBIN, SHENZHEN
from dizuo.demo.hotline.copying import varied_rows
from dizuo.demo.hotline.government import GOVERNMENT
from dizuo.demo.hotline.model import Desk, Row, Split
from dizuo.demo.hotline.tickets import Mix, ticket_rows
from dizuo.demo.hub import Built, Gates, Rollout, Runs, recipe_text
from dizuo.demo.measure import Score, StoryScores
from dizuo.demo.promises import Promise
from dizuo.demo.samples import Reviewer, count_returned, labels_summary, wait_until_sent
from dizuo.demo.screen import Bars
from dizuo.demo.story import (
    Stage,
    Told,
    bytes_fetched,
    lenient,
    random_arm_recipe,
    trace_of,
)
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
DATA = "synthetic"
NEW_SHARE = 0.5
HOLDOUT = 0.15
NUM_STEPS = 16
_RANDOM_EXACT_MATCH = 0.1


@dataclass(frozen=True, slots=True)
class Sizes:
    """With how many tickets the story is told.

    L1 learns from `government`, each city's L2 from `city`; a gate asks `suite`, and each score
    `test`. In winter there are `calls`, of which at most `labels` are labelled; the other city
    answers `compared` before and after. Where the layers learn from too few to be good, gates are
    `lenient`: they ask for no share of right answers, and not how quick these are.
    """

    government: int
    city: int
    suite: int
    calls: int
    labels: int
    test: int
    compared: int
    lenient: bool = False


FULL = Sizes(government=6400, city=1600, suite=200, calls=960, labels=600, test=500, compared=60)
"""What the promises are about."""
SMALL = Sizes(
    government=320,
    city=160,
    suite=20,
    calls=80,
    labels=80,
    test=24,
    compared=8,
    lenient=True,
)
"""The same steps in a minute or two, whose scores mean nothing."""
PROMISE = Promise(
    things="made-up tickets",
    num_test=FULL.test,
    before_drift=0.9,
    after_drift=0.6,
    after_update=0.85,
    num_labels=FULL.labels,
)


@dataclass(frozen=True, slots=True)
class HotlineScores(StoryScores):
    """Exact match of the whole JSON in the changed city, and in the other one after the update."""

    other_city_after_update: Score


@dataclass(frozen=True, slots=True)
class Confidence:
    """The mean confidence of the changed city's answers, for each of its scores."""

    before_drift: float
    after_drift: float
    after_update: float


@dataclass(frozen=True, slots=True)
class HotlineTold(Told[HotlineScores]):
    """What the story came to, and how sure the answers were."""

    confidence: Confidence


@dataclass
class HotlineStory:
    """The story's steps in their order; each leaves what the next ones need."""

    stage: Stage
    sizes: Sizes
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
            versions = self._add_tickets(GOVERNMENT, self.sizes.government, bars)
            begun = self.stage.hub.begin([repin(self._text("government", base), versions)])
            for _, desk in CITIES:
                self.tickets |= self._add_tickets(desk, self.sizes.city, bars)
            bars.summary = f"{self.sizes.government} made-up tickets to learn"
            return begun

    def _text(self, name: str, parent: Built) -> str:
        """A recipe, with gates that these sizes can pass."""
        text = recipe_text(name, parent)
        return lenient(text, "exact_match") if self.sizes.lenient else text

    def _add_tickets(self, desk: Desk, num_rows: int, bars: Bars) -> dict[str, int]:
        """The tickets that a layer learns from and those that its gates ask about."""
        seed = self.stage.seed
        learned = self._add(f"{desk.name}-tickets", varied_rows(Mix(desk), num_rows, seed), bars)
        suite = ticket_rows(Mix(desk, Split.HELDOUT), self.sizes.suite, seed)
        return learned | self._add(f"{desk.name}-test", suite, bars)

    def finish_industry(self, begun: Runs) -> Runs:
        """L1 once it has learned and passed its gates. While these are measured the L2 of both
        cities begin to learn on it; returns their runs."""
        with self.stage.screen.step("Wait for L1 and gate it") as bars:
            hub = self.stage.hub
            (industry,) = hub.wait_for(begun, bars.report)
            gates = hub.begin_gates([industry])
            cities = hub.begin(
                [repin(self._text(name, industry), self.tickets) for name, _ in CITIES]
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

    def measure(self, title: str, served_as: str, rows: Sequence[Row]) -> Reading:
        """One score, through the site's own address."""
        with self.stage.screen.step(title) as bars:
            reading = score_city(self.site, served_as, rows, bars.report)
            bars.summary = (
                f"{reading.score.score:.1%} of {len(rows)} made-up tickets, "
                f"mean confidence {reading.confidence:.2f}"
            )
            return reading

    def test_rows(self, mix: Mix) -> list[Row]:
        """Tickets whose places, wordings and mixes no training saw."""
        return list(ticket_rows(mix, self.sizes.test, self.stage.seed + 1000))

    @cached_property
    def calls(self) -> list[Row]:
        """What people call about once the festival has begun."""
        mix = Mix(HARBIN, Split.TRAIN, NEW_SHARE)
        return list(ticket_rows(mix, self.sizes.calls, self.stage.seed + 2000))

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
            bars.summary = f"{num_returned} of {len(self.calls)} made-up tickets returned"
            return num_returned

    def review(self, comparison: Rollout | None) -> int:
        """A stand-in reviewer labels at most `sizes.labels`, in the queue's order. Meanwhile the
        site gets to the comparison, so that what it fetches next is the loop's alone."""
        with self.stage.screen.step("A stand-in reviewer notes what those were about") as bars:
            num_labels, num_before = self._reviewer().label(self.sizes.labels, bars.report)
            bars.summary = labels_summary(num_labels, num_before)
            if comparison:
                self.stage.hub.finish_rollout(comparison, bars.report)
            return num_labels

    def _reviewer(self) -> Reviewer:
        truth = {row["prompt"]: row["label"] for row in self.calls}
        digest = self.built[CHANGED].digest
        return Reviewer(self.stage.hub.client, SITE, digest, lambda row: truth[row["prompt"]])

    def begin_random_arm(self, num_labels: int) -> Runs:
        """For comparison the same update begins to learn, from labels of calls chosen at random."""
        order = np.random.default_rng(self.stage.seed + 3000).permutation(len(self.calls))
        rows = [self.calls[index] for index in islice(order.tolist(), num_labels)]
        name = f"{self._dataset}-random-{num_labels}"
        versions = self.stage.hub.add_rows(name, rows, silent, holdout=HOLDOUT)
        recipe = random_arm_recipe(
            self._recipe(),
            self._dataset,
            name,
            metric="exact_match",
            at_least=0.0 if self.sizes.lenient else _RANDOM_EXACT_MATCH,
        )
        return self.stage.hub.begin([repin(recipe, versions)])

    def match_random_arm(self, begun: Runs) -> Runs:
        """The run of the comparison that learns from as many labels as the loop will have: `begun`,
        or a new one in its place where fewer samples came back than can be labelled."""
        num_labels = min(self.sizes.labels, self._reviewer().count())
        if num_labels == self.sizes.labels:
            return begun
        self.stage.hub.cancel(begun)
        return self.begin_random_arm(num_labels)

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

    def direct_to_random_arm(self, built: Built, gates: Gates) -> Rollout | None:
        """Direct the site to it too, under a name of its own; None where it does not pass its
        gates: that is told, and the story goes on."""
        title = "For comparison: gate and sign the L2 from random labels"
        with self.stage.screen.step(title) as bars:
            if missed := self.stage.hub.gates_missed(gates, bars.report):
                bars.summary = f"{missed[0]} It is not served."
                return None
            self.stage.hub.client.release(built.ref)
            bars.summary = f"{built.ref} signed, on its way to {SITE}"
            return self.stage.hub.begin_rollout(built.ref, [SITE], RANDOM)

    def measure_random_arm(self, comparison: Rollout | None, rows: Sequence[Row]) -> Score | None:
        """Its score, where it is served."""
        title = "Read them with the L2 from random labels"
        if comparison:
            return self.measure(title, RANDOM, rows).score
        with self.stage.screen.step(title) as bars:
            bars.summary = "not served"
        return None

    @property
    def _dataset(self) -> str:
        """Where labels go; a new version of L2 errs elsewhere, so it gets a set of its own."""
        version = self.built[CHANGED].version
        return RETURNED if version == 1 else f"{RETURNED}-v{version}"

    def _recipe(self) -> str:
        text = self._text("harbin-hotline-winter", self.built["government"])
        return re.sub(rf"\b{RETURNED}\b", self._dataset, text)

    def trace(self) -> list[dict[str, Any]]:
        """From what runs at the site for Harbin back to its samples."""
        with self.stage.screen.step("Trace Harbin's new L2 back to its samples") as bars:
            steps = trace_of(self.stage.hub.client, SITE, CHANGED)
            bars.summary = " ← ".join(dict.fromkeys(str(step["kind"]) for step in steps))
            return steps

    def other_answers(self, rows: Sequence[Row]) -> list[tuple[str, str]]:
        """What the other city's stack says, and its digest."""
        notes = read_tickets(self.site, OTHER, rows[: self.sizes.compared], sample=False)
        return [(note.text, note.stack_digest) for note in notes]


@dataclass(frozen=True, slots=True)
class Begun:
    """A story whose L1 is learning."""

    story: HotlineStory
    industry: Runs


def begin(stage: Stage, sizes: Sizes = FULL) -> Begun:
    """The story's beginning, at a hub with one freshly joined site: its L1 learns from then on,
    whatever else is told meanwhile."""
    story = HotlineStory(stage, sizes)
    return Begun(story, story.begin_industry(story.import_base()))


def tell(begun: Begun) -> HotlineTold:
    """The rest of the story."""
    story = begun.story
    story.serve(story.finish_cities(story.finish_industry(begun.industry)))
    random_runs = story.begin_random_arm(story.sizes.labels)  # it learns while the site is asked
    usual = story.test_rows(Mix(HARBIN, Split.HELDOUT))
    winter = story.test_rows(Mix(HARBIN, Split.HELDOUT, NEW_SHARE))
    other = story.test_rows(Mix(SHENZHEN, Split.HELDOUT))
    before = story.measure("Read held-out made-up tickets of Harbin", CHANGED, usual)
    answers = story.other_answers(other)
    num_returned = story.work_in_winter()
    random_runs = story.match_random_arm(random_runs)
    random_gates = story.gate_random_arm(random_runs)  # measured while the site is asked again
    after_drift = story.measure("Read held-out made-up tickets of the winter", CHANGED, winter)
    comparison = story.direct_to_random_arm(*random_gates)
    num_labels = story.review(comparison)
    improvement_id = story.begin_improvement()  # it learns while the comparison is asked
    random_arm = story.measure_random_arm(comparison, winter)
    story.finish_improvement(improvement_id)
    update_bytes = {SITE: bytes_fetched(story.stage.hub.client, SITE)}
    after_update = story.measure("Read them with the loop's L2", CHANGED, winter)
    other_city = story.measure("Read held-out made-up tickets of Shenzhen", OTHER, other)
    scores = HotlineScores(
        data=DATA,
        before_drift=before.score,
        after_drift=after_drift.score,
        after_update=after_update.score,
        random_arm=random_arm,
        num_returned=num_returned,
        num_labels=num_labels,
        num_test=len(winter),
        other_city_after_update=other_city.score,
    )
    confidence = Confidence(before.confidence, after_drift.confidence, after_update.confidence)
    same = story.other_answers(other) == answers
    return HotlineTold(scores, story.built, update_bytes, story.trace(), same, confidence)
