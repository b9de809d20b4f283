"""Labels that regain what a drift took: the product's choice of samples, against a random one.

A stack reads what it learned, then its input changes. Its site's sampler returns what it is unsure
of or finds new, a reviewer labels from the top of the hub's queue, and the real tuner makes an L2
of those labels. The other side labels as many rows drawn at random from the same stream.
"""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from benchmarks.rig import hotline, meters
from benchmarks.rig.drifts import Drift
from benchmarks.rig.learning import right_answers
from benchmarks.rig.machine import machine
from benchmarks.rig.result import Result, publish, run
from benchmarks.rig.reviewing import Desk
from dizuo.cli.output import say
from dizuo.core.errors import InvalidInput
from dizuo.core.files import open_atomic
from dizuo.datasets.content import input_digest
from dizuo.families.base import Row
from dizuo.families.text.lessons import MIN_ROWS
from dizuo.gates.bootstrap import wilson

AIM_RATIO = 2.0
AIM_SHARE = 0.95
AIM_DRIFTS = 3
SIZES = (25, 50, 100, 200, 300)
SIDES = ("sampler", "random")
NUM_RESAMPLES = 2000

_CONFIDENCE = 0.95
_ENDS = ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2)

Right = NDArray[np.bool_]
"""Which held-out rows were answered right: shape (seeds, rows), or (seeds, sizes, rows)."""

FAMILIES: Mapping[str, Callable[[int, Path], Iterator[Drift]]] = {
    "vision": meters.drifts,
    "text": hotline.drifts,
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One drift over all seeds: before it, after it, and with each number of labels by each side.

    `num_returned` is what the sampler returned of the stream, for each seed.
    """

    family: str
    drift: str
    sizes: tuple[int, ...]
    usual: Right
    changed: Right
    learned: Mapping[str, Right]
    num_returned: tuple[int, ...] = ()

    def write(self, path: Path) -> None:
        """Keep it in a NumPy archive."""
        about = ("family", "drift", "sizes", "num_returned", "usual", "changed")
        held: dict[str, Any] = {name: getattr(self, name) for name in about}
        held |= {f"learned_{side}": right for side, right in self.learned.items()}
        with open_atomic(path) as stream:
            np.savez(stream, allow_pickle=False, **held)

    @classmethod
    def read(cls, path: Path) -> Curve:
        """What `write` kept."""
        with np.load(path, allow_pickle=False) as held:
            return cls(
                str(held["family"]),
                str(held["drift"]),
                tuple(int(size) for size in held["sizes"]),
                held["usual"],
                held["changed"],
                {side: held[f"learned_{side}"] for side in SIDES},
                tuple(int(num) for num in held["num_returned"]),
            )

    def resampled(self, random: np.random.Generator) -> Curve:
        """With seeds drawn anew, and held-out rows within each; the same ones for both sides."""
        num_seeds, num_rows = self.changed.shape
        seeds = random.integers(num_seeds, size=num_seeds)
        rows = random.integers(num_rows, size=(num_seeds, num_rows))
        return Curve(
            self.family,
            self.drift,
            self.sizes,
            np.take_along_axis(self.usual[seeds], rows, axis=1),
            np.take_along_axis(self.changed[seeds], rows, axis=1),
            {
                side: np.take_along_axis(right[seeds], rows[:, np.newaxis], axis=2)
                for side, right in self.learned.items()
            },
        )

    def accuracies(self, side: str) -> list[float]:
        """The mean accuracy at each size."""
        return [float(mean) for mean in self.learned[side].mean(axis=(0, 2))]

    @property
    def aimed_at(self) -> float:
        """The accuracy at which AIM_SHARE of what was lost is regained."""
        before, after = float(self.usual.mean()), float(self.changed.mean())
        return after + AIM_SHARE * (before - after)

    @property
    def goal(self) -> float:
        """What `needed` asks for: `aimed_at`, or the most that the random side reached, if less."""
        return min(self.aimed_at, self._rising("random")[-1])

    def needed(self, side: str) -> float | None:
        """The number of labels at which a side reaches the goal, interpolated; None if none of the
        sizes is enough."""
        means, goal = self._rising(side), self.goal
        if means[-1] < goal:
            return None
        sizes = [0, *self.sizes]
        place = next(index for index, mean in enumerate(means) if mean >= goal)
        if place == 0:
            return 0.0
        low, high = means[place - 1], means[place]
        part = (goal - low) / (high - low)
        return sizes[place - 1] + part * (sizes[place] - sizes[place - 1])

    def _rising(self, side: str) -> list[float]:
        """The accuracies from no label on, made to never fall: the least squares fit that does
        not (isotonic regression), since labels do not take away and what looks so is chance."""
        means = [float(self.changed.mean()), *self.accuracies(side)]
        return [float(mean) for mean in isotonic_regression(means).x]

    @property
    def ratio(self) -> float:
        """Random's labels over the sampler's; where the sampler does not reach the goal, over the
        largest size, which is the most that the ratio can be."""
        random = self.needed("random") or 0.0
        sampler = self.needed("sampler")
        return random / max(self.sizes[-1] if sampler is None else sampler, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """Every figure, with 95% intervals: Wilson's for accuracies over all seeds, the percentile
        bootstrap over seeds and rows for the ratio."""
        random = np.random.default_rng(0)
        ratios = [self.resampled(random).ratio for _ in range(NUM_RESAMPLES)]
        reached = self.needed("sampler") is not None
        return {
            "family": self.family,
            "drift": self.drift,
            "num_returned": list(self.num_returned),
            "before": _told(self.usual),
            "after": _told(self.changed),
            "aimed_at": round(self.aimed_at, 4),
            "goal": round(self.goal, 4),
            "random_reaches_aim": self.goal == self.aimed_at,
            "sampler_reaches_goal": reached,
            "labels": {
                side: {
                    str(size): _told(self.learned[side][:, place])
                    for place, size in enumerate(self.sizes)
                }
                for side in SIDES
            },
            "by_seed": self._by_seed(),
            "needed": {side: _rounded(self.needed(side)) for side in SIDES},
            "ratio": round(self.ratio, 3),
            "ratio_interval": [round(float(end), 3) for end in np.quantile(ratios, _ENDS)],
        }

    def _by_seed(self) -> list[dict[str, Any]]:
        """The accuracies of each seed; what they differ by, trainings differ by too."""
        return [
            {
                "before": _share(self.usual[seed]),
                "after": _share(self.changed[seed]),
                **{side: [_share(right) for right in self.learned[side][seed]] for side in SIDES},
            }
            for seed in range(len(self.usual))
        ]


def _share(right: Right) -> float:
    return round(float(right.mean()), 4)


def _told(right: Right) -> list[float]:
    """An accuracy, and the ends of its interval."""
    found = wilson(int(right.sum()), right.size, _CONFIDENCE)
    return [round(value, 4) for value in (found.point, found.low, found.high)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def main(
    family: Annotated[
        str | None, typer.Option(help=f"One of {', '.join(FAMILIES)}; all if not given.")
    ] = None,
    size: Annotated[
        list[int] | None, typer.Option(min=20, help="Numbers of labels; 25 to 300 if not given.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Shuffles of everything.")] = 3,
    drift: Annotated[list[str] | None, typer.Option(help="Only these drifts.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Seeds at the same time, a core each.")] = 1,
    *,
    keep: Annotated[
        Path | None,
        typer.Option(
            help="Keep here what each drift and seed gave, and go on from what is there. What is"
            " measured must not have changed since."
        ),
    ] = None,
) -> None:
    """Labels needed to regain 95% of what a drift took: the sampler's choice against random.

    All of it takes about two hours on two cores; with --keep it can be broken off.

    Example: python -m benchmarks.labels --family vision --seeds 2
    """
    if family not in (None, *FAMILIES):
        raise InvalidInput(f"There are no drifts of a family {family!r}: {', '.join(FAMILIES)}.")
    about = machine()
    sizes = tuple(sorted(set(size or SIZES)))
    families = (family,) if family else tuple(FAMILIES)
    plan = Plan(families, sizes, range(1, seeds + 1), frozenset(drift or ()), jobs, keep)
    with tempfile.TemporaryDirectory(prefix="dizuo-labels-") as scratch:
        curves = measure(plan, Path(scratch))
    result = conclude(curves, {"families": families, "seeds": seeds, "machine": about})
    columns = (
        "family",
        "drift",
        "side",
        ">before",
        ">after",
        *(f">{size}" for size in sizes),
        ">needed",
    )
    publish(result, columns, _rows(curves))


@dataclass(frozen=True, slots=True)
class Plan:
    """Whose drifts, how many labels, which shuffles, how many of them at the same time; `drifts`
    names the only ones, if any. What has been measured is kept in the folder `keep`."""

    families: Sequence[str]
    sizes: tuple[int, ...]
    seeds: Sequence[int]
    drifts: Set[str]
    jobs: int
    keep: Path | None = None


def measure(plan: Plan, scratch: Path) -> list[Curve]:
    """Let every drift happen with every seed, and learn from each number of labels on each side;
    `plan.jobs` seeds at a time, each in a process of its own.

    Raises:
        InvalidInput: no drift is wanted that there is.
    """
    parts = [(family, seed) for family in plan.families for seed in plan.seeds]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(plan.jobs, spawn, torch.set_num_threads, (1,)) as pool:
        asked = [pool.submit(curves_of, *part, plan, scratch) for part in parts]
        curves = [curve for one in asked for curve in one.result()]
    if not curves:
        known = ", ".join(plan.families)
        raise InvalidInput(f"{known}: no drift is called {', '.join(sorted(plan.drifts))}.")
    found: dict[tuple[str, str], list[Curve]] = {}
    for curve in curves:
        found.setdefault((curve.family, curve.drift), []).append(curve)
    return [_together(some) for some in found.values()]


def curves_of(family: str, seed: int, plan: Plan, scratch: Path) -> list[Curve]:
    """Every wanted drift of a family with one seed."""
    say(f"Building what serves before the drifts of {family}, seed {seed} ...")
    folder = scratch / f"{family}-{seed}"
    return [
        _curve(Trial(family, drift, plan.sizes, seed, folder / f"trial-{drift.name}"), plan.keep)
        for drift in FAMILIES[family](seed, folder)
        if not plan.drifts or drift.name in plan.drifts
    ]


def _curve(trial: Trial, keep: Path | None) -> Curve:
    """What a trial gives, or gave before."""
    if keep is None:
        return trial.curve()
    sizes = "-".join(str(size) for size in trial.sizes)
    path = keep / f"{trial.family}-{trial.seed}-{trial.drift.name}-{sizes}.npz"
    if path.exists():
        say(f"{path.stem}: measured before")
        return Curve.read(path)
    curve = trial.curve()
    keep.mkdir(parents=True, exist_ok=True)
    curve.write(path)
    return curve


def _together(curves: Sequence[Curve]) -> Curve:
    """The curves of one drift's seeds as one."""
    return Curve(
        curves[0].family,
        curves[0].drift,
        curves[0].sizes,
        np.concatenate([curve.usual for curve in curves]),
        np.concatenate([curve.changed for curve in curves]),
        {side: np.concatenate([curve.learned[side] for curve in curves]) for side in SIDES},
        tuple(num for curve in curves for num in curve.num_returned),
    )


@dataclass(frozen=True, slots=True)
class Trial:
    """One drift with one seed."""

    family: str
    drift: Drift
    sizes: tuple[int, ...]
    seed: int
    folder: Path

    @property
    def _title(self) -> str:
        return f"{self.family}, seed {self.seed}, {self.drift.name}"

    def curve(self) -> Curve:
        """Both sides at every size."""
        stack, stream = self.drift.stack, self.drift.stream
        say(f"{self._title}: {len(stream)} rows for the sampler ...")
        chosen = self._chosen()
        order = np.random.default_rng(self.seed + 3000).permutation(len(stream))
        orders = {"sampler": chosen, "random": _different([stream[place] for place in order])}
        return Curve(
            self.family,
            self.drift.name,
            self.sizes,
            np.asarray([right_answers(stack, self.drift.usual)]),
            np.asarray([right_answers(stack, self.drift.changed)]),
            {side: np.asarray([self._learned(side, orders[side])]) for side in SIDES},
            (len(chosen),),
        )

    def _chosen(self) -> list[Row]:
        """What the site returned, in the order of the hub's queue, with the true labels."""
        engine = self.drift.stack.open()
        try:
            desk = Desk(engine, self.drift.stack.direction, self.folder / "desk", self.seed)
            order = desk.review_order(desk.returned(self.drift.stream))
        finally:
            engine.close()
        truth = {input_digest(row): row for row in self.drift.stream}
        return [truth[digest] for digest in order]

    def _learned(self, side: str, rows: Sequence[Row]) -> list[list[bool]]:
        """Which held-out rows each size's L2 answers right. From fewer rows than a size, since the
        site returned no more, it learns from those; from too few to learn, not at all."""
        right: list[list[bool]] = []
        for size in self.sizes:
            if len(rows[:size]) < MIN_ROWS:
                say(f"{self._title}, {side}: {len(rows)} labels are too few to learn from")
                right.append(right_answers(self.drift.stack, self.drift.changed))
                continue
            folder = self.folder / f"{side}-{size}"
            learned = self.drift.course.learn(rows[:size], folder)
            right.append(right_answers(learned, self.drift.changed))
            shutil.rmtree(folder)
            say(f"{self._title}, {side}, {len(rows[:size])} labels: {np.mean(right[-1]):.3f}")
        return right


def _different(rows: Sequence[Row]) -> list[Row]:
    """Rows in their order, of equal inputs the first: nobody labels an input twice."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(input_digest(row), row)
    return list(found.values())


def conclude(curves: Sequence[Curve], raw: Mapping[str, Any]) -> Result:
    """The least ratio of all drifts; the aim speaks of at least AIM_DRIFTS of each family.

    One drift on which it is missed is enough to miss it. To meet it, the random side must have come
    to AIM_SHARE on all of them.
    """
    figures = [curve.as_dict() for curve in curves]
    least = min(figures, key=lambda one: float(one["ratio"]))
    counts = Counter(curve.family for curve in curves)
    enough = all(counts[family] >= AIM_DRIFTS for family in FAMILIES)
    judged = [one for one in figures if one["random_reaches_aim"]]
    missed = any(one["ratio"] < AIM_RATIO for one in judged)
    shown = enough and (missed or len(judged) == len(figures))
    bound = "" if least["sampler_reaches_goal"] else "at most, "
    return Result(
        name="labels",
        aim=f"half of the labels for {AIM_SHARE:.0%} of what was lost, on each of 3 drifts of each"
        " family",
        measured=least["ratio"],
        unit=f"times fewer labels than random, {bound}on the drift {least['drift']} of"
        f" {least['family']}",
        met=not missed if shown else None,
        raw={**raw, "figures": figures},
    )


def _rows(curves: Sequence[Curve]) -> list[tuple[object, ...]]:
    return [
        (
            curve.family,
            curve.drift,
            side,
            f"{curve.usual.mean():.3f}",
            f"{curve.changed.mean():.3f}",
            *(f"{mean:.3f}" for mean in curve.accuracies(side)),
            "not reached" if (needed := curve.needed(side)) is None else f"{needed:.0f}",
        )
        for curve in curves
        for side in SIDES
    ]


if __name__ == "__main__":
    run(main)
