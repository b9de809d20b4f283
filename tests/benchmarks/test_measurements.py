"""The measurements in the small: real parts, and what is concluded from their figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.check_in import Plan as CheckInPlan
from benchmarks.check_in import conclude as conclude_check_in
from benchmarks.rig.classifier import build_base, crops, random_layer
from benchmarks.rig.holding import Holding
from benchmarks.rig.merged import plain_graph, write_merged
from benchmarks.rig.open_loop import Outcome
from benchmarks.rig.shipping import Fetching, Pair
from benchmarks.vision_scenarios import Plan as ScenariosPlan
from benchmarks.vision_scenarios import SidesDiffer, require_alike
from benchmarks.vision_scenarios import conclude as conclude_scenarios
from benchmarks.vision_update import conclude as conclude_update

from dizuo.artifacts.model import Level

ROOT = Path(__file__).parents[2]


def last_line(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


# check_in


def test_sites_check_in_with_a_real_hub() -> None:
    said = last_line("benchmarks.check_in", "--sites", "6", "--seconds", "2", "--period", "1")
    assert said["name"] == "check_in"
    assert said["num_calls"] == 12
    assert said["num_errors"] == 0
    assert said["met"] is None
    assert 0 < said["p50_ms"] <= said["p95_ms"] <= said["p99_ms"] == said["measured"]


@pytest.mark.parametrize(
    ("num_sites", "seconds", "errors", "met"),
    [
        (10_000, (0.1,) * 200, (), True),
        (10_000, (0.1,) * 90 + (0.3,) * 10, (), False),
        (10_000, (0.1,) * 200, ("status 503",), False),
        (9_999, (0.1,) * 200, (), None),
    ],
)
def test_check_in_is_met_only_at_the_aims_size_without_errors(
    num_sites: int, seconds: tuple[float, ...], errors: tuple[str, ...], met: bool | None
) -> None:
    plan = CheckInPlan(num_sites, 30, 30, 64, reconnects=False)
    outcome = Outcome(seconds, errors, wall_seconds=30, cpu_seconds=3)
    assert conclude_check_in(plan, outcome, hub_cpu_seconds=15, hub_rss_bytes=1).met is met


def test_connections_are_few_enough_to_be_kept() -> None:
    assert CheckInPlan(10_000, 30, 30, 64, reconnects=False).num_connections == 64
    assert CheckInPlan(300, 30, 30, 64, reconnects=False).num_connections == 10
    assert CheckInPlan(5, 30, 30, 64, reconnects=False).num_connections == 1


# vision_scenarios


def holding(rss_bytes: int, per_second: float, answer: float = 0.5) -> Holding:
    return Holding(20, 10, rss_bytes, 1.0, per_second, per_second, 1.0, 2.0, {"a": [answer]})


def scenarios(shared: Holding, merged: Holding, count: int = 20) -> Any:
    plan = ScenariosPlan("resnet-18", (1, count), 8, 5.0, 1)
    one = holding(100, 10)
    held = {(1, "shared"): [one], (1, "merged"): [one]}
    held |= {(count, "shared"): [shared], (count, "merged"): [merged]}
    return conclude_scenarios(plan, held, {})


@pytest.mark.parametrize(
    ("shared", "merged", "count", "met"),
    [
        (holding(100, 50), holding(500, 10), 20, True),
        (holding(100, 9), holding(500, 10), 20, False),
        (holding(101, 50), holding(500, 10), 20, False),
        (holding(100, 50), holding(500, 10), 5, None),
    ],
)
def test_scenarios_are_met_only_in_memory_and_requests(
    shared: Holding, merged: Holding, count: int, met: bool | None
) -> None:
    assert scenarios(shared, merged, count).met is met


def test_sides_that_answer_differently_are_not_compared() -> None:
    require_alike(holding(1, 1, 0.5), holding(1, 1, 0.505))
    with pytest.raises(SidesDiffer):
        require_alike(holding(1, 1, 0.5), holding(1, 1, 0.52))


def test_both_sides_hold_the_same_scenarios() -> None:
    said = last_line(
        "benchmarks.vision_scenarios",
        *("--architecture", "resnet-toy", "--scenarios", "2"),
        *("--seconds", "0.2", "--repeats", "1"),
    )
    assert [one["side"] for one in said["figures"]] == ["merged", "shared"]
    assert all(one["num_scenarios"] == 2 for one in said["figures"])
    assert said["met"] is None
    assert said["measured"] == said["memory_ratio"] > 0


def test_a_merged_model_is_another_one_for_each_scenario(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    base = build_base("resnet-toy", tmp_path / "base")
    plain = plain_graph(base)
    sizes, contents = set(), set()
    for name in ("a", "b"):
        layer = random_layer(base, Level.L1, 2, tmp_path / name)
        path = write_merged(plain, layer, tmp_path / f"{name}.onnx")
        sizes.add(path.stat().st_size)
        contents.add(path.read_bytes())
    assert (len(sizes), len(contents)) == (1, 2)


def test_crops_are_always_the_same_pictures() -> None:
    assert crops(3) == crops(3)
    assert len({row["image"] for row in crops(3)}) == 3


# vision_update


@pytest.mark.parametrize(
    ("rank", "whole_bytes", "met"), [(8, 2500, True), (8, 2499, False), (4, 9000, None)]
)
def test_an_update_is_judged_at_rank_8(rank: int, whole_bytes: int, met: bool | None) -> None:
    pair = Pair(rank, [Fetching(100, 0.1)], [Fetching(whole_bytes, 0.5)])
    result = conclude_update([pair], {})
    assert result.met is met
    assert result.measured == whole_bytes / 100


@pytest.mark.slow
def test_an_update_brings_the_layers_files_and_its_documents() -> None:
    said = last_line(
        "benchmarks.vision_update",
        *("--architecture", "resnet-toy", "--rank", "2", "--repeats", "1"),
    )
    (figure,) = said["figures"]
    files = sum(said["layer_bytes"]["2"].values())
    assert files < figure["update_bytes"] < files + 20_000
    assert figure["whole_bytes"] > figure["update_bytes"]
