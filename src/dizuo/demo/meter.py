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

from dizuo.core.progress import Progress, Reporter
from dizuo.demo.digits import DRIFT, DigitSplit, Labelled, drift, frames, png_rows, split_digits
from dizuo.demo.hub import FAMILY, Built, DemoHub, recipe_text
from dizuo.demo.measure import Reading, Score, read_meters, score_site
from dizuo.demo.report import StoryScores
from dizuo.demo.screen import Bars, Screen
from dizuo.demo.shapes import shape_rows
from dizuo.demo.waiting import Patience, wait_for
from dizuo.improvements.repin import repin

SITES = ("site1", "site2", "site3")
DRIFTED_SITE = "site3"
SERVED_AS = "meter-reading"
NUM_SHAPES = 6000
NUM_FRAMES = 1200
MAX_LABELS = 300
HOLDOUT = 0.15
NUM_COMPARED = 60
FINAL_STACK = "meter-reading-site3"
NUM_STEPS = 11


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
        built = self.hub.build(repin(recipe, versions), bars.report)
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
            num_returned = sum('"allowed"' in line for line in log.read_text().splitlines())
            bars.summary = f"{num_returned} of {len(stream)} frames returned"
            return stream, num_returned

    def _samples(self, state: str) -> list[dict[str, Any]]:
        """What site 3 returned about the L1 of this run, the most informative first."""
        wanted: dict[str, str | int | None] = {
            "site": DRIFTED_SITE,
            "state": state,
            "limit": 1000,
        }
        digest = self.built["meter-reading"].digest
        return [s for s in self.hub.client.review_queue(wanted) if s["stack_digest"] == digest]

    def review(self, stream: Labelled) -> int:
        """A stand-in reviewer labels at most MAX_LABELS, the most informative first.

        Samples that an earlier run of the demo returned and labelled are the same samples: their
        labels count among the MAX_LABELS.
        """
        with self.screen.step("A stand-in reviewer gives the true labels of those") as bars:
            truth = {
                image.tobytes(): label
                for image, label in zip(stream.images, stream.labels, strict=True)
            }
            num_before = len(self._samples("reviewed")) + len(self._samples("used"))
            chosen = self._samples("returned")[: max(0, MAX_LABELS - num_before)]
            for number, sample in enumerate(chosen, start=1):
                bars.report(Progress("label", number, len(chosen), "sample"))
                row = self.hub.client.sample(sample["digest"])["row"]
                self.hub.client.review(sample["digest"], {"label": truth[_pixels(row)]})
            reused = f" ({num_before} of them given in an earlier run)" if num_before else ""
            bars.summary = f"{num_before + len(chosen)} labels{reused}"
            return num_before + len(chosen)

    def random_arm(self, stream: Labelled, num_labels: int) -> Built:
        """The same update from as many labels of frames chosen at random, for comparison."""
        with self.screen.step(f"For comparison: an L2 from {num_labels} random labels") as bars:
            order = np.random.default_rng(self.seed + 3000).permutation(len(stream))
            chosen = stream.take(order[:num_labels].tolist())
            rows = png_rows(chosen)
            name = f"{self._dataset}-random"
            versions = self.hub.add_images(name, rows, bars.report, holdout=HOLDOUT)
            recipe = _random_recipe(self._recipe(), self._dataset)
            built = self._build("meter-reading-site3-random", recipe, versions, bars)
            self.hub.client.release(built.ref)
            self.hub.roll_out(built.ref, [DRIFTED_SITE], SERVED_AS, bars.report)
            return built

    def improve(self) -> dict[str, Any]:
        """The loop: reviewed samples → dataset version → tune → gate → release → rollout; done
        once the site serves the result."""
        with self.screen.step("The loop tunes, gates, signs and ships an L2 to site 3") as bars:
            body = {
                "recipe": self._recipe(),
                "dataset": self._dataset,
                "family": FAMILY,
                "sites": [DRIFTED_SITE],
                "served_as": SERVED_AS,
                "from_site": DRIFTED_SITE,
                "holdout": HOLDOUT,
                "no_cache": self.hub.no_cache,
                # In a later run of the demo, what an earlier one labelled is used.
                "min_samples": 0,
            }
            started = self.hub.client.start_improvement(body)
            done = self.hub.wait_for_improvement(started["id"], bars.report)
            run = self.hub.client.run(done["tune_run_id"])
            digest, cached = str(run["outcome"]["digest"]), bool(run["cached"])
            self.built[FINAL_STACK] = Built(str(done["stack"]), digest, cached)
            bars.summary = f"{done['stack']} serving at {DRIFTED_SITE}"
            return done

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


@dataclass(frozen=True, slots=True)
class StoryResult:
    """What the story measured."""

    scores: StoryScores
    untouched_identical: bool
    built: Mapping[str, Built]


def tell(story: MeterStory, sites: Mapping[str, httpx2.Client], egress_log: Path) -> StoryResult:
    """The whole story, at a hub with three freshly joined sites."""
    story.serve_everywhere(story.build_industry(story.build_base()))
    site = sites[DRIFTED_SITE]
    untouched = story.answers(sites)
    drifted = story.drifted_test()
    before = story.measure("Read held-out meters at site 3", site, story.digits.test)
    stream, num_returned = story.work_with_moved_camera(site, egress_log)
    after_drift = story.measure("Read held-out meters with the moved camera", site, drifted)
    num_labels = story.review(stream)
    story.random_arm(stream, num_labels)
    random_arm = story.measure("Read them with the random arm's L2", site, drifted)
    story.improve()
    after_update = story.measure("Read them with the loop's L2", site, drifted)
    scores = StoryScores(
        before_drift=before,
        after_drift=after_drift,
        after_update=after_update,
        random_arm=random_arm,
        num_returned=num_returned,
        num_labels=num_labels,
        num_test=len(drifted),
    )
    same = story.answers(sites) == untouched
    return StoryResult(scores, same, story.built)


def wait_until_sent(
    site: httpx2.Client, report: Reporter, patience: Patience | None = None
) -> None:
    """Wait until a site has decided about every answer and sent what it lets out.

    Raises:
        TookTooLong: it sends no more of them.
    """
    most = 0

    def look() -> tuple[int, bool | None]:
        nonlocal most
        waiting = int(site.get("/status").json()["samples_waiting"])
        most = max(most, waiting)
        report(Progress("return samples", most - waiting, most, "sample"))
        return waiting, None if waiting else True

    wait_for("the samples to be returned", look, patience)


def _random_recipe(recipe: str, dataset: str) -> str:
    """The loop's own recipe under other names, so that both arms differ in their labels alone.

    Only its accuracy gate is lower: the arm is there to be measured, also where it does badly.
    """
    renamed = re.sub(rf"\b{dataset}(?=(-test)?@)", f"{dataset}-random", recipe)
    renamed = re.sub(r"^name: (.*)$", r"name: \1-random", renamed, flags=re.M)
    return re.sub(r"(metric: accuracy, at_least:) [\d.]+", r"\1 0.3", renamed)


def _pixels(row: Mapping[str, Any]) -> bytes:
    """The pixels of a returned sample's PNG, as the camera's bytes."""
    image = Image.open(io.BytesIO(base64.b64decode(row["image"]["base64"])))
    return np.asarray(image.convert("L"), dtype=np.uint8).tobytes()
