"""Updating one scenario on a site: its L2 layer, against the whole merged ONNX model.

Both are stacks in a real hub's registry and are fetched from its `/v2/` over loopback with a site's
credential, the way an agent fetches. Layers come from the real tuner, so golden set, calibration
and manifest count as bytes too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.rig import fleet
from benchmarks.rig.classifier import ARCHITECTURES, Built, build_base, tune_layer
from benchmarks.rig.machine import machine
from benchmarks.rig.merged import plain_graph, write_merged
from benchmarks.rig.result import Result, publish, run
from benchmarks.rig.shipping import Pair, Site, put
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.cli.output import say, size
from dizuo.core.errors import InvalidInput
from dizuo.demo.processes import Fleet
from dizuo.demo.town import running_town

AIM_RANK = 8
AIM_RATIO = 25.0
RANKS = (4, 8, 16)
FAMILY = "vision"
TARGET = "onnx"

_SITE_NAME = "site"
_INDUSTRY_RANK = 8


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
        running_town(scratch, processes, {}, sampler_seed=0) as town,
    ):
        (enrolled,) = fleet.enrol_by_route(town.hub, [_SITE_NAME])
        site = Site(town.hub.url, enrolled, TARGET)
        layout = Layout(scratch / "hub" / "layout")
        below = put(layout, "base", FAMILY, (Level.L0, base.files), None)
        below = put(layout, "industry", FAMILY, (Level.L1, industry.files), below)
        plain = plain_graph(base)
        pairs = []
        for rank, layer in tuned.items():
            update = put(layout, f"scenario-r{rank}", FAMILY, (Level.L2, layer.files), below)
            model = write_merged(plain, layer, scratch / f"merged-r{rank}.onnx")
            merged = (Level.L0, _merged_files(layer, model))
            whole = put(layout, f"merged-r{rank}", FAMILY, merged, None)
            say(f"Fetching rank {rank}, {repeats} times each way ...")
            pairs.append(Pair(rank, *site.fetch_in_turn((update, whole), repeats, scratch)))
    return pairs, {str(rank): _sizes(layer) for rank, layer in tuned.items()}


def _sizes(layer: Built) -> dict[str, int]:
    return {file.path: file.source.stat().st_size for file in layer.files[TARGET]}


def _merged_files(layer: Built, model: Path) -> dict[str, tuple[LayerFile, ...]]:
    """A merged model with the layer's other files in place of its adapter."""
    kept = [file for file in layer.files[TARGET] if file.role is not FileRole.WEIGHTS]
    return {TARGET: (*kept, LayerFile("model.onnx", model, FileRole.WEIGHTS))}


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
