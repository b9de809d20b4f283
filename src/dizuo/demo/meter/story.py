"""The story of the meters: a camera is mounted differently, and the site learns to read again."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from PIL import Image

from dizuo.demo.hub import Built, DemoHub, recipe_text
from dizuo.demo.measure import Score, StoryScores
from dizuo.demo.meter.digits import (
    DRIFT,
    DigitSplit,
    Labelled,
    drift,
    frames,
    png_rows,
    split_digits,
)
from dizuo.demo.meter.reading import Reading, read_meters, score_site
from dizuo.demo.meter.shapes import shape_rows
from dizuo.demo.promises import Promise
from dizuo.demo.samples import Reviewer, count_returned, labels_summary, wait_until_sent
from dizuo.demo.screen import Bars, Screen
from dizuo.demo.story import Stage, Told, bytes_fetched, random_arm_recipe, trace_of
from dizuo.improvements.repin import repin

SITES: Mapping[str, Mapping[str, str]] = {"site1": {}, "site2": {}, "site3": {}}
"""The sites, and what their agents are told beside what all are."""
DRIFTED_SITE = "site3"
SERVED_AS = "meter-reading"
NUM_SHAPES = 6000
NUM_FRAMES = 1200
MAX_LABELS = 300
HOLDOUT = 0.15
NUM_COMPARED = 60
DATA = "real images of handwritten digits, computed drift"
FINAL_STACK = "meter-reading-site3"
PROMISE = Promise(
    things="images",
    num_test=400,
    before_drift=0.93,
    after_drift=0.5,
    after_update=0.9,
    num_labels=MAX_LABELS,
)
NUM_STEPS = 12


@dataclass(slots=True)
class MeterStory:
    """The story's steps in their order; each leaves what the next ones need."""

    hub: DemoHub
    screen: Screen
    seed: int
    digits: DigitSplit = field(init=False)
    built: dict[str, Built] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.digits = split_digits(self.seed)

    def build_base(self) -> Built:
        """L0, from generated shapes and strokes, never from digits."""
        with self.screen.step("Build L0: a base that has only seen generated shapes") as bars:
            rows = shape_rows(NUM_SHAPES, self.seed)
            versions = self.hub.add_images("shapes", rows, bars.report)
            return self._build("shapes", recipe_text("shapes"), versions, bars)

    def build_industry(self, base: Built) -> Built:
        """L1, from clean digits."""
        with self.screen.step("Build and gate L1: reading meters, from clean digits") as bars:
            rows = png_rows(self.digits.training)
            versions = self.hub.add_images("meter-digits", rows, bars.report, holdout=0.2)
            recipe = recipe_text("meter-reading", base)
            return self._build("meter-reading", recipe, versions, bars)

    def _build(self, name: str, recipe: str, versions: Mapping[str, int], bars: Bars) -> Built:
        return self._note(name, self.hub.build(repin(recipe, versions), bars.report), bars)

    def _note(self, name: str, built: Built, bars: Bars) -> Built:
        self.built[name] = built
        bars.summary = f"{built.ref}{' (found, not built again)' if built.cached else ''}"
        return built

    def serve_everywhere(self, industry: Built) -> None:
        """Sign L1 and direct all sites to it."""
        with self.screen.step("Sign L1 and bring it to three sites") as bars:
            self.hub.client.release(industry.ref)
            self.hub.roll_out(industry.ref, list(SITES), SERVED_AS, bars.report)
            bars.summary = f"{industry.ref} signed, serving at {', '.join(SITES)}"

    def measure(self, title: str, site: httpx2.Client, part: Labelled) -> Score:
        """One score, through the site's own address."""
        with self.screen.step(title) as bars:
            score = score_site(site, SERVED_AS, part, bars.report)
            bars.summary = f"{score.score:.1%} of {len(part)} images"
            return score

    def drifted_test(self) -> Labelled:
        """The held-out images as site 3's camera sees them now."""
        test = self.digits.test
        return Labelled(drift(test.images, self.seed + 1000), test.labels)

    def work_with_moved_camera(self, site: httpx2.Client, log: Path) -> tuple[Labelled, int]:
        """The camera was mounted differently; the site goes on and returns what it is unsure of.

        How many came back is counted in `log`, where the site notes what it lets out.
        """
        with self.screen.step("The camera at site 3 is mounted differently") as bars:
            self.screen.say(f"Everything it shows is {DRIFT}.")
            stream = frames(self.digits.stream, NUM_FRAMES, self.seed + 2000)
            read_meters(site, SERVED_AS, stream.images, sample=True, report=bars.report)
            wait_until_sent(site, bars.report)
            num_returned = count_returned(log)
            bars.summary = f"{num_returned} of {len(stream)} frames returned"
            return stream, num_returned

    def review(self, stream: Labelled) -> int:
        """A stand-in reviewer labels at most MAX_LABELS, in the queue's order."""
        with self.screen.step("A stand-in reviewer gives the true labels of those") as bars:
            truth = {
                image.tobytes(): label
                for image, label in zip(stream.images, stream.labels, strict=True)
            }
            reviewer = Reviewer(
                self.hub.client,
                DRIFTED_SITE,
                self.built[SERVED_AS].digest,
                lambda row: truth[_pixels(row)],
            )
            num_labels, num_before = reviewer.label(MAX_LABELS, bars.report)
            bars.summary = labels_summary(num_labels, num_before)
            return num_labels

    def random_arm(self, stream: Labelled, num_labels: int) -> bool:
        """The same update from as many labels of frames chosen at random, for comparison; whether
        it is served: where it does not pass its gates that is told, and the story goes on."""
        with self.screen.step(f"For comparison: an L2 from {num_labels} random labels") as bars:
            order = np.random.default_rng(self.seed + 3000).permutation(len(stream))
            chosen = stream.take(order[:num_labels].tolist())
            rows = png_rows(chosen)
            name = f"{self._dataset}-random"
            versions = self.hub.add_images(name, rows, bars.report, holdout=HOLDOUT)
            recipe = random_arm_recipe(
                self._recipe(), self._dataset, name, metric="accuracy", at_least=0.3
            )
            (built,) = self.hub.wait_for(self.hub.begin([repin(recipe, versions)]), bars.report)
            missed = self.hub.gates_missed(self.hub.begin_gates([built]), bars.report)
            if missed:
                bars.summary = f"{missed[0]} It is not served."
                return False
            self._note("meter-reading-site3-random", built, bars)
            self.hub.client.release(built.ref)
            self.hub.roll_out(built.ref, [DRIFTED_SITE], SERVED_AS, bars.report)
            return True

    def measure_random_arm(self, served: bool, site: httpx2.Client, part: Labelled) -> Score | None:
        """Its score, where it is served."""
        title = "Read them with the random arm's L2"
        if served:
            return self.measure(title, site, part)
        with self.screen.step(title) as bars:
            bars.summary = "not served"
        return None

    def improve(self) -> None:
        """The loop makes an L2 of what was reviewed and brings it to site 3."""
        with self.screen.step("The loop tunes, gates, signs and ships an L2 to site 3") as bars:
            body = {
                "recipe": self._recipe(),
                "dataset": self._dataset,
                "family": "vision",
                "sites": [DRIFTED_SITE],
                "served_as": SERVED_AS,
                "from_site": DRIFTED_SITE,
                "holdout": HOLDOUT,
            }
            improvement_id = self.hub.begin_improvement(body)
            built = self.hub.finish_improvement(improvement_id, bars.report)
            self.built[FINAL_STACK] = built
            bars.summary = f"{built.ref} serving at {DRIFTED_SITE}"

    def trace(self) -> list[dict[str, Any]]:
        """From what runs at site 3 back to its samples."""
        with self.screen.step("Trace what runs at site 3 back to its samples") as bars:
            steps = trace_of(self.hub.client, DRIFTED_SITE, SERVED_AS)
            bars.summary = " ← ".join(dict.fromkeys(str(step["kind"]) for step in steps))
            return steps

    @property
    def _dataset(self) -> str:
        """Where labels go; a new version of L1 errs elsewhere, so it gets a set of its own."""
        version = self.built["meter-reading"].version
        return "meter-site3" if version == 1 else f"meter-site3-v{version}"

    def _recipe(self) -> str:
        text = recipe_text("meter-reading-site3", self.built["meter-reading"])
        return re.sub(r"\bmeter-site3\b", self._dataset, text)

    def answers(self, sites: Mapping[str, httpx2.Client]) -> dict[str, list[Reading]]:
        """What the untouched sites say to the same images."""
        images = self.digits.test.images[:NUM_COMPARED]
        return {
            name: read_meters(client, SERVED_AS, images, sample=False)
            for name, client in sites.items()
            if name != DRIFTED_SITE
        }


def tell(stage: Stage) -> Told[StoryScores]:
    """The whole story, at a hub where three sites of it have freshly joined."""
    story = MeterStory(stage.hub, stage.screen, stage.seed)
    story.serve_everywhere(story.build_industry(story.build_base()))
    sites = {name: stage.sites[name] for name in SITES}
    site = sites[DRIFTED_SITE]
    untouched = story.answers(sites)
    drifted = story.drifted_test()
    before = story.measure("Read held-out meters at site 3", site, story.digits.test)
    log = stage.home / DRIFTED_SITE / "egress.jsonl"
    stream, num_returned = story.work_with_moved_camera(site, log)
    after_drift = story.measure("Read held-out meters with the moved camera", site, drifted)
    num_labels = story.review(stream)
    served = story.random_arm(stream, num_labels)
    random_arm = story.measure_random_arm(served, site, drifted)
    story.improve()
    after_update = story.measure("Read them with the loop's L2", site, drifted)
    scores = StoryScores(
        data=DATA,
        before_drift=before,
        after_drift=after_drift,
        after_update=after_update,
        random_arm=random_arm,
        num_returned=num_returned,
        num_labels=num_labels,
        num_test=len(drifted),
    )
    same = story.answers(sites) == untouched
    update_bytes = {DRIFTED_SITE: bytes_fetched(stage.hub.client, DRIFTED_SITE)}
    return Told(scores, story.built, update_bytes, story.trace(), same)


def _pixels(row: Mapping[str, Any]) -> bytes:
    """The pixels of a returned sample's PNG, as the camera's bytes."""
    image = Image.open(io.BytesIO(base64.b64decode(row["image"]["base64"])))
    return np.asarray(image.convert("L"), dtype=np.uint8).tobytes()
