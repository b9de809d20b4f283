"""A process that holds scenarios and answers for them: `python -m benchmarks.rig.holding PLAN`.

It imports what a site's engine imports and no more, so that its memory is that of a site. PLAN is
JSON; the measured holding goes to stdout as one JSON object.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
import psutil

from dizuo.agent.engine_process import EnginePlan, parse_plan
from dizuo.families.base import Engine
from dizuo.families.vision.calibration import softmax
from dizuo.families.vision.protocol import bytes_request, request_pictures, response
from dizuo.families.vision.runtime import open_engine

_TIMEOUT_SECONDS = 600
_WARM_UP_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class HoldingPlan:
    """What to hold: stacks on one base in one engine (`shared`), or models by path, each in a
    session (`merged`). `image` is the picture to ask about, `seconds` for how long."""

    shared: EnginePlan | None
    merged: Mapping[str, Path]
    labels: tuple[str, ...]
    image: Path
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `_parse`."""
        return {
            "shared": self.shared.as_dict() if self.shared else None,
            "merged": {name: str(path) for name, path in self.merged.items()},
            "labels": self.labels,
            "image": str(self.image),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class Holding:
    """What it took: resident bytes before and with the scenarios, seconds to open, and requests a
    second of wall clock and of processor time, round-robin, one at a time on one thread. `answers`
    has the probabilities that each scenario gave."""

    num_scenarios: int
    rss_before_bytes: int
    rss_bytes: int
    open_seconds: float
    requests_per_second: float
    requests_per_cpu_second: float
    p50_ms: float
    p95_ms: float
    answers: Mapping[str, list[float]]


def hold(plan: HoldingPlan, folder: Path) -> Holding:
    """Measure a plan in a process of its own."""
    path = folder / "holding.json"
    path.write_text(json.dumps(plan.as_dict()))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rig.holding", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    return Holding(**json.loads(done.stdout))


class _Models(Protocol):
    """Whatever answers Open Inference Protocol requests by scenario."""

    def ask(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The response body."""


class _Shared:
    """One base, every scenario on it: the engine as it is."""

    def __init__(self, plan: EnginePlan) -> None:
        self._engine: Engine = open_engine(plan.stacks, threads=plan.threads)

    def ask(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `_Models`."""
        return self._engine.infer(name, request).response


class _Merged:
    """One session for each scenario, behind the same protocol. It knows no calibration and tells
    nothing about novelty, so it has a little less to do than the engine."""

    def __init__(self, paths: Mapping[str, Path], labels: tuple[str, ...]) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._labels = labels
        self._sessions = {
            name: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for name, path in paths.items()
        }

    def ask(self, name: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """See `_Models`."""
        (picture,) = request_pictures(request, 3)
        _, logits = self._sessions[name].run(None, {"image": picture[None]})
        return response(request, (name, 1), self._labels, softmax(logits))


def _measure(plan: HoldingPlan) -> Holding:
    request = bytes_request([plan.image.read_bytes()])
    process = psutil.Process()
    rss_before = process.memory_info().rss
    started = time.perf_counter()
    models: _Models = _Shared(plan.shared) if plan.shared else _Merged(plan.merged, plan.labels)
    opened = time.perf_counter() - started
    names = list(plan.shared.stacks if plan.shared else plan.merged)
    for name in islice(cycle(names), _WARM_UP_ROUNDS * len(names)):
        models.ask(name, request)
    answers = {name: _probabilities(models.ask(name, request)) for name in names}
    wall, cpu = _ask_for(models, names, request, plan.seconds)
    return Holding(
        num_scenarios=len(names),
        rss_before_bytes=rss_before,
        rss_bytes=process.memory_info().rss,
        open_seconds=opened,
        requests_per_second=len(wall) / sum(wall),
        requests_per_cpu_second=len(wall) / cpu,
        p50_ms=float(np.percentile(wall, 50)) * 1000,
        p95_ms=float(np.percentile(wall, 95)) * 1000,
        answers=answers,
    )


def _ask_for(
    models: _Models, names: list[str], request: Mapping[str, Any], seconds: float
) -> tuple[list[float], float]:
    """Ask round-robin for so long; seconds of each request, and processor seconds of all."""
    wall = []
    cpu_before, end = time.process_time(), time.perf_counter() + seconds
    for name in cycle(names):
        started = time.perf_counter()
        if started >= end:
            break
        models.ask(name, request)
        wall.append(time.perf_counter() - started)
    return wall, time.process_time() - cpu_before


def _probabilities(body: Mapping[str, Any]) -> list[float]:
    (tensor,) = [one for one in body["outputs"] if one["name"] == "probabilities"]
    return list(tensor["data"])


def _parse(value: Mapping[str, Any]) -> HoldingPlan:
    return HoldingPlan(
        shared=parse_plan(value["shared"]) if value["shared"] else None,
        merged={name: Path(path) for name, path in value["merged"].items()},
        labels=tuple(value["labels"]),
        image=Path(value["image"]),
        seconds=value["seconds"],
    )


if __name__ == "__main__":
    print(json.dumps(asdict(_measure(_parse(json.loads(Path(sys.argv[1]).read_bytes()))))))
