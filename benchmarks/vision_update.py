"""Updating one scenario on a site: its L2 layer, against the whole merged ONNX model.

Both are stacks in a real hub's registry and are fetched from its `/v2/` over loopback with a site's
credential, the way an agent fetches. Layers come from the real tuner, so golden set, calibration
and manifest count as bytes too.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import httpx2
import typer

from benchmarks.rig import fleet
from benchmarks.rig.classifier import ARCHITECTURES, Built, build_base, tune_layer
from benchmarks.rig.machine import machine
from benchmarks.rig.merged import plain_graph, write_merged
from benchmarks.rig.result import Result, publish, run
from dizuo.artifacts.fetch import RegistrySource, fetch_stack
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.artifacts.stacks import StackDraft, compose
from dizuo.cli.output import say, size
from dizuo.core.errors import InvalidInput
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.demo.processes import Fleet
from dizuo.demo.town import running_town
from dizuo.edge.wire import EnrolReply

AIM_RANK = 8
AIM_RATIO = 25.0
RANKS = (4, 8, 16)
TARGET = "onnx"

_SITE_NAME = "site"
_INDUSTRY_RANK = 8


@dataclass(frozen=True, slots=True)
class Shipped:
    """One stack in the hub's registry, and what a site must have fetched before."""

    name: str
    digest: str
    size_bytes: int
    before: Shipped | None = None


@dataclass(frozen=True, slots=True)
class Fetching:
    """What one fetch brought, and in what time."""

    bytes_fetched: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Pair:
    """The same scenario at one rank, both ways; fetched several times each."""

    rank: int
    update: Sequence[Fetching]
    whole: Sequence[Fetching]

    def as_dict(self) -> dict[str, Any]:
        """Medians, and how many times more the whole model is."""
        update_bytes, whole_bytes = (
            int(median(one.bytes_fetched for one in some)) for some in (self.update, self.whole)
        )
        update_seconds, whole_seconds = (
            median(one.seconds for one in some) for some in (self.update, self.whole)
        )
        return {
            "rank": self.rank,
            "update_bytes": update_bytes,
            "whole_bytes": whole_bytes,
            "bytes_ratio": round(whole_bytes / update_bytes, 2),
            "update_seconds": round(update_seconds, 4),
            "whole_seconds": round(whole_seconds, 4),
            "seconds_ratio": round(whole_seconds / update_seconds, 2),
        }


def main(
    architecture: Annotated[
        str, typer.Option(help=f"The base: {', '.join(ARCHITECTURES)}.")
    ] = "resnet-18",
    rank: Annotated[list[int] | None, typer.Option(min=1, max=64, help="Ranks of the L2.")] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Fetches for each figure.")] = 7,
) -> None:
    """Bytes and seconds to bring one scenario's update to a site, against its merged model.

    Example: python -m benchmarks.vision_update --architecture vit-tiny --rank 8
    """
    if architecture not in ARCHITECTURES:
        raise InvalidInput(f"There is no base {architecture!r}: {', '.join(ARCHITECTURES)}.")
    about = machine()
    with tempfile.TemporaryDirectory(prefix="dizuo-update-") as scratch:
        pairs, parts = measure(architecture, tuple(rank or RANKS), repeats, Path(scratch))
    raw = {
        "architecture": architecture,
        "repeats": repeats,
        "layer_bytes": parts,
        "machine": about,
    }
    result = conclude(pairs, raw)
    columns = (">rank", ">update", ">whole", ">ratio", ">update s", ">whole s", ">ratio")
    publish(result, columns, _rows(result.raw["figures"]))


def measure(
    architecture: str, ranks: Sequence[int], repeats: int, scratch: Path
) -> tuple[list[Pair], dict[str, dict[str, int]]]:
    """Build every stack, start a hub that serves them, and fetch. Also the bytes of each file of
    each L2, by rank."""
    say(f"Building {architecture}, an L1, and an L2 of each rank {', '.join(map(str, ranks))} ...")
    (scratch / "base").mkdir()
    base = build_base(architecture, scratch / "base")
    industry = tune_layer(base, Level.L1, _INDUSTRY_RANK, scratch / "industry")
    tuned = {
        rank: tune_layer(industry, Level.L2, rank, scratch / f"scenario-r{rank}") for rank in ranks
    }
    with (
        Fleet(scratch / "logs") as processes,
        running_town(scratch, processes, (), sampler_seed=0) as town,
    ):
        (site,) = fleet.enrol_by_route(town.hub, [_SITE_NAME])
        registry = _Registry(Layout(scratch / "hub" / "layout"), town.hub.url, site)
        below = registry.ship("industry", industry, registry.ship("base", base, None))
        plain = plain_graph(base)
        pairs = []
        for rank, layer in tuned.items():
            update = registry.ship(f"scenario-r{rank}", layer, below)
            model = write_merged(plain, layer, scratch / f"merged-r{rank}.onnx")
            whole = registry.ship_merged(f"merged-r{rank}", layer, model)
            say(f"Fetching rank {rank}, {repeats} times each way ...")
            pairs.append(Pair(rank, *registry.fetch_in_turn((update, whole), repeats, scratch)))
    return pairs, {str(rank): _sizes(layer) for rank, layer in tuned.items()}


def _sizes(layer: Built) -> dict[str, int]:
    return {file.path: file.source.stat().st_size for file in layer.files[TARGET]}


@dataclass(frozen=True, slots=True)
class _Registry:
    """A running hub's registry, from both of its ends."""

    layout: Layout
    url: str
    site: EnrolReply

    def ship(self, name: str, built: Built, below: Shipped | None) -> Shipped:
        """Put a layer's stack into the registry."""
        return self._put(name, built.trained.top.level, built.files, below)

    def ship_merged(self, name: str, layer: Built, model: Path) -> Shipped:
        """Put a merged model in, with the layer's other files in place of its adapter."""
        kept = [f for f in layer.files[TARGET] if f.role is not FileRole.WEIGHTS]
        files = (*kept, LayerFile("model.onnx", model, FileRole.WEIGHTS))
        return self._put(name, Level.L0, {TARGET: files}, None)

    def _put(
        self,
        name: str,
        level: Level,
        targets: Mapping[str, tuple[LayerFile, ...]],
        below: Shipped | None,
    ) -> Shipped:
        parent = below.digest if below else None
        draft = StackDraft(DEFAULT_PROJECT, name, 1, level, "vision", parent, targets)
        digest = compose(self.layout, draft)
        self.layout.tag(f"{DEFAULT_PROJECT}/{name}", "1", digest)
        return Shipped(name, digest, self.layout.path(digest).stat().st_size, below)

    def fetch_in_turn(
        self, stacks: Sequence[Shipped], repeats: int, scratch: Path
    ) -> list[list[Fetching]]:
        """Fetch each stack `repeats` times, one after the other, each time to a new site that has
        what lies below it; the first round, which warms the hub, is not kept."""
        rounds = [
            [self._fetch_to_new_site(one, scratch) for one in stacks] for _ in range(repeats + 1)
        ]
        return [list(some) for some in zip(*rounds[1:], strict=True)]

    def _fetch_to_new_site(self, stack: Shipped, scratch: Path) -> Fetching:
        folder = scratch / "site"
        layout = Layout(folder)
        with httpx2.Client(base_url=self.url) as client:
            if stack.before:
                self._fetch(client, layout, stack.before)
            fetching = self._fetch(client, layout, stack)
        shutil.rmtree(folder)
        return fetching

    def _fetch(self, client: httpx2.Client, layout: Layout, stack: Shipped) -> Fetching:
        repository = f"{DEFAULT_PROJECT}/{stack.name}"
        source = RegistrySource(client, repository, self.site.registry_credential)
        started = time.perf_counter()
        fetched = fetch_stack(source, layout, stack.digest, stack.size_bytes, TARGET)
        return Fetching(fetched.bytes_fetched, time.perf_counter() - started)


def conclude(pairs: Sequence[Pair], raw: Mapping[str, Any]) -> Result:
    """The ratio of bytes at the rank that the aim speaks of, or at the first that was measured."""
    figures = [pair.as_dict() for pair in pairs]
    at_aim = [one for one in figures if one["rank"] == AIM_RANK]
    chosen = (at_aim or figures)[0]
    return Result(
        name="vision_update",
        aim=f"{AIM_RATIO:.0f} times fewer bytes than the whole merged model at rank {AIM_RANK}",
        measured=chosen["bytes_ratio"],
        unit=f"times fewer bytes at rank {chosen['rank']}",
        met=chosen["bytes_ratio"] >= AIM_RATIO if at_aim else None,
        raw={**raw, "figures": figures, "fetches": [asdict(pair) for pair in pairs]},
    )


def _rows(figures: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return [
        (
            one["rank"],
            size(one["update_bytes"]),
            size(one["whole_bytes"]),
            f"{one['bytes_ratio']:.1f}",
            f"{one['update_seconds']:.3f}",
            f"{one['whole_seconds']:.3f}",
            f"{one['seconds_ratio']:.1f}",
        )
        for one in figures
    ]


if __name__ == "__main__":
    run(main)
