"""A home with a supervisor and data, for runs of the built-in kinds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tests.runs.conftest import QUICK

from dizuo.artifacts.layout import Layout
from dizuo.core.ids import new_id
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import DEFAULT_PROJECT, Row
from dizuo.datasets import service as datasets
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.model import Candidate, Draft
from dizuo.runs import admission
from dizuo.runs.kinds import RunContext, installed_kinds
from dizuo.runs.model import Run, RunState
from dizuo.runs.supervisor import Supervisor
from dizuo.stacks import service as stacks
from dizuo.stacks.model import StackVersion

LONG_SECONDS = 200.0


@dataclass
class Works:
    """A home with data, and a supervisor that runs what is asked."""

    context: RunContext
    supervisor: Supervisor

    def admit(self, kind: str, **spec: Any) -> Run:
        full = {**spec, "project": DEFAULT_PROJECT}
        request = admission.RunRequest(kind, full, new_id(), "operator:ann", DEFAULT_PROJECT)
        return admission.admit(self.supervisor, request)

    def run(self, kind: str, **spec: Any) -> Run:
        ended = self.supervisor.wait(self.admit(kind, **spec).id, LONG_SECONDS)
        assert ended.state is RunState.SUCCEEDED, ended.error
        return ended

    def stack(self, run: Run) -> StackVersion:
        assert run.outcome is not None
        with self.context.database.reading() as session:
            return stacks.get_by_digest(session, run.outcome["digest"])

    def num_runs(self) -> int:
        return len(list((self.context.home / "runs").glob("*/job.json")))


def picture(is_tall: bool, draw: np.random.Generator) -> bytes:
    pixels = draw.integers(0, 60, (8, 8), dtype=np.uint8)
    place = draw.integers(1, 7)
    if is_tall:
        pixels[:, place] += 180
    else:
        pixels[place] += 180
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def add_bars(context: RunContext, name: str, count: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    records = [
        Candidate(
            str(n), {"image": picture(n % 2 == 0, draw), "label": "tall" if n % 2 == 0 else "wide"}
        )
        for n in range(count)
    ]
    warehouse = Warehouse(context.database, datasets.root_of(context.home))
    datasets.add_version(warehouse, Draft(name, "vision", name, holdout=0.3), records, "test")


@contextmanager
def open_works(home: Path) -> Iterator[Works]:
    """Works in a new home, closed at the end."""
    database = Database(sqlite_url(home / "hub.db"))
    Row.metadata.create_all(database.engine)
    context = RunContext(database, Layout(home / "layout"), home)
    supervisor = Supervisor(context, installed_kinds(), QUICK)
    supervisor.start()
    yield Works(context, supervisor)
    supervisor.stop(end_workers=True)
    database.close()
