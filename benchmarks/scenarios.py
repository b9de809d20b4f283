"""Many language scenarios on one site: one engine with one base, against one merged model for each.

Our side is a real agent with its engine, asked over its API; the other side is llama.cpp's own
servers, one for each merged model, in one process. Figures follow from sizes alone, so weights are
random.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import psutil
import typer

from benchmarks.rig.bare_llama import bare_servers
from benchmarks.rig.closed_loop import (
    Post,
    Throughput,
    ask_all,
    require_as_long,
    with_children,
)
from benchmarks.rig.language import (
    ARCHITECTURES,
    TARGET,
    Built,
    build_base,
    chats,
    context_tokens,
    random_layer,
    write_merged,
)
from benchmarks.rig.machine import machine
from benchmarks.rig.result import Result, publish, run
from benchmarks.rig.shipping import Shipped, put
from benchmarks.rig.site import serving, stage
from dizuo.agent.fleet import Fleet, FleetOptions, start_fleet
from dizuo.agent.generations import Generation
from dizuo.agent.home import AgentHome
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.cli.output import say, size
from dizuo.core.errors import InvalidInput

AIM_MEMORY = 1.5
AIM_MIXED = 0.8
AIM_SCENARIOS = 20
AIM_ARCHITECTURES = ("qwen3-0.1b", "qwen3-0.5b")
COUNTS = (1, 5, 20)
FAMILY = "text"

_RANK = 8
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Plan:
    """Which base, how many scenarios at a time, and how they are asked."""

    architecture: str
    counts: tuple[int, ...]
    num_requests: int
    num_tokens: int
    num_callers: int
    repeats: int
    threads: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in memory, pages that processes share counted once: of a site's engine (or the merged
    models' process) once it has answered, of the agent beside it, and the most that the engines of
    two generations (or the old and the new merged models) held together during a switch."""

    engine_bytes: int
    agent_bytes: int
    engines_at_switch_bytes: int

    def as_dict(self) -> dict[str, int]:
        """With the sums: the agent is part of what a site takes, steadily and at a switch."""
        return {
            **asdict(self),
            "steady_bytes": self.engine_bytes + self.agent_bytes,
            "peak_bytes": self.engines_at_switch_bytes + self.agent_bytes,
        }


@dataclass(slots=True)
class Side:
    """What was measured of one side with so many scenarios; each list has one entry a turn.

    `single` are requests to one scenario alone, `mixed` to all in turn.
    """

    memory: list[Memory] = field(default_factory=list)
    single: list[Throughput] = field(default_factory=list)
    mixed: list[Throughput] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Medians, and the turns that they are of."""
        turns = {
            "memory": [one.as_dict() for one in self.memory],
            "single": [one.as_dict() for one in self.single],
            "mixed": [one.as_dict() for one in self.mixed],
        }
        figures: dict[str, Any] = {
            name: int(median(turn[name] for turn in turns["memory"])) for name in turns["memory"][0]
        }
        for kind in ("single", "mixed"):
            names = turns[kind][0]
            figures |= {f"{kind}_{name}": median(t[name] for t in turns[kind]) for name in names}
        return figures | {"turns": turns}


Key = tuple[int, str]


def main(
    architecture: Annotated[
        str, typer.Option(help=f"The base: {', '.join(ARCHITECTURES)}.")
    ] = "qwen3-0.1b",
    scenarios: Annotated[list[int] | None, typer.Option(min=1, max=100)] = None,
    *,
    requests: Annotated[int, typer.Option(min=1, help="For each figure.")] = 64,
    tokens: Annotated[int, typer.Option(min=1, max=1024, help="Of each answer.")] = 16,
    callers: Annotated[int, typer.Option(min=1, max=64, help="Requests at the same time.")] = 48,
    repeats: Annotated[int, typer.Option(min=1, help="Turns.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Of each engine or server.")] = 1,
) -> None:
    """Memory and requests per second of 1, 5 and 20 scenarios: one base against merged models.

    Example: python -m benchmarks.scenarios --scenarios 5 --requests 40 --callers 16
    """
    if architecture not in ARCHITECTURES:
        raise InvalidInput(f"There is no base {architecture!r}: {', '.join(ARCHITECTURES)}.")
    about = machine()
    counts = tuple(sorted(scenarios or COUNTS))
    plan = Plan(architecture, counts, requests, tokens, callers, repeats, threads)
    with tempfile.TemporaryDirectory(prefix="dizuo-scenarios-") as scratch:
        held = measure(plan, Path(scratch))
    result = conclude(plan, held, about)
    columns = ("scenarios", "side", ">steady", ">at a switch", ">one, req/s", ">mixed, req/s")
    publish(result, (*columns, ">mixed/one", ">mixed p95 s"), _rows(result.raw["figures"]))


def measure(plan: Plan, scratch: Path) -> dict[Key, Side]:
    """Build both sides and measure each in turn, so that a busy moment does not hit one alone."""
    say(f"Building {plan.architecture} and {max(plan.counts)} scenarios ...")
    models = _Models.build(plan, scratch)
    held: dict[Key, Side] = {}
    for turn in range(plan.repeats):
        for count in plan.counts:
            say(f"Asking {count} scenarios, turn {turn + 1} of {plan.repeats} ...")
            shared = held.setdefault((count, "shared"), Side())
            merged = held.setdefault((count, "merged"), Side())
            _ask_shared(plan, models, count, shared)
            _ask_merged(plan, models, count, merged)
            require_as_long(shared.single[-1], merged.single[-1])
            require_as_long(shared.mixed[-1], merged.mixed[-1])
    return held


@dataclass(frozen=True, slots=True)
class _Models:
    """Every scenario in both forms: in the layout of a site, and as a merged model's file."""

    home: Path
    shipped: Sequence[Shipped]
    newer: Shipped
    """What takes the place of the first scenario at a switch."""
    merged: Sequence[Path]
    newer_merged: Path

    @classmethod
    def build(cls, plan: Plan, scratch: Path) -> _Models:
        """Base, L1, and as many L2 as are asked for. One merged model is written, and copied for
        the others: what its weights say does not matter, and no memory is shared by copies."""
        home = scratch / "site"
        AgentHome(home).create()
        layout = Layout(AgentHome(home).layout)
        base = build_base(plan.architecture, scratch / "base")
        industry = random_layer(base, Level.L1, _RANK, scratch / "industry")
        below = _put(layout, Level.L0, base, None)
        below = _put(layout, Level.L1, industry, below)
        names = [f"scenario-{number:03}" for number in range(max(plan.counts) + 1)]
        built = [random_layer(industry, Level.L2, _RANK, scratch / name) for name in names]
        *shipped, newer = (_put(layout, Level.L2, one, below) for one in built)
        model = write_merged(built[0], scratch / "merged").exported.base.directory / "model.gguf"
        merged = [scratch / f"{name}.gguf" for name in names]
        for path in merged:
            shutil.copyfile(model, path)
        return cls(home, shipped, newer, merged[:-1], merged[-1])

    def generation(self, count: int, number: int) -> Generation:
        """So many scenarios; the second generation has another one in place of the first."""
        stacks = [*self.shipped[:count]]
        if number > 1:
            stacks[0] = self.newer
        return stage(self.home, FAMILY, TARGET, stacks, number)


def _put(layout: Layout, level: Level, built: Built, below: Shipped | None) -> Shipped:
    layer = (level, {TARGET: built.files[TARGET]})
    return put(layout, built.exported.name, FAMILY, layer, below)


def _posts(plan: Plan, urls: Mapping[str, str]) -> list[Post]:
    """Requests to the named models in turn; where each of them answers is given."""
    return [
        Post(f"{urls[chat['model']]}/v1/chat/completions", json.dumps(chat).encode())
        for chat in chats(sorted(urls), plan.num_requests, plan.num_tokens)
    ]


def _ask(plan: Plan, urls: Mapping[str, str], pid: int, side: Side) -> None:
    one = dict([min(urls.items())])
    ask_all(_posts(plan, urls)[: len(urls)], plan.num_callers, pid)  # warms up
    single = ask_all(_posts(plan, one), plan.num_callers, pid)
    side.single.append(single)
    side.mixed.append(single if urls == one else ask_all(_posts(plan, urls), plan.num_callers, pid))


def _ask_shared(plan: Plan, models: _Models, count: int, side: Side) -> None:
    generation = models.generation(count, 1)
    with serving(models.home, generation, plan.threads) as site:
        urls = {one.name: site.url for one in models.shipped[:count]}
        _ask(plan, urls, site.pid, side)
        agent, *engines = with_children(site.pid)
        engine_bytes, agent_bytes = sum(map(_bytes, engines)), _bytes(agent)
    peak = asyncio.run(_switch(plan, models, count))
    side.memory.append(Memory(engine_bytes, agent_bytes, peak))
    shutil.rmtree(AgentHome(models.home).generations)


def _ask_merged(plan: Plan, models: _Models, count: int, side: Side) -> None:
    window = context_tokens(plan.architecture)
    with bare_servers(models.merged[:count], window, plan.threads) as bare:
        names = [one.name for one in models.shipped[:count]]
        _ask(plan, dict(zip(names, bare.urls, strict=True)), bare.pid, side)
        steady = _bytes(psutil.Process(bare.pid))
        with _watching_memory(psutil.Process()) as most:
            _ask_newer(plan, models, window)
    side.memory.append(Memory(steady, 0, most[0]))


def _ask_newer(plan: Plan, models: _Models, window: int) -> None:
    """Serve the first scenario's successor beside those that serve, and ask it as a probe would."""
    with bare_servers([models.newer_merged], window, plan.threads) as bare:
        urls = {models.newer.name: bare.urls[0]}
        ask_all(_posts(plan, urls)[:1], 1, bare.pid)


async def _switch(plan: Plan, models: _Models, count: int) -> int:
    """Start a second generation beside one that has answered, ask each of its stacks as its probe
    would, then end the first; returns the most bytes that the engines of both held."""
    options = FleetOptions(models.home / "switch.log", plan.threads)
    before = await start_fleet(models.generation(count, 1), options)
    await _ask_each(plan, before)
    after: Fleet | None = None
    with _watching_memory(psutil.Process()) as most:
        after = await start_fleet(models.generation(count, 2), options)
        await _ask_each(plan, after)
        await before.stop(0)
    await after.stop(0)
    return most[0]


async def _ask_each(plan: Plan, fleet: Fleet) -> None:
    for name, route in fleet.routes.items():
        (chat,) = chats([name], 1, plan.num_tokens)
        await route.host.infer(name, json.dumps(chat).encode())


@contextmanager
def _watching_memory(parent: psutil.Process) -> Iterator[list[int]]:
    """The most bytes that a process's children held together, as far as looking often tells."""
    most, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(_LOOK_SECONDS):
            most[0] = max(most[0], sum(map(_bytes, parent.children())))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield most
    finally:
        ended.set()
        watcher.join()


def _bytes(process: psutil.Process) -> int:
    """Bytes in memory, a page that several processes share counted in parts."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0  # it has just ended


def conclude(plan: Plan, held: Mapping[Key, Side], about: Mapping[str, Any]) -> Result:
    """How much more memory the most scenarios take than one merged model, and how many requests
    they answer mixed, of those that one of them answers alone."""
    figures = [
        {"num_scenarios": count, "side": side, **measured.as_dict()}
        for (count, side), measured in sorted(held.items())
    ]
    found = {(one["num_scenarios"], one["side"]): one for one in figures}
    most, least = max(plan.counts), min(plan.counts)
    shared, merged = found[most, "shared"], found[most, "merged"]
    one = found[least, "merged"]["steady_bytes"]
    memory = shared["steady_bytes"] / one
    mixed = shared["mixed_requests_per_second"] / shared["single_requests_per_second"]
    per_cpu = [shared[f"{kind}_requests_per_cpu_second"] for kind in ("mixed", "single")]
    sized = most >= AIM_SCENARIOS and least == 1 and plan.architecture in AIM_ARCHITECTURES
    return Result(
        name="scenarios",
        aim=f"{AIM_SCENARIOS} scenarios in less than {AIM_MEMORY} times the memory of one merged "
        f"model, answering mixed requests at least {AIM_MIXED} times as fast as those of one",
        measured=round(memory, 3),
        unit="times the memory of one merged model",
        met=(memory < AIM_MEMORY and mixed >= AIM_MIXED) if sized else None,
        raw={
            "memory_ratio": round(memory, 3),
            "memory_ratio_of_engine": round(shared["engine_bytes"] / one, 3),
            "peak_ratio": round(shared["peak_bytes"] / one, 3),
            "peak_against_all_merged": round(merged["peak_bytes"] / shared["peak_bytes"], 3),
            "memory_against_all_merged": round(merged["steady_bytes"] / shared["steady_bytes"], 3),
            "mixed_ratio": round(mixed, 3),
            "mixed_ratio_per_cpu": round(per_cpu[0] / per_cpu[1], 3),
            "mixed_against_merged_per_cpu": round(
                per_cpu[0] / merged["mixed_requests_per_cpu_second"], 3
            ),
            "figures": figures,
            "plan": asdict(plan),
            "machine": dict(about),
        },
    )


def _rows(figures: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return [
        (
            one["num_scenarios"],
            one["side"],
            size(one["steady_bytes"]),
            size(one["peak_bytes"]),
            f"{one['single_requests_per_second']:.2f}",
            f"{one['mixed_requests_per_second']:.2f}",
            f"{one['mixed_requests_per_second'] / one['single_requests_per_second']:.2f}",
            f"{one['mixed_p95_seconds']:.2f}",
        )
        for one in figures
    ]


if __name__ == "__main__":
    run(main)
