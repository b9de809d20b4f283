"""Updating one scenario's language model on a site: its L2 layer, against the whole merged model.

Both are stacks in a real hub's registry and are fetched from its `/v2/` over loopback with a site's
credential, the way an agent fetches, each blob checked against its digest; then the agent's own
code lays them out. Weights are random: bytes and seconds do not depend on what they say.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from benchmarks.rig import fleet
from benchmarks.rig.language import (
    ARCHITECTURES,
    TARGET,
    AdapterType,
    Built,
    build_base,
    random_layer,
    write_merged,
)
from benchmarks.rig.machine import machine
from benchmarks.rig.result import Result, publish, run
from benchmarks.rig.shipping import Pair, Shipped, Site, put
from dizuo.agent import generations
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.cli.output import say, size
from dizuo.core.errors import InvalidInput
from dizuo.demo.processes import Fleet
from dizuo.demo.town import running_town
from dizuo.edge.wire import DesiredState, Direction

AIM_RANK = 8
AIM_RATIO = 25.0
AIM_BEST_RATIO = 50.0
AIM_ARCHITECTURE = "qwen3-0.5b"
RANKS = (4, 8, 16)
FAMILY = "text"

_SITE_NAME = "site"
_INDUSTRY_RANK = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """Which base, which ranks, and how many fetches for each figure."""

    architecture: str
    ranks: tuple[int, ...]
    repeats: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One kind of adapter: how it is kept, the bytes of each of its layer's files, and how both
    ways went."""

    kept_as: AdapterType
    layer_bytes: Mapping[str, int]
    pair: Pair

    def as_dict(self) -> dict[str, Any]:
        """Medians, and the files."""
        return {
            "kept_as": self.kept_as,
            **self.pair.as_dict(),
            "layer_bytes": dict(self.layer_bytes),
        }


def main(
    architecture: Annotated[
        str, typer.Option(help=f"The base: {', '.join(ARCHITECTURES)}.")
    ] = AIM_ARCHITECTURE,
    rank: Annotated[list[int] | None, typer.Option(min=1, max=64, help="Ranks of the L2.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Fetches for each figure.")] = 3,
) -> None:
    """Bytes and seconds to bring one scenario's update to a site, against its merged Q4_0 model.

    Example: python -m benchmarks.update --architecture qwen3-0.1b --rank 8 --repeats 1
    """
    if architecture not in ARCHITECTURES:
        raise InvalidInput(f"There is no base {architecture!r}: {', '.join(ARCHITECTURES)}.")
    about = machine()
    plan = Plan(architecture, tuple(rank or RANKS), repeats)
    with tempfile.TemporaryDirectory(prefix="dizuo-update-") as scratch:
        measured = measure(plan, Path(scratch))
    result = conclude(plan, measured, about)
    columns = ("adapter", ">rank", ">update", ">whole", ">ratio", ">update s", ">whole s", ">ratio")
    publish(result, columns, _rows(result.raw["figures"]))


def measure(plan: Plan, scratch: Path) -> list[Measured]:
    """Build every stack, start a hub that serves them, and fetch and lay them out."""
    say(f"Building {plan.architecture}, an L1, the L2 layers, and a merged model ...")
    base = build_base(plan.architecture, scratch / "base")
    industry = random_layer(base, Level.L1, _INDUSTRY_RANK, scratch / "industry")
    layers = {
        (kept_as, rank): random_layer(
            industry, Level.L2, rank, scratch / f"scenario-{kept_as}-r{rank}", kept_as
        )
        for kept_as, rank in product(get_args(AdapterType), plan.ranks)
    }
    # Merged, a layer leaves no trace in the size, so one model stands for all.
    merged = write_merged(next(iter(layers.values())), scratch / "merged")
    with (
        Fleet(scratch / "logs") as processes,
        running_town(scratch, processes, {}, sampler_seed=0) as town,
    ):
        (enrolled,) = fleet.enrol_by_route(town.hub, [_SITE_NAME])
        site = Site(town.hub.url, enrolled, TARGET, bring=_stage)
        layout = Layout(scratch / "hub" / "layout")
        below = _put(layout, "base", Level.L0, base, None)
        below = _put(layout, "industry", Level.L1, industry, below)
        whole = _put(layout, "merged", Level.L0, merged, None)
        measured = []
        for (kept_as, rank), layer in layers.items():
            name = layer.exported.name.replace("_", "-")
            update = _put(layout, name, Level.L2, layer, below)
            say(f"Fetching rank {rank} as {kept_as}, {plan.repeats} times each way ...")
            pair = Pair(rank, *site.fetch_in_turn((update, whole), plan.repeats, scratch))
            measured.append(Measured(kept_as, _sizes(layer), pair))
    return measured


def _put(layout: Layout, name: str, level: Level, built: Built, below: Shipped | None) -> Shipped:
    return put(layout, name, FAMILY, (level, {TARGET: built.files[TARGET]}), below)


def _sizes(layer: Built) -> dict[str, int]:
    return {file.path: file.source.stat().st_size for file in layer.files[TARGET]}


def _stage(layout: Layout, stack: Shipped) -> None:
    """Lay a fetched stack out as an agent does."""
    direction = Direction(
        served_as=stack.name,
        name=stack.name,
        version=1,
        digest=stack.digest,
        family=FAMILY,
        target=TARGET,
    )
    root = layout.root.parent / "generations"
    desired = DesiredState(generation=1, stacks=(direction,))
    generations.stage(layout, root, desired)
    shutil.rmtree(root)


def conclude(plan: Plan, measured: Sequence[Measured], about: Mapping[str, Any]) -> Result:
    """The ratio of bytes at the rank that the aim speaks of, or at the first that was measured,
    with half floats; and the best of all."""
    figures = [one.as_dict() for one in measured]
    halves = [one for one in figures if one["kept_as"] == "f16"]
    at_aim = [one for one in halves if one["rank"] == AIM_RANK]
    chosen = (at_aim or halves)[0]
    best = max(one["bytes_ratio"] for one in figures)
    met = chosen["bytes_ratio"] >= AIM_RATIO and best >= AIM_BEST_RATIO
    return Result(
        name="update",
        aim=f"{AIM_RATIO:.0f} times fewer bytes than the whole merged Q4_0 model at rank "
        f"{AIM_RANK}, {AIM_BEST_RATIO:.0f} at best",
        measured=chosen["bytes_ratio"],
        unit=f"times fewer bytes at rank {chosen['rank']}",
        met=met if at_aim and plan.architecture == AIM_ARCHITECTURE else None,
        raw={
            "best_bytes_ratio": best,
            "figures": figures,
            "fetches": [asdict(one.pair) for one in measured],
            "plan": asdict(plan),
            "machine": dict(about),
        },
    )


def _rows(figures: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return [
        (
            one["kept_as"],
            one["rank"],
            size(one["update_bytes"]),
            size(one["whole_bytes"]),
            f"{one['bytes_ratio']:.1f}",
            f"{one['update_seconds']:.2f}",
            f"{one['whole_seconds']:.2f}",
            f"{one['seconds_ratio']:.1f}",
        )
        for one in figures
    ]


if __name__ == "__main__":
    run(main)
