"""A site's API against the bare engines it stands on, on the same requests and the same weights.

Language: a real agent that serves a base, against llama.cpp's own server in a process of its own;
both over HTTP, several callers at once, and one alone. Pictures: a real agent that serves a base
over HTTP, against an ONNX Runtime session on the plain graph, called in memory; one caller. The
agent also tells confidence and novelty, and its sampler keeps what its site would return, raw; the
bare sides do neither. While several callers want words at once, the agent looks at one prompt in
sixteen for novelty; those of one caller it looks at all.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from benchmarks.rig import classifier, language
from benchmarks.rig.bare_llama import bare_servers
from benchmarks.rig.closed_loop import Post, Throughput, ask_all, require_as_long
from benchmarks.rig.holding import HoldingPlan, hold
from benchmarks.rig.machine import machine
from benchmarks.rig.merged import plain_graph
from benchmarks.rig.result import Result, publish, run
from benchmarks.rig.shipping import put
from benchmarks.rig.site import Serving, serving, stage
from dizuo.agent.home import AgentHome
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import LayerFile, Level
from dizuo.cli.output import say
from dizuo.core.errors import InvalidInput
from dizuo.families.vision.protocol import bytes_request

AIM_RATIO = 0.95
AIM_LANGUAGE = "qwen3-0.5b"
AIM_PICTURES = "vit-base"
SIDES = ("llama.cpp", "llama.cpp, one caller", "ONNX Runtime")
"""The bare engines, and how they are asked."""

_THREADS = 1
_NAME = "base"
_WARM_UP = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """Which bases, how many requests a turn, how long an answer in words is, how many callers ask
    for one at once, and how many turns."""

    language: str
    pictures: str
    num_requests: int
    num_tokens: int
    num_callers: int
    repeats: int


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests a second of wall clock, and of processor time of all processes that answered."""

    per_second: float
    per_cpu_second: float


Pairs = Sequence[tuple[Rate, Rate]]
"""Of each turn the agent's rate and the bare engine's."""
Turns = Mapping[str, Pairs]
"""By SIDES."""


def main(
    architecture: Annotated[
        str, typer.Option(help=f"The language model: {', '.join(language.ARCHITECTURES)}.")
    ] = AIM_LANGUAGE,
    graph: Annotated[
        str, typer.Option(help=f"The classifier: {', '.join(classifier.ARCHITECTURES)}.")
    ] = AIM_PICTURES,
    *,
    requests: Annotated[int, typer.Option(min=1, help="For each figure.")] = 16,
    tokens: Annotated[int, typer.Option(min=1, max=1024, help="Of each answer in words.")] = 32,
    callers: Annotated[int, typer.Option(min=1, max=64, help="Who ask for words at once.")] = 4,
    repeats: Annotated[int, typer.Option(min=1, help="Turns.")] = 3,
) -> None:
    """Requests per second of a site's API, against bare llama.cpp and bare ONNX Runtime.

    Example: python -m benchmarks.runtime --architecture qwen3-0.1b --graph vit-tiny --tokens 64
    """
    for chosen, known in ((architecture, language), (graph, classifier)):
        if chosen not in known.ARCHITECTURES:
            raise InvalidInput(f"There is no base {chosen!r}.", next_step="See --help.")
    about = machine()
    plan = Plan(architecture, graph, requests, tokens, callers, repeats)
    with tempfile.TemporaryDirectory(prefix="dizuo-runtime-") as scratch:
        folders = [Path(scratch) / name for name in ("language", "pictures")]
        several, alone = measure_language(plan, folders[0])
        pictures = measure_pictures(plan, folders[1])
        turns = dict(zip(SIDES, (several, alone, pictures), strict=True))
    result = conclude(plan, turns, about)
    columns = ("engine", ">agent, req/s", ">bare, req/s", ">ratio", ">agent, req/cpu s", ">bare")
    publish(result, (*columns, ">ratio"), _rows(result.raw["figures"]))


def measure_language(plan: Plan, scratch: Path) -> tuple[Pairs, Pairs]:
    """The agent's turns and llama.cpp's, one after the other: of several callers, and of one."""
    say(f"Building {plan.language} ...")
    base = language.build_base(plan.language, scratch / "built")
    chats = language.chats([_NAME], plan.num_requests, plan.num_tokens)
    bodies = [json.dumps(chat).encode() for chat in chats]
    model = base.exported.base.directory / "model.gguf"
    window = language.context_tokens(plan.language)
    several: list[tuple[Rate, Rate]] = []
    alone: list[tuple[Rate, Rate]] = []
    with (
        _site(scratch, "text", language.TARGET, base.files) as site,
        bare_servers([model], window, _THREADS) as bare,
    ):
        sides = [(site.url, site.pid), (bare.urls[0], bare.pid)]
        for turn in range(plan.repeats):
            for turns, num_callers in ((several, plan.num_callers), (alone, 1)):
                asked = f"{num_callers} at once, turn {turn + 1} of {plan.repeats}"
                say(f"Asking for words, {asked} ...")
                ours, theirs = (
                    _ask([Post(f"{url}/v1/chat/completions", b) for b in bodies], num_callers, pid)
                    for url, pid in sides
                )
                require_as_long(ours, theirs)
                turns.append((_rate(ours), _rate(theirs)))
    return several, alone


def measure_pictures(plan: Plan, scratch: Path) -> Pairs:
    """The agent's turns and ONNX Runtime's, one after the other."""
    say(f"Building {plan.pictures} ...")
    (scratch / "built").mkdir(parents=True)
    base = classifier.build_base(plan.pictures, scratch / "built")
    path, picture = scratch / "plain.onnx", scratch / "picture.jpg"
    path.write_bytes(plain_graph(base).SerializeToString())
    picture.write_bytes(classifier.crops(1)[0]["image"])
    body = json.dumps(bytes_request([picture.read_bytes()])).encode()
    turns = []
    with _site(scratch, "vision", "onnx", base.files) as site:
        posts = [Post(f"{site.url}/v2/models/{_NAME}/infer", body)] * plan.num_requests
        for turn in range(plan.repeats):
            say(f"Asking about pictures, turn {turn + 1} of {plan.repeats} ...")
            ours = _rate(_ask(posts, 1, site.pid))
            seconds = plan.num_requests / ours.per_second
            merged = HoldingPlan(None, {_NAME: path}, classifier.LABELS, picture, seconds)
            held = hold(merged, scratch)
            turns.append((ours, Rate(held.requests_per_second, held.requests_per_cpu_second)))
    return turns


@contextmanager
def _site(
    scratch: Path, family: str, target: str, files: Mapping[str, tuple[LayerFile, ...]]
) -> Iterator[Serving]:
    """An agent that serves a base, and would return what it keeps of its inputs as they are."""
    home = scratch / "site"
    AgentHome(home).create()
    layer = (Level.L0, {target: files[target]})
    shipped = put(Layout(AgentHome(home).layout), _NAME, family, layer, None)
    generation = stage(home, family, target, [shipped])
    with serving(home, generation, _THREADS, {"DIZUO_AGENT_EGRESS_POLICY": "raw"}) as site:
        yield site


def _ask(posts: Sequence[Post], num_callers: int, pid: int) -> Throughput:
    ask_all(posts[:_WARM_UP], num_callers, pid)
    return ask_all(posts, num_callers, pid)


def _rate(asked: Throughput) -> Rate:
    return Rate(asked.requests_per_second, asked.requests_per_cpu_second)


def conclude(plan: Plan, turns: Turns, about: Mapping[str, Any]) -> Result:
    """The least of the ratios."""
    figures: list[dict[str, Any]] = [{"engine": side, **_medians(turns[side])} for side in SIDES]
    least = min(figures, key=lambda one: float(one["ratio"]))
    sized = (plan.language, plan.pictures) == (AIM_LANGUAGE, AIM_PICTURES)
    return Result(
        name="runtime",
        aim=f"{AIM_RATIO} of the throughput of bare llama.cpp (0.5B) and bare ONNX Runtime (ViT-B)",
        measured=least["ratio"],
        unit=f"of the throughput of bare {least['engine']}",
        met=least["ratio"] >= AIM_RATIO if sized else None,
        raw={
            "figures": figures,
            "turns": {
                side: [{"agent": asdict(ours), "bare": asdict(bare)} for ours, bare in some]
                for side, some in turns.items()
            },
            "plan": asdict(plan),
            "machine": dict(about),
        },
    )


def _medians(turns: Pairs) -> dict[str, float]:
    """Of each side, and of the ratios of the turns, in which both sides met the same load."""
    found = {}
    for unit in ("second", "cpu_second"):
        pairs = [(getattr(a, f"per_{unit}"), getattr(b, f"per_{unit}")) for a, b in turns]
        found[f"agent_requests_per_{unit}"] = round(median(ours for ours, _ in pairs), 4)
        found[f"bare_requests_per_{unit}"] = round(median(bare for _, bare in pairs), 4)
        ratio = round(median(ours / bare for ours, bare in pairs), 3)
        found["ratio" if unit == "second" else "ratio_per_cpu"] = ratio
    return found


def _rows(figures: Sequence[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    return [
        (
            one["engine"],
            f"{one['agent_requests_per_second']:.2f}",
            f"{one['bare_requests_per_second']:.2f}",
            f"{one['ratio']:.3f}",
            f"{one['agent_requests_per_cpu_second']:.2f}",
            f"{one['bare_requests_per_cpu_second']:.2f}",
            f"{one['ratio_per_cpu']:.3f}",
        )
        for one in figures
    ]


if __name__ == "__main__":
    run(main)
