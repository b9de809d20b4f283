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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from benchmarks.rig import hotline, meters
from benchmarks.rig.curves import AIM_SHARE, SIDES, Curve, code_digest, together
from benchmarks.rig.drifts import Drift
from benchmarks.rig.learning import right_answers
from benchmarks.rig.machine import machine
from benchmarks.rig.result import Result, publish, run
from benchmarks.rig.reviewing import Desk
from dizuo.cli.output import say
from dizuo.core.errors import InvalidInput
from dizuo.datasets.content import input_digest
from dizuo.families.base import Row
from dizuo.families.text.lessons import MIN_ROWS

AIM_RATIO = 2.0
AIM_DRIFTS = 3
SIZES = (25, 50, 100, 200, 300)


@dataclass(frozen=True, slots=True)
class Family:
    """The names of its drifts, and what makes them of a seed, with what serves before."""

    changes: Iterable[str]
    drifts: Callable[[int, Path], Iterator[Drift]]


FAMILIES: Mapping[str, Family] = {
    "vision": Family(meters.CHANGES, meters.drifts),
    "text": Family(hotline.CHANGES, hotline.drifts),
}


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
            help="Keep here what each drift and seed gave, and go on from what is there; what other"
            " code gave is refused."
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
    return [together(some) for some in found.values()]


def curves_of(family: str, seed: int, plan: Plan, scratch: Path) -> list[Curve]:
    """Every wanted drift of a family with one seed: as it was kept, or measured and kept now."""
    names = [name for name in FAMILIES[family].changes if not plan.drifts or name in plan.drifts]
    shelf = None if plan.keep is None else _Shelf(plan.keep, f"{family}-{seed}", plan.sizes)
    found = {} if shelf is None else shelf.read(names)
    if len(found) < len(names):
        say(f"Building what serves before the drifts of {family}, seed {seed} ...")
        folder = scratch / f"{family}-{seed}"
        for drift in FAMILIES[family].drifts(seed, folder):
            if drift.name not in names or drift.name in found:
                continue
            trial = Trial(family, drift, plan.sizes, seed, folder / f"trial-{drift.name}")
            found[drift.name] = trial.curve()
            if shelf is not None:
                shelf.keep(found[drift.name])
    return [found[name] for name in names]


class _Shelf:
    """The curves of a family's seed that are kept in a folder, those of this code alone."""

    def __init__(self, folder: Path, title: str, sizes: Sequence[int]) -> None:
        self._title, self._code = title, code_digest()
        self._folder, self._sizes = folder, "-".join(map(str, sizes))

    def _path(self, drift: str) -> Path:
        return self._folder / f"{self._title}-{drift}-{self._sizes}.npz"

    def read(self, drifts: Sequence[str]) -> dict[str, Curve]:
        """Those of these drifts that are there.

        Raises:
            InvalidInput: other code measured one.
        """
        found = {
            name: Curve.read(self._path(name), self._code)
            for name in drifts
            if self._path(name).exists()
        }
        for name in found:
            say(f"{self._title}, {name}: measured before")
        return found

    def keep(self, curve: Curve) -> None:
        """Keep one, so that it need not be measured again."""
        curve.write(self._path(curve.drift), self._code)


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
