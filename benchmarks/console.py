"""The console before a full hub: how fast each page opens, and whether agents notice who looks.

A real `dizuo up` whose database holds the sites, stacks and samples that the aim speaks of. Pages
are opened in Debian's Chromium, from asking until they are drawn and their socket stands. Then
sites check in and a program asks the API, with and without people at a live page, in turn.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import typer
from playwright.sync_api import Page

from benchmarks.rig import fleet
from benchmarks.rig.browser import chromium
from benchmarks.rig.crowd.fill import Crowd, Filled, fill
from benchmarks.rig.lookers import looking
from benchmarks.rig.machine import machine
from benchmarks.rig.open_loop import Call, Load, generate_apart
from benchmarks.rig.result import Result, publish, run
from dizuo.cli.output import say
from dizuo.client.credentials import ClientSettings, find_credentials
from dizuo.client.hub import HubClient
from dizuo.core.errors import Unavailable
from dizuo.demo.processes import Fleet
from dizuo.demo.town import Town, running_town

AIM = Crowd(num_sites=10_000, num_stacks=1_000, num_samples=100_000)
AIM_SECONDS = 1.0
AIM_SLOWER = 1.1
AIM_LOOKERS = 20
NAME, PASSWORD = "ann", "correct horse battery"

_DATASET, _NUM_ROWS = "tickets", 5_000
_NUM_CALLERS = 100
_API_PATH = "/api/v1/rollouts?limit=50"
ASKED = {"check_in": 50.0, "api": 10.0}
"""What is asked while people look and while none do, and how often a second."""
_SEED = 1


class PageBroken(Unavailable):
    """A page that is to be timed says that it cannot be built."""

    code = "benchmark_page_broken"


@dataclass(frozen=True, slots=True)
class Plan:
    """How full the hub is, how often each page is opened, how many look, how long sites check in
    for each figure, and how many turns."""

    crowd: Crowd
    repeats: int
    num_lookers: int
    seconds: float
    turns: int


@dataclass(frozen=True, slots=True)
class Looking:
    """Whose session looks at which pages of a hub, one person at each."""

    url: str
    cookie: str
    paths: Sequence[str]


Times = Mapping[str, float]
"""Percentiles, `p50` and `p99`, in milliseconds; and `num_errors`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How long check-ins and questions to the API took with nobody at the console, and with people
    at it, by ASKED."""

    alone: Mapping[str, Times]
    watched: Mapping[str, Times]
    num_messages: int


def main(
    sites: Annotated[int, typer.Option(min=1)] = AIM.num_sites,
    stacks: Annotated[int, typer.Option(min=200)] = AIM.num_stacks,
    samples: Annotated[int, typer.Option(min=1)] = AIM.num_samples,
    *,
    repeats: Annotated[int, typer.Option(min=1, help="How often each page is opened.")] = 5,
    lookers: Annotated[int, typer.Option(min=1, help="People at a live page.")] = AIM_LOOKERS,
    seconds: Annotated[float, typer.Option(min=1, help="Of check-ins for a figure.")] = 30.0,
    turns: Annotated[int, typer.Option(min=1)] = 3,
) -> None:
    """How fast the console's pages open, and what people who look cost the sites.

    Example: python -m benchmarks.console --sites 1000 --stacks 300 --samples 5000
    """
    about = machine()
    plan = Plan(Crowd(sites, stacks, samples), repeats, lookers, seconds, turns)
    with tempfile.TemporaryDirectory(prefix="dizuo-console-") as scratch:
        opened, checked = measure(plan, Path(scratch))
    result = conclude(plan, opened, checked, about)
    publish(result, ("page", ">median s", ">worst s"), _rows(result.raw["pages"]))


def measure(plan: Plan, scratch: Path) -> tuple[dict[str, list[float]], list[Turn]]:
    """Fill a hub, open its pages, and let sites check in beside people who look."""
    with (
        Fleet(scratch / "logs") as processes,
        running_town(scratch, processes, {}, sampler_seed=0) as town,
    ):
        say(f"Filling the hub: {plan.crowd} ...")
        town.hub.create_account(NAME, "admin", PASSWORD)
        callers = fleet.enrol_in_bulk(
            scratch / "hub", town.hub.url, [f"caller-{n:03}" for n in range(_NUM_CALLERS)]
        )
        fleet.settle(scratch / "hub")
        filled = fill(scratch / "hub", plan.crowd)
        dataset = _add_tickets(town.hub, scratch)
        cookie = sign_in(town.hub.url)
        opened = open_pages(town.hub.url, cookie, addresses(filled, dataset), plan.repeats)
        credentials = [reply.edge_credential for reply in callers]
        loads = _loads(plan, town, credentials)
        place = Looking(town.hub.url, cookie, _live_pages(filled, plan.num_lookers))
        turns = []
        for turn in range(plan.turns):
            say(f"Checking in, and asking the API, turn {turn + 1} of {plan.turns} ...")
            turns.append(_turn(place, loads))
    return opened, turns


def _add_tickets(hub: HubClient, scratch: Path) -> str:
    """A dataset of two versions for the pages about data; of its rows some are not taken."""
    for version in (1, 2):
        rows = [
            {"prompt": f"Ticket {number} of {version}: a house.", "label": "abcd"[number % 4]}
            for number in range(_NUM_ROWS)
        ]
        path = scratch / f"tickets-{version}.jsonl"
        lines = [json.dumps(row) + "\n" for row in (*rows, {"prompt": ""})]
        path.write_text("".join(lines), encoding="utf-8")
        upload = hub.upload(path)["digest"]
        shape = {"upload": upload, "format": "jsonl", "family": "text", "mode": "append"}
        hub.add_dataset_version(_DATASET, shape)
    return _DATASET


def addresses(filled: Filled, dataset: str) -> list[str]:
    """Every page, and of those that are about one thing one."""
    return [
        "/",
        "/stacks",
        "/stacks?search=scenario-02",
        f"/stacks/{filled.stack_name}",
        f"/stacks/{filled.stack}",
        "/data",
        f"/data/{dataset}",
        f"/data/{dataset}/2",
        f"/data/{dataset}/2?q=house",
        f"/data/{dataset}/2/rejects",
        f"/data/{dataset}/1/diff?to=2",
        "/data/import",
        "/runs",
        f"/runs/{filled.run_id}",
        f"/runs/new?run={filled.run_id}",
        f"/runs/compare?a={filled.run_id}&b={filled.other_run_id}",
        "/review",
        "/review/label",
        "/releases",
        f"/releases/{filled.release_id}",
        "/releases/rollouts",
        f"/releases/rollouts/{filled.rollout_id}",
        f"/releases/rollouts/new?release={filled.release_id}",
        "/sites",
        "/sites?q=site-09",
        f"/sites/{filled.site}",
        "/join",
        "/approvals",
        f"/approvals/{filled.improvement_id}",
        "/approvals/new",
        "/audit",
        "/audit/1",
        "/people",
        f"/people/{NAME}",
        "/account",
    ]


def sign_in(url: str) -> str:
    """A session's cookie."""
    form = {"name": NAME, "password": PASSWORD}
    answer = httpx2.post(f"{url}/login", data=form, headers={"Origin": url})
    return answer.headers["set-cookie"].partition(";")[0]


def open_pages(url: str, cookie: str, paths: Sequence[str], repeats: int) -> dict[str, list[float]]:
    """Seconds of each opening of each page, in a browser that has been there before.

    Raises:
        NoBrowser: there is none.
        PageBroken: one could not be built.
    """
    name, _, value = cookie.partition("=")
    with (
        chromium() as browser,
        browser.visit(viewport={"width": 1440, "height": 900}) as context,
    ):
        context.add_cookies([{"name": name, "value": value, "url": url}])
        page = context.new_page()
        opened: dict[str, list[float]] = {}
        for path in paths:
            say(f"Opening {path} ...")
            _open(page, url + path)  # fetches what it needs beside itself
            opened[path] = [_open(page, url + path) for _ in range(repeats)]
    return opened


def _open(page: Page, address: str) -> float:
    began = time.perf_counter()
    answer = page.goto(address, wait_until="commit")
    if answer is None or not answer.ok:
        raise PageBroken(f"{address} is no page.", next_step="Open it and read the hub's log.")
    page.locator("h1").first.wait_for()
    page.wait_for_function("window.socket && window.socket.connected")
    return time.perf_counter() - began


def _turn(place: Looking, loads: Mapping[str, Load]) -> Turn:
    alone = {name: _times(load) for name, load in loads.items()}
    with looking(place.url, place.cookie, place.paths) as messages:
        watched = {name: _times(load) for name, load in loads.items()}
    return Turn(alone, watched, messages[0])


def _live_pages(filled: Filled, number: int) -> list[str]:
    """Where so many people look: each page that follows what happens, in turn."""
    pages = (
        "/",
        "/sites",
        f"/sites/{filled.site}",
        f"/releases/rollouts/{filled.rollout_id}",
        f"/runs/{filled.run_id}",
        "/runs",
        "/review",
        "/review/label",
        "/approvals",
        "/approvals/new",
    )
    return [pages[index % len(pages)] for index in range(number)]


def _loads(plan: Plan, town: Town, credentials: Sequence[str]) -> dict[str, Load]:
    """What is asked, by ASKED; every check-in tells of more answers, so figures change."""
    check_ins = [
        Call(at, credentials[number % len(credentials)], fleet.check_in_body(number))
        for number, at in enumerate(_due(plan, ASKED["check_in"]))
    ]
    token = find_credentials(ClientSettings.load(home=town.home)).token
    questions = [Call(at, token, b"") for at in _due(plan, ASKED["api"])]
    address = urlsplit(town.hub.url)
    host, port = address.hostname or "", address.port or 80
    return {
        "check_in": Load(host, port, "/edge/v1/check-in", 16, False, check_ins),
        "api": Load(host, port, _API_PATH, 4, False, questions),
    }


def _due(plan: Plan, per_second: float) -> list[float]:
    """When calls are due, in seconds: as many who know nothing of each other make them."""
    num_calls = int(plan.seconds * per_second)
    drawn = np.random.default_rng(_SEED).uniform(0, plan.seconds, num_calls)
    return [float(at) for at in np.sort(drawn)]


def _times(load: Load) -> dict[str, float]:
    outcome = generate_apart(load)
    answered = np.asarray(outcome.seconds) * 1000
    return {
        "p50": round(float(np.percentile(answered, 50)), 3),
        "p99": round(float(np.percentile(answered, 99)), 3),
        "num_errors": len(outcome.errors),
    }


def conclude(
    plan: Plan,
    opened: Mapping[str, Sequence[float]],
    turns: Sequence[Turn],
    about: Mapping[str, Any],
) -> Result:
    """The slowest page's median, and how much slower answers are while people look."""
    pages = {
        path: {"median": round(median(seconds), 3), "worst": round(max(seconds), 3)}
        for path, seconds in opened.items()
    }
    slowest = max(one["median"] for one in pages.values())
    slower = _slower(turns)
    most = max(share for one in slower.values() for share in one.values())
    met = slowest < AIM_SECONDS and most <= AIM_SLOWER and not _failed(turns)
    sized = plan.crowd == AIM and plan.num_lookers >= AIM_LOOKERS
    return Result(
        name="console",
        aim=f"every page in under {AIM_SECONDS:g} s with {AIM.num_sites} sites, {AIM.num_stacks} "
        f"stacks and {AIM.num_samples} samples; agents and the API answered at most "
        f"{AIM_SLOWER} times slower with {AIM_LOOKERS} people at a live page",
        measured=slowest,
        unit="s, the slowest page's median",
        met=met if sized else None,
        raw={
            "pages": pages,
            "times_slower": slower,
            "turns": [asdict(turn) for turn in turns],
            "plan": asdict(plan),
            "machine": dict(about),
        },
    )


def _slower(turns: Sequence[Turn]) -> dict[str, dict[str, float]]:
    """How many times as long answers take while people look: the median of the turns."""
    return {
        name: {
            share: round(median(t.watched[name][share] / t.alone[name][share] for t in turns), 3)
            for share in ("p50", "p99")
        }
        for name in ASKED
    }


def _failed(turns: Sequence[Turn]) -> bool:
    """Whether something was not answered, or nobody who looked was told anything."""
    figures = [
        one for turn in turns for side in (turn.alone, turn.watched) for one in side.values()
    ]
    return any(one["num_errors"] for one in figures) or not all(t.num_messages for t in turns)


def _rows(pages: Mapping[str, Mapping[str, float]]) -> list[tuple[object, ...]]:
    return [(path, f"{one['median']:.2f}", f"{one['worst']:.2f}") for path, one in pages.items()]


if __name__ == "__main__":
    run(main)
