"""`dizuo demo`: run the whole loop on this machine."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import console, print_json
from dizuo.core.errors import DizuoError
from dizuo.demo import meter
from dizuo.demo.hub import DemoHub
from dizuo.demo.processes import Fleet
from dizuo.demo.report import FORMAT, DemoReport
from dizuo.demo.screen import Screen, scores_table, sites_table
from dizuo.demo.town import Town, running_town

REPORT = Path("demo-report.json")
_STEP_START = 1
_STEP_TRACE = 1


class PromiseBroken(DizuoError):
    """The loop ran, and its figures are not what the demo promises."""

    code = "demo_promise_broken"


def demo(
    seed: Annotated[int, typer.Option(help="Which shuffle of the digits, and which noise.")] = 1,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its hub and sites.")] = Path(
        ".dizuo-demo"
    ),
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave hub and sites running and print where.")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Build every layer anew.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the whole loop with real parts: a hub, three sites, real images.

    Leaves demo-report.json in this folder.

    Example: dizuo demo --seed 2 --keep
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # so that a killed demo still ends what it started
    screen = Screen(console(stderr=as_json), meter.NUM_STEPS + _STEP_START + _STEP_TRACE)
    home = (folder / f"seed-{seed}").resolve()
    with ExitStack() as running:
        fleet = running.enter_context(Fleet(home / "logs"))
        with screen.step("Start a hub and three sites") as bars:
            town = running.enter_context(running_town(home, fleet, meter.SITES, sampler_seed=seed))
            bars.summary = town.hub.url
        hub = DemoHub(town.hub, home / "scratch", no_cache)
        story = meter.MeterStory(hub, screen, seed)
        result = meter.tell(story, town.sites, home / meter.DRIFTED_SITE / "egress.jsonl")
        report = _report(screen, town, result, seed)
        report.write(REPORT)
        _show(screen, report, as_json=as_json)
        if keep:
            fleet.keep = True
            _say_where(screen, town, fleet)
    if broken := report.broken_promises():
        raise PromiseBroken(
            f"The demo did not keep what it promises. {' '.join(broken)}",
            next_step=f"The figures are in {REPORT}; try another --seed, or report this one.",
        )


def _leave(_signal: int, _frame: object) -> None:
    raise SystemExit(1)


def _report(screen: Screen, town: Town, result: meter.StoryResult, seed: int) -> DemoReport:
    with screen.step("Trace what runs at site 3 back to its samples") as bars:
        trace = _trace(town)
        bars.summary = " ← ".join(dict.fromkeys(str(step["kind"]) for step in trace))
    return DemoReport(
        seconds=round(screen.seconds, 1),
        seed=seed,
        stacks=[_stack(town.hub.stack(one.name, one.version)) for one in result.built.values()],
        sites=[_site(town.hub.site(name)) for name in town.sites],
        vision=result.scores,
        trace=trace,
        untouched_sites_identical=result.untouched_identical,
        cached={name: one.cached for name, one in result.built.items()},
    )


def _trace(town: Town) -> list[dict[str, Any]]:
    """Every step from the digest that the site says it runs, as `dizuo trace DIGEST` tells it."""
    (running,) = town.hub.site(meter.DRIFTED_SITE)["stacks"]
    found = town.hub.find_stack(running["digest"])
    return town.hub.trace(found["name"], found["version"])


def _stack(one: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("name", "version", "level", "family", "digest", "targets", "bytes_total", "bytes_added")
    return {key: one[key] for key in keys}


def _site(one: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("name", "generation", "state", "bytes_first_install", "bytes_last_update")
    stacks = [{key: s[key] for key in ("name", "version", "digest")} for s in one["stacks"]]
    return {**{key: one[key] for key in keys}, "stacks": stacks}


def _show(screen: Screen, report: DemoReport, *, as_json: bool) -> None:
    if as_json:
        print_json({"format": FORMAT, "report": str(REPORT.resolve()), "seconds": report.seconds})
    screen.console.print()
    screen.console.print(scores_table(report.vision))
    screen.console.print(sites_table(report))
    same = "answer exactly as before" if report.untouched_sites_identical else "answer DIFFERENTLY"
    screen.console.print(
        f"Sites 1 and 2 {same}. {report.seconds:.0f} s in all; {REPORT} is written."
    )


def _say_where(screen: Screen, town: Town, fleet: Fleet) -> None:
    for name, address in town.addresses.items():
        screen.say(f"{name:6} {address}  (process {fleet.processes[name].popen.pid})")
    pids = " ".join(str(process.popen.pid) for process in fleet.processes.values())
    screen.say(f"End them with: kill {pids}")
