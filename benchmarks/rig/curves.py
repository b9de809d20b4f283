"""Accuracy over the number of labels, by the product's choice of samples and by a random one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

import benchmarks
import dizuo
from dizuo.core.digests import sha256_file, sha256_json
from dizuo.core.errors import InvalidInput
from dizuo.core.files import open_atomic
from dizuo.gates.bootstrap import wilson

AIM_SHARE = 0.95
SIDES = ("sampler", "random")
NUM_RESAMPLES = 2000

_CONFIDENCE = 0.95
_ENDS = ((1 - _CONFIDENCE) / 2, (1 + _CONFIDENCE) / 2)

Right = NDArray[np.bool_]
"""Which held-out rows were answered right: shape (seeds, rows), or (seeds, sizes, rows)."""


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

    def write(self, path: Path, code: str) -> None:
        """Keep it in a NumPy archive, with the digest of the code that measured it."""
        about = ("family", "drift", "sizes", "num_returned", "usual", "changed")
        held: dict[str, Any] = {name: getattr(self, name) for name in about}
        held |= {f"learned_{side}": right for side, right in self.learned.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_atomic(path) as stream:
            np.savez(stream, allow_pickle=False, code=code, **held)

    @classmethod
    def read(cls, path: Path, code: str) -> Curve:
        """What `write` kept.

        Raises:
            InvalidInput: other code measured it, or it is no such archive.
        """
        try:
            held = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InvalidInput(
                f"{path} is no curve that was kept.", next_step="Remove it, and measure again."
            ) from error
        with held:
            if str(held["code"]) != code:
                raise InvalidInput(
                    f"{path} was measured by other code than this.",
                    next_step="Keep curves in an empty folder, or go back to that commit.",
                )
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


def together(curves: Sequence[Curve]) -> Curve:
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


def code_digest() -> str:
    """The digest of everything that a measurement runs of ours: each file of both packages."""
    roots = [Path(next(iter(package.__path__))) for package in (dizuo, benchmarks)]
    files = [(root, path) for root in roots for path in root.rglob("*") if path.is_file()]
    return sha256_json(
        {
            f"{root.name}/{path.relative_to(root)}": sha256_file(path)
            for root, path in files
            if path.suffix != ".pyc"
        }
    )
