"""How many sites one hub process holds: check-ins on loopback, answered in what time.

A real `dizuo up`, real credentials, and a generator in a process of its own that sends each site's
check-in when it is due. Hub and generator share this machine's cores.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import typer

from benchmarks.rig import fleet
from benchmarks.rig.machine import machine
from benchmarks.rig.open_loop import Call, Load, Outcome, generate_apart
from benchmarks.rig.result import Result, publish, run
from dizuo.cli.output import say
from dizuo.core.errors import Unavailable
from dizuo.demo.processes import Fleet
from dizuo.demo.town import Town, running_town
from dizuo.edge.wire import EnrolReply

AIM_SITES = 10_000
AIM_PERIOD_SECONDS = 30.0
AIM_P99_MS = 200.0
MAX_BY_ROUTE = 1000

_SEED = 1


class NothingAnswered(Unavailable):
    """Every call of a load failed."""

    code = "benchmark_nothing_answered"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many sites check in, how often, for how long, over how many connections."""

    num_sites: int
    period_seconds: float
    duration_seconds: float
    max_connections: int
    reconnects: bool

    @property
    def rate(self) -> float:
        """Check-ins a second."""
        return self.num_sites / self.period_seconds

    @property
    def num_connections(self) -> int:
        """At least one call a second each, so that the hub does not close them in between."""
        return min(self.max_connections, max(1, math.floor(self.rate)))

    @property
    def is_of_the_aims_size(self) -> bool:
        """Whether the aim speaks of at most this load."""
        whole = self.duration_seconds >= self.period_seconds
        often = self.period_seconds <= AIM_PERIOD_SECONDS
        return self.num_sites >= AIM_SITES and whole and often


def main(
    sites: Annotated[int, typer.Option(min=1, max=10_000, help="How many sites.")] = 1000,
    seconds: Annotated[float, typer.Option(min=1, help="For how long they check in.")] = 30.0,
    period: Annotated[float, typer.Option(min=1, help="How often each does, seconds.")] = 30.0,
    connections: Annotated[int, typer.Option(min=1, max=512, help="At most so many at once.")] = 64,
    reconnect: Annotated[
        bool, typer.Option("--reconnect", help="A new connection for each check-in.")
    ] = False,
) -> None:
    """How many sites one hub process holds, and how fast it answers their check-ins.

    Example: python -m benchmarks.check_in --sites 10000
    """
    about = machine()
    plan = Plan(sites, period, seconds, connections, reconnect)
    with tempfile.TemporaryDirectory(prefix="dizuo-check-in-") as scratch:
        result = measure(plan, Path(scratch))
    result = Result(**{**asdict(result), "raw": {**result.raw, "machine": about}})
    publish(result, ("figure", ">value"), _rows(result.raw))


def measure(plan: Plan, scratch: Path) -> Result:
    """Start a hub, enrol the sites, and let them check in."""
    with (
        Fleet(scratch / "logs") as processes,
        running_town(scratch, processes, {}, sampler_seed=0) as town,
    ):
        say(f"Enrolling {plan.num_sites} sites ...")
        replies = _enrol(town, scratch / "hub", plan.num_sites)
        fleet.settle(scratch / "hub")
        say(f"{plan.rate:.1f} check-ins a second for {plan.duration_seconds:.0f} s ...")
        hub = psutil.Process(town.hub_process.popen.pid)
        before = hub.cpu_times()
        outcome = generate_apart(_load(plan, town.hub.url, replies))
        after = hub.cpu_times()
        hub_cpu_seconds = after.user + after.system - before.user - before.system
        return conclude(plan, outcome, hub_cpu_seconds, hub.memory_info().rss)


def _enrol(town: Town, home: Path, num_sites: int) -> list[EnrolReply]:
    names = [f"site-{number:05}" for number in range(num_sites)]
    if num_sites <= MAX_BY_ROUTE:
        return fleet.enrol_by_route(town.hub, names)
    return fleet.enrol_in_bulk(home, town.hub.url, names)


def _load(plan: Plan, url: str, replies: Sequence[EnrolReply]) -> Load:
    """Each site's first check-in at a random moment of the period, the next a period later."""
    address = urlsplit(url)
    phases = np.random.default_rng(_SEED).uniform(0, plan.period_seconds, len(replies))
    calls = [
        Call(float(due), reply.edge_credential, fleet.check_in_body(turn + 1))
        for reply, phase in zip(replies, phases, strict=True)
        for turn, due in enumerate(np.arange(phase, plan.duration_seconds, plan.period_seconds))
    ]
    return Load(
        host=address.hostname or "",
        port=address.port or 80,
        path="/edge/v1/check-in",
        num_connections=plan.num_connections,
        reconnects=plan.reconnects,
        calls=sorted(calls, key=lambda call: call.due_seconds),
    )


def conclude(plan: Plan, outcome: Outcome, hub_cpu_seconds: float, hub_rss_bytes: int) -> Result:
    """The percentiles of the calls that were answered, and whether the aim is met.

    Raises:
        NothingAnswered: there are none.
    """
    if not outcome.seconds:
        raise NothingAnswered(f"No check-in was answered: {', '.join(set(outcome.errors))}.")
    answered = np.asarray(outcome.seconds) * 1000
    p50, p95, p99 = (float(np.percentile(answered, share)) for share in (50, 95, 99))
    num_calls = len(outcome.seconds) + len(outcome.errors)
    held = not outcome.errors and p99 < AIM_P99_MS
    raw: dict[str, Any] = {
        "num_sites": plan.num_sites,
        "period_seconds": plan.period_seconds,
        "duration_seconds": plan.duration_seconds,
        "due_per_second": round(num_calls / plan.duration_seconds, 2),
        "answered_per_second": round(len(outcome.seconds) / outcome.wall_seconds, 2),
        "num_calls": num_calls,
        "num_errors": len(outcome.errors),
        "errors": sorted(set(outcome.errors)),
        "num_connections": plan.num_connections,
        "reconnects": plan.reconnects,
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        "p99_ms": round(p99, 2),
        "max_ms": round(float(answered.max()), 2),
        "hub_cpu_ms_per_call": round(1000 * hub_cpu_seconds / num_calls, 3),
        "hub_cores_busy": round(hub_cpu_seconds / outcome.wall_seconds, 3),
        "generator_cores_busy": round(outcome.cpu_seconds / outcome.wall_seconds, 3),
        "hub_rss_bytes": hub_rss_bytes,
    }
    return Result(
        name="check_in",
        aim=f"p99 under {AIM_P99_MS:.0f} ms with {AIM_SITES} sites checking in every "
        f"{AIM_PERIOD_SECONDS:.0f} s, 2 cores, no errors",
        measured=raw["p99_ms"],
        unit="ms (p99)",
        met=held if plan.is_of_the_aims_size else None,
        raw=raw,
    )


def _rows(raw: Any) -> list[tuple[str, object]]:
    return [(name, value) for name, value in raw.items() if name not in ("machine", "errors")]


if __name__ == "__main__":
    run(main)
