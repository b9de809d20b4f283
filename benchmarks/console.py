"""The console before a full hub: how fast each page opens, and whether agents notice who looks.

A real `dizuo up` whose database holds the sites, stacks and samples that the aim speaks of, with
all that goes with them, and in which something happens every second. Pages are opened in Debian's
Chromium, in English and in Chinese, from asking until they are drawn, their socket stands and
nothing on them is under way. Then sites check in and a program asks the API, with and without
people at live pages, in turn.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx2
import numpy as np
import typer

from benchmarks.rig import fleet, pages
from benchmarks.rig.crowd.fill import Crowd, fill
from benchmarks.rig.crowd.going_on import going_on
from benchmarks.rig.crowd.stacks import SUITE
from benchmarks.rig.lookers import looking
from benchmarks.rig.machine import machine
from benchmarks.rig.open_loop import Call, Load, generate_apart
from benchmarks.rig.pages import Openings, Place
from benchmarks.rig.result import Result, publish, run
from dizuo.cli.output import say
from dizuo.client.credentials import ClientSettings, find_credentials
from dizuo.client.hub import HubClient
from dizuo.database.engine import Database, sqlite_url
from dizuo.datasets import service as datasets
from dizuo.datasets.names import parse_ref
from dizuo.datasets.table import iterate_rows
from dizuo.demo.processes import Fleet
from dizuo.demo.town import Town, running_town
from dizuo.gates.report import WorstExample

AIM = Crowd(num_sites=10_000, num_stacks=1_000, num_samples=100_000)
AIM_SECONDS = 1.0
AIM_SLOWER = 1.1
AIM_LOOKERS = 20
NAME, PASSWORD = "ann", "correct horse battery"

_DATASET, _NUM_VERSIONS, _NUM_ROWS = "tickets", 3, 5_000
_NUM_WORST = 8
_NUM_CALLERS = 100
_API_PATH = "/api/v1/rollouts?limit=50"
ASKED = {"check_in": 50.0, "api": 10.0}
"""What is asked while people look and while none do, and how often a second."""
_SEED = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How full the hub is, how often each page is opened in each language, how many look, how long
    sites check in for each figure, and how many turns; with `only`, just pages whose address begins
    with one of these are opened."""

    crowd: Crowd
    repeats: int
    num_lookers: int
    seconds: float
    turns: int
    only: tuple[str, ...] = ()


Times = Mapping[str, float]
"""Percentiles, `p50` and `p99`, in milliseconds; and `num_errors`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How long check-ins and questions to the API took with nobody at the console, and with people
    at it, by ASKED; and at which page somebody looked, with how often it was told something new."""

    alone: Mapping[str, Times]
    watched: Mapping[str, Times]
    news: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Measured:
    """How long pages took to open, what people who look cost, and how many rows the tables had."""

    opened: Openings
    turns: Sequence[Turn]
    num_rows: Mapping[str, int]


def main(
    sites: Annotated[int, typer.Option(min=1)] = AIM.num_sites,
    stacks: Annotated[int, typer.Option(min=200)] = AIM.num_stacks,
    samples: Annotated[int, typer.Option(min=1)] = AIM.num_samples,
    *,
    repeats: Annotated[
        int, typer.Option(min=1, help="How often each page is opened in each language.")
    ] = 5,
    lookers: Annotated[int, typer.Option(min=1, help="People at a live page.")] = AIM_LOOKERS,
    seconds: Annotated[float, typer.Option(min=1, help="Of check-ins for a figure.")] = 30.0,
    turns: Annotated[int, typer.Option(min=1)] = 3,
    only: Annotated[
        list[str] | None, typer.Option(help="Just pages whose address begins so; repeatable.")
    ] = None,
) -> None:
    """How fast the console's pages open, and what people who look cost the sites.

    Example: python -m benchmarks.console --sites 1000 --stacks 300 --samples 5000 --only /review
    """
    about = machine()
    plan = Plan(Crowd(sites, stacks, samples), repeats, lookers, seconds, turns, tuple(only or ()))
    with tempfile.TemporaryDirectory(prefix="dizuo-console-") as scratch:
        measured = measure(plan, Path(scratch))
    result = conclude(plan, measured, about)
    for path in result.raw["silent"]:
        say(f"Who looked at {path} was told nothing.")
    publish(result, ("page", ">median s", ">worst s", "worst in"), _rows(result.raw["pages"]))


def measure(plan: Plan, scratch: Path) -> Measured:
    """Fill a hub, open its pages, and let sites check in beside people who look."""
    home = scratch / "hub"
    with (
        Fleet(scratch / "logs") as processes,
        running_town(scratch, processes, {}, sampler_seed=0) as town,
    ):
        town.hub.create_account(NAME, "admin", PASSWORD)
        names = [f"caller-{number:03}" for number in range(_NUM_CALLERS)]
        callers = fleet.enrol_in_bulk(home, town.hub.url, names)
        fleet.settle(home)
        _add_tickets(town.hub, scratch)
        say(f"Filling the hub: {plan.crowd} ...")
        filled = fill(home, plan.crowd, _worst(home))
        loads = _loads(plan, town, [reply.edge_credential for reply in callers])
        with going_on(home, filled) as running_id:
            place = Place(
                url=town.hub.url,
                cookie=sign_in(town.hub.url),
                person=NAME,
                filled=filled,
                running_id=running_id,
                dataset=_DATASET,
                caller=names[0],
            )
            opened = pages.open_all(place, plan.repeats, plan.only or ("/",))
            turns = []
            for turn in range(plan.turns):
                say(f"Checking in, and asking the API, turn {turn + 1} of {plan.turns} ...")
                turns.append(_turn(place, plan.num_lookers, loads))
    return Measured(opened, turns, filled.num_rows)


def _add_tickets(hub: HubClient, scratch: Path) -> None:
    """A dataset for the pages about data; of its rows some are not taken."""
    for version in range(1, _NUM_VERSIONS + 1):
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


def _worst(home: Path) -> list[WorstExample]:
    """Rows of the suite that gates were measured on, as if they had been got wrong."""
    database = Database(sqlite_url(home / "hub.db"))
    with database.reading() as session:
        pin = datasets.find(session, parse_ref(SUITE)).pin
    database.close()
    some = islice(iterate_rows(pin), _NUM_WORST)
    return [WorstExample(row.row_digest, row.source, "a", "b", 0.9) for row in some]


def sign_in(url: str) -> str:
    """A session's cookie."""
    form = {"name": NAME, "password": PASSWORD}
    answer = httpx2.post(f"{url}/login", data=form, headers={"Origin": url})
    return answer.headers["set-cookie"].partition(";")[0]


def _turn(place: Place, num_lookers: int, loads: Mapping[str, Load]) -> Turn:
    alone = {name: _times(load) for name, load in loads.items()}
    with looking(place.url, place.cookie, pages.live(place, num_lookers)) as news:
        watched = {name: _times(load) for name, load in loads.items()}
    return Turn(alone, watched, news)


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


def conclude(plan: Plan, measured: Measured, about: Mapping[str, Any]) -> Result:
    """The slowest opening of any page, and how much slower answers are while people look."""
    opened = {path: _page(seconds) for path, seconds in measured.opened.items()}
    slowest = max(one["worst"] for one in opened.values())
    slower = _slower(measured.turns)
    most = max(share for one in slower.values() for share in one.values())
    silent = sorted({path for turn in measured.turns for path, number in turn.news if not number})
    is_whole = not silent and not _num_errors(measured.turns)
    met = slowest < AIM_SECONDS and most <= AIM_SLOWER and is_whole
    sized = plan.crowd == AIM and plan.num_lookers >= AIM_LOOKERS and not plan.only
    return Result(
        name="console",
        aim=f"every page in under {AIM_SECONDS:g} s with {AIM.num_sites} sites, {AIM.num_stacks} "
        f"stacks and {AIM.num_samples} samples; agents and the API answered at most "
        f"{AIM_SLOWER} times slower with {AIM_LOOKERS} people at live pages",
        measured=slowest,
        unit="s, the slowest opening of any page",
        met=met if sized else None,
        raw={
            "pages": opened,
            "slowest_median": max(one["median"] for one in opened.values()),
            "times_slower": slower,
            "silent": silent,
            "turns": [asdict(turn) for turn in measured.turns],
            "num_rows": dict(measured.num_rows),
            "plan": asdict(plan),
            "machine": dict(about),
        },
    )


def _page(opened: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """A page's openings, in seconds: the median in the language in which that is larger, the
    slowest one and its language, and all of them."""
    worst_in = max(opened, key=lambda language: max(opened[language]))
    return {
        "median": round(max(median(seconds) for seconds in opened.values()), 3),
        "worst": round(max(opened[worst_in]), 3),
        "worst_in": worst_in,
        "seconds": {name: [round(one, 3) for one in of] for name, of in opened.items()},
    }


def _slower(turns: Sequence[Turn]) -> dict[str, dict[str, float]]:
    """How many times as long answers take while people look: the median of the turns."""
    return {
        name: {
            share: round(median(t.watched[name][share] / t.alone[name][share] for t in turns), 3)
            for share in ("p50", "p99")
        }
        for name in ASKED
    }


def _num_errors(turns: Sequence[Turn]) -> float:
    """How much was not answered."""
    sides = [side for turn in turns for side in (turn.alone, turn.watched)]
    return sum(one["num_errors"] for side in sides for one in side.values())


def _rows(opened: Mapping[str, Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return [
        (path, f"{one['median']:.2f}", f"{one['worst']:.2f}", one["worst_in"])
        for path, one in opened.items()
    ]


if __name__ == "__main__":
    run(main)
