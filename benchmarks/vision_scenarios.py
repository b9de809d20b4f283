"""Many scenarios on one site: one engine with one base, against one merged model for each.

Both sides answer the same Open Inference Protocol requests in a process of their own, with one
thread, one request at a time. The figures follow from sizes alone, so weights are random.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.rig.classifier import (
    ARCHITECTURES,
    LABELS,
    Built,
    build_base,
    crops,
    random_layer,
)
from benchmarks.rig.holding import Holding, HoldingPlan, hold
from benchmarks.rig.machine import machine
from benchmarks.rig.merged import plain_graph, write_merged
from benchmarks.rig.result import Result, publish, run
from dizuo.agent.engine_process import EnginePlan
from dizuo.artifacts.model import Level
from dizuo.cli.output import say, size
from dizuo.core.errors import DizuoError, InvalidInput

AIM_RATIO = 5.0
AIM_SCENARIOS = 20
TOLERANCE = 0.01
"""How far a probability of the engine may be from that of the merged model."""

SIDES = ("shared", "merged")


class SidesDiffer(DizuoError):
    """The two sides do not answer alike, so comparing them means nothing."""

    code = "benchmark_sides_differ"


@dataclass(frozen=True, slots=True)
class Plan:
    """Which base, how many scenarios at a time, layers of which rank; how long and how often."""

    architecture: str
    counts: tuple[int, ...]
    rank: int
    seconds: float
    repeats: int


def main(
    architecture: Annotated[
        str, typer.Option(help=f"The base: {', '.join(ARCHITECTURES)}.")
    ] = "resnet-18",
    scenarios: Annotated[list[int] | None, typer.Option(min=1, max=100)] = None,
    rank: Annotated[int, typer.Option(min=1, max=64, help="Of L1 and of each L2.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each process is asked.")] = 5.0,
    repeats: Annotated[int, typer.Option(min=1, help="Processes for each figure.")] = 3,
) -> None:
    """Memory and requests per second of 1, 5 and 20 scenarios: one engine against merged models.

    Example: python -m benchmarks.vision_scenarios --architecture vit-tiny --scenarios 20
    """
    if architecture not in ARCHITECTURES:
        raise InvalidInput(f"There is no base {architecture!r}: {', '.join(ARCHITECTURES)}.")
    about = machine()
    plan = Plan(architecture, tuple(sorted(scenarios or (1, 5, 20))), rank, seconds, repeats)
    with tempfile.TemporaryDirectory(prefix="dizuo-scenarios-") as scratch:
        held = measure(plan, Path(scratch))
    result = conclude(plan, held, about)
    columns = ("scenarios", "side", ">memory", ">req/s", ">req/cpu s", ">p50 ms", ">p95 ms")
    publish(result, columns, _rows(result.raw["figures"]))


def measure(plan: Plan, scratch: Path) -> dict[tuple[int, str], list[Holding]]:
    """Build both sides and measure each in turn, so that a busy moment does not hit one alone."""
    say(f"Building {plan.architecture} and {max(plan.counts)} scenarios ...")
    models = _Models.build(plan, scratch)
    held: dict[tuple[int, str], list[Holding]] = {}
    for turn in range(plan.repeats):
        for count in plan.counts:
            say(f"Asking {count} scenarios, turn {turn + 1} of {plan.repeats} ...")
            for side in SIDES:
                done = hold(models.plan(side, count, plan.seconds), scratch)
                held.setdefault((count, side), []).append(done)
            require_alike(held[count, "shared"][-1], held[count, "merged"][-1])
    return held


@dataclass(frozen=True, slots=True)
class _Models:
    """Every scenario in both forms, and the picture they are asked about."""

    scenarios: Mapping[str, Built]
    merged: Mapping[str, Path]
    image: Path

    @classmethod
    def build(cls, plan: Plan, scratch: Path) -> _Models:
        """Base, L1, and as many L2 as are asked for."""
        for name in ("base", "merged"):
            (scratch / name).mkdir()
        base = build_base(plan.architecture, scratch / "base")
        industry = random_layer(base, Level.L1, plan.rank, scratch / "industry")
        names = [f"scenario-{number:03}" for number in range(max(plan.counts))]
        scenarios = {
            name: random_layer(industry, Level.L2, plan.rank, scratch / name) for name in names
        }
        plain = plain_graph(base)
        merged = {
            name: write_merged(plain, scenario, scratch / "merged" / f"{name}.onnx")
            for name, scenario in scenarios.items()
        }
        image = scratch / "picture.jpg"
        image.write_bytes(crops(1)[0]["image"])
        return cls(scenarios, merged, image)

    def plan(self, side: str, count: int, seconds: float) -> HoldingPlan:
        """What one process holds."""
        names = sorted(self.scenarios)[:count]
        stacks = {name: self.scenarios[name].onnx for name in names}
        return HoldingPlan(
            shared=EnginePlan("vision", 1, stacks) if side == "shared" else None,
            merged={} if side == "shared" else {name: self.merged[name] for name in names},
            labels=LABELS,
            image=self.image,
            seconds=seconds,
        )


def require_alike(shared: Holding, merged: Holding) -> None:
    """Both sides give every scenario the same probabilities, within TOLERANCE.

    Raises:
        SidesDiffer: one does not.
    """
    for name, expected in merged.answers.items():
        furthest = float(np.abs(np.subtract(shared.answers[name], expected)).max())
        if furthest > TOLERANCE:
            raise SidesDiffer(f"The two sides differ by {furthest:.3f} in {name}.")


def conclude(
    plan: Plan, held: Mapping[tuple[int, str], Sequence[Holding]], about: Mapping[str, Any]
) -> Result:
    """Medians, and how the sides compare at the largest number of scenarios."""
    figures = [
        {"num_scenarios": count, "side": side, **_medians(some)}
        for (count, side), some in sorted(held.items())
    ]
    found = {(one["num_scenarios"], one["side"]): one for one in figures}
    most = max(plan.counts)
    shared, merged = found[most, "shared"], found[most, "merged"]
    one_merged = found[min(plan.counts), "merged"]
    memory = merged["rss_bytes"] / shared["rss_bytes"]
    requests = shared["requests_per_cpu_second"] / merged["requests_per_cpu_second"]
    met = memory >= AIM_RATIO and requests >= AIM_RATIO
    return Result(
        name="vision_scenarios",
        aim=f"{AIM_RATIO:.0f} times the scenarios in the same memory and per core, "
        f"at {AIM_SCENARIOS} scenarios",
        measured=round(memory, 3),
        unit="times less memory",
        met=met if most >= AIM_SCENARIOS else None,
        raw={
            "memory_ratio": round(memory, 3),
            "memory_ratio_without_interpreter": round(_own(merged) / _own(shared), 3),
            "memory_against_smallest_merged": round(
                shared["rss_bytes"] / one_merged["rss_bytes"], 3
            ),
            "requests_per_core_ratio": round(requests, 3),
            "figures": figures,
            "plan": asdict(plan),
            "machine": dict(about),
        },
    )


def _own(figure: Mapping[str, Any]) -> float:
    return float(figure["rss_bytes"] - figure["rss_before_bytes"])


def _medians(some: Sequence[Holding]) -> dict[str, Any]:
    fields = (
        "rss_before_bytes",
        "rss_bytes",
        "open_seconds",
        "requests_per_second",
        "requests_per_cpu_second",
        "p50_ms",
        "p95_ms",
    )
    return {name: round(median(getattr(one, name) for one in some), 3) for name in fields}


def _rows(figures: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return [
        (
            one["num_scenarios"],
            one["side"],
            size(one["rss_bytes"]),
            f"{one['requests_per_second']:.1f}",
            f"{one['requests_per_cpu_second']:.1f}",
            f"{one['p50_ms']:.1f}",
            f"{one['p95_ms']:.1f}",
        )
        for one in figures
    ]


if __name__ == "__main__":
    run(main)
