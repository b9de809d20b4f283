"""The measurements of language models in the small: real parts, and what is concluded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.rig.bare_llama import SLOTS as BARE_SLOTS
from benchmarks.rig.closed_loop import CallFailed, Post, Throughput, ask_all
from benchmarks.rig.language import TARGET, build_base, chats, random_layer, write_merged
from benchmarks.rig.shipping import Fetching, Pair
from benchmarks.runtime import SIDES, Rate
from benchmarks.runtime import Plan as RuntimePlan
from benchmarks.runtime import conclude as conclude_runtime
from benchmarks.scenarios import Memory, Side
from benchmarks.scenarios import Plan as ScenariosPlan
from benchmarks.scenarios import conclude as conclude_scenarios
from benchmarks.update import Measured
from benchmarks.update import Plan as UpdatePlan
from benchmarks.update import conclude as conclude_update
from tests.benchmarks.test_measurements import last_line

from dizuo.artifacts.model import Level
from dizuo.families.text.runtime import open_engine
from dizuo.families.text.slots import SLOTS

TOY = ("--architecture", "qwen3-toy")


def test_layers_of_random_numbers_are_real_ones_and_each_is_another(tmp_path: Path) -> None:
    base = build_base("qwen3-toy", tmp_path / "base")
    layers = [random_layer(base, Level.L1, 2, tmp_path / name) for name in ("s01", "s10")]
    merged = write_merged(layers[0], tmp_path / "merged")
    stacks = {layer.exported.name: layer.exported for layer in layers}
    engine = open_engine(stacks, threads=1)
    alone = open_engine({"merged": merged.exported}, threads=1)
    for chat in chats(["s01", "s10"], 4, 12):
        usage = engine.infer(chat["model"], chat).response["usage"]
        assert usage["completion_tokens"] == 12  # no answer ends by itself
        assert alone.infer("merged", chat).response["usage"] == usage
    engine.close()
    alone.close()
    for name in ("adapter.gguf", "calibration.json", "golden.json"):
        contents = {(layer.exported.top.directory / name).read_bytes() for layer in layers}
        assert len(contents) == 2, name  # or a site would fetch or hold it once for both
    assert {file.path for file in merged.files[TARGET]} >= {"model.gguf", "golden.json"}


def test_both_sides_take_as_many_answers_at_a_time() -> None:
    assert BARE_SLOTS == SLOTS


def test_a_request_that_is_not_answered_ends_the_measurement() -> None:
    with pytest.raises(CallFailed, match=r"127\.0\.0\.1:9/v1 did not answer"):
        ask_all([Post("http://127.0.0.1:9/v1", b"{}")], 1, 1)


# update


def measured(kept_as: Any, rank: int, whole_bytes: int) -> Measured:
    return Measured(kept_as, {}, Pair(rank, [Fetching(100, 0.1)], [Fetching(whole_bytes, 0.5)]))


@pytest.mark.parametrize(
    ("architecture", "rank", "whole_bytes", "best", "met"),
    [
        ("qwen3-0.5b", 8, 2500, 5000, True),
        ("qwen3-0.5b", 8, 2499, 5000, False),
        ("qwen3-0.5b", 8, 2500, 4999, False),
        ("qwen3-0.5b", 4, 9000, 9000, None),
        ("qwen3-0.1b", 8, 9000, 9000, None),
    ],
)
def test_an_update_is_judged_at_rank_8_of_the_aims_model(
    architecture: str, rank: int, whole_bytes: int, best: int, met: bool | None
) -> None:
    figures = [measured("q8_0", 4, best), measured("f16", rank, whole_bytes)]
    result = conclude_update(UpdatePlan(architecture, (4, rank), 1), figures, {})
    assert result.met is met
    assert result.measured == whole_bytes / 100


@pytest.mark.slow
def test_an_update_of_words_brings_the_layers_files_and_its_documents() -> None:
    said = last_line("benchmarks.update", *TOY, "--rank", "2", "--repeats", "1")
    assert [one["kept_as"] for one in said["figures"]] == ["f16", "q8_0"]
    for figure in said["figures"]:
        files = sum(figure["layer_bytes"].values())
        assert files < figure["update_bytes"] < files + 20_000
        assert figure["whole_bytes"] > figure["update_bytes"]
    assert said["met"] is None


# attention


@pytest.mark.slow
def test_a_step_is_timed_with_scores_kept_whole_and_without() -> None:
    said = last_line("benchmarks.attention", "--steps", "2", "--turns", "1")
    seconds = said["seconds_a_step"]
    assert list(seconds) == ["whole", "fused"]
    assert said["measured"] == pytest.approx(seconds["whole"][0] / seconds["fused"][0], rel=0.01)


# scenarios


def throughput(per_second: float) -> Throughput:
    return Throughput(1, per_second, per_second, 1.0, 2.0, ())


def side(engine_bytes: int, mixed: float = 10) -> Side:
    return Side([Memory(engine_bytes, 0, 2 * engine_bytes)], [throughput(10)], [throughput(mixed)])


@pytest.mark.parametrize(
    ("architecture", "count", "shared", "met"),
    [
        ("qwen3-0.1b", 20, side(149, 8), True),
        ("qwen3-0.1b", 20, side(150, 8), False),
        ("qwen3-0.1b", 20, side(149, 7.9), False),
        ("qwen3-0.1b", 5, side(149, 8), None),
        ("qwen3-toy", 20, side(149, 8), None),
    ],
)
def test_scenarios_are_met_only_in_memory_and_mixed_requests(
    architecture: str, count: int, shared: Side, met: bool | None
) -> None:
    plan = ScenariosPlan(architecture, (1, count), 1, 1, 1, 1, 1)
    held = {(1, "shared"): side(90), (1, "merged"): side(100)}
    held |= {(count, "shared"): shared, (count, "merged"): side(900)}
    result = conclude_scenarios(plan, held, {})
    assert result.met is met
    assert result.raw["memory_ratio"] == shared.memory[0].engine_bytes / 100


def test_the_agent_is_part_of_what_a_site_takes() -> None:
    plan = ScenariosPlan("qwen3-0.1b", (1, 20), 1, 1, 1, 1, 1)
    shared = Side([Memory(120, 20, 200)], [throughput(10)], [throughput(9)])
    held = {(1, "shared"): shared, (1, "merged"): side(100), (20, "merged"): side(980)}
    result = conclude_scenarios(plan, held | {(20, "shared"): shared}, {})
    assert result.raw["memory_ratio"] == 1.4
    assert result.raw["memory_ratio_of_engine"] == 1.2
    assert result.raw["peak_ratio"] == 2.2
    assert result.raw["memory_against_all_merged"] == 7
    assert len(result.raw["figures"][0]["turns"]["memory"]) == 1


@pytest.mark.slow
def test_both_sides_answer_for_the_same_language_scenarios() -> None:
    said = last_line(
        "benchmarks.scenarios", *TOY, "--scenarios", "2", "--requests", "8", "--callers", "4"
    )
    assert [one["side"] for one in said["figures"]] == ["merged", "shared"]
    for figure in said["figures"]:
        assert figure["single_num_requests"] == figure["mixed_num_requests"] == 8
    for figure in said["figures"]:  # two generations at once, an old and a new merged model
        assert figure["peak_bytes"] > figure["engine_bytes"] > 0
    assert said["measured"] == said["memory_ratio"]
    assert said["met"] is None


# runtime


@pytest.mark.parametrize(
    ("architecture", "graph", "words", "met"),
    [
        ("qwen3-0.5b", "vit-base", 9.5, True),
        ("qwen3-0.5b", "vit-base", 9.4, False),
        ("qwen3-0.1b", "vit-base", 9.5, None),
        ("qwen3-0.5b", "vit-tiny", 9.5, None),
    ],
)
@pytest.mark.parametrize("slower", SIDES)
def test_the_slowest_side_decides(
    architecture: str, graph: str, words: float, met: bool | None, slower: str
) -> None:
    plan = RuntimePlan(architecture, graph, 1, 1, 1, 1)
    turns = {one: [(Rate(words if one == slower else 10, 1), Rate(10, 1))] for one in SIDES}
    result = conclude_runtime(plan, turns, {})
    assert result.met is met
    assert result.measured == pytest.approx(words / 10)


@pytest.mark.slow
def test_a_site_and_the_bare_engines_answer_the_same_requests() -> None:
    said = last_line(
        *("benchmarks.runtime", *TOY, "--graph", "resnet-toy"),
        *("--requests", "4", "--tokens", "8", "--repeats", "1"),
    )
    assert [one["engine"] for one in said["figures"]] == list(SIDES)
    assert all(one["ratio"] > 0 for one in said["figures"])
    assert said["measured"] == min(one["ratio"] for one in said["figures"])
    assert said["met"] is None
