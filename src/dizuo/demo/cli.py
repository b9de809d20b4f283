"""`dizuo demo`: run the whole loop on this machine."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import console, print_json
from dizuo.core.errors import DizuoError
from dizuo.demo.hotline import story as hotline
from dizuo.demo.hotline.story import HotlineTold
from dizuo.demo.hub import DemoHub
from dizuo.demo.measure import StoryScores
from dizuo.demo.meter import story as meter
from dizuo.demo.processes import Fleet
from dizuo.demo.report import FORMAT, DemoReport
from dizuo.demo.screen import Screen, scores_table, sites_table
from dizuo.demo.story import Stage, Told
from dizuo.demo.town import Town, running_town

REPORT = Path("demo-report.json")
_STEP_START = 1
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


class PromiseBroken(DizuoError):
    """The loop ran, and its figures are not what the demo promises."""

    code = "demo_promise_broken"


class StoryName(StrEnum):
    """The demo's stories."""

    METER = "meter"
    HOTLINE = "hotline"
    BOTH = "both"


_STORIES = {StoryName.METER: meter, StoryName.HOTLINE: hotline}


@dataclass(frozen=True, slots=True)
class _Told:
    """What was told."""

    vision: Told[StoryScores] | None
    text: HotlineTold | None


def _tell(names: Sequence[StoryName], stage: Stage, sizes: hotline.Sizes) -> _Told:
    """Tell these stories; the hotline's L1 learns while the meters are told."""
    begun = hotline.begin(stage, sizes) if StoryName.HOTLINE in names else None
    vision = meter.tell(stage) if StoryName.METER in names else None
    return _Told(vision, hotline.tell(begun) if begun else None)


def demo(
    *,
    story: Annotated[StoryName, typer.Option(help="Which story to tell.")] = StoryName.BOTH,
    seed: Annotated[int, typer.Option(help="Decides all that is random.")] = 1,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its hub and sites.")] = Path(
        ".dizuo-demo"
    ),
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave hub and sites running and print where.")
    ] = False,
    small: Annotated[
        bool,
        typer.Option("--small", help="Tell the hotline with few tickets, which promise nothing."),
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Build every layer anew.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Run the whole loop with real parts: a hub, its sites, and a story.

    meter: a camera is mounted differently, and a vision model learns to read meters again.
    hotline: a city's telephone hears of things it never heard of, and a language model learns them.
    Leaves demo-report.json in this folder.

    Example: dizuo demo --story hotline --keep
    """
    for number in _ENDINGS:
        signal.signal(number, _leave)  # so that a killed demo still ends what it started
    names = list(_STORIES) if story is StoryName.BOTH else [story]
    sites = {site: more for name in names for site, more in _STORIES[name].SITES.items()}
    num_steps = _STEP_START + sum(_STORIES[name].NUM_STEPS for name in names)
    screen = Screen(console(stderr=as_json), num_steps)
    home = (folder / f"seed-{seed}{'-small' if small else ''}").resolve()
    with ExitStack() as running:
        fleet = running.enter_context(Fleet(home / "logs"))
        with screen.step(f"Start a hub and the sites {', '.join(sites)}") as bars:
            town = running.enter_context(running_town(home, fleet, sites, sampler_seed=seed))
            bars.summary = town.hub.url
        hub = DemoHub(town.hub, home / "scratch", no_cache)
        stage = Stage(hub, town.sites, screen, seed, home)
        told = _tell(names, stage, hotline.SMALL if small else hotline.FULL)
        report = _report(town, told, stage, small=small)
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
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)  # the ending itself is not broken off
    raise SystemExit(1)


def _report(town: Town, told: _Told, stage: Stage, *, small: bool) -> DemoReport:
    vision, text = told.vision, told.text
    stories: list[Told[Any]] = [one for one in (vision, text) if one is not None]
    built = {name: stack for one in stories for name, stack in one.built.items()}
    return DemoReport(
        seconds=round(stage.screen.seconds, 1),
        seed=stage.seed,
        small=small,
        stacks=[_stack(town.hub.stack(one.name, one.version)) for one in built.values()],
        sites=[_site(town.hub.site(name)) for name in town.sites],
        vision=vision.scores if vision else None,
        text=text.scores if text else None,
        text_confidence=text.confidence if text else None,
        trace=vision.trace if vision else [],
        text_trace=text.trace if text else [],
        update_bytes={site: num for one in stories for site, num in one.update_bytes.items()},
        untouched_sites_identical=all(one.others_identical for one in stories),
        cached={name: one.cached for name, one in built.items()},
    )


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
    if report.vision:
        screen.console.print(scores_table("Reading meters at site 3", report.vision, {}))
    if report.text:
        rows = {"the other city, after the update": report.text.other_city_after_update}
        title = "Reading made-up tickets of Harbin"
        screen.console.print(scores_table(title, report.text, rows))
    screen.console.print(sites_table(report.sites))
    same = "answer exactly as before" if report.untouched_sites_identical else "answer DIFFERENTLY"
    screen.console.print(
        f"All whom the updates were not for {same}. {report.seconds:.0f} s in all; {REPORT} is "
        "written."
    )


def _say_where(screen: Screen, town: Town, fleet: Fleet) -> None:
    for name, address in town.addresses.items():
        screen.say(f"{name:6} {address}  (process {fleet.processes[name].popen.pid})")
    screen.say("To sign in at the hub's address, make an account:")
    screen.say(f"dizuo --home {town.home} account create NAME --role admin")
    pids = " ".join(str(process.popen.pid) for process in fleet.processes.values())
    screen.say(f"End them with: kill {pids}")
