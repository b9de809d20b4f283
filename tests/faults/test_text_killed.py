"""The hub killed by SIGKILL while a language model is tuned and gated: the same stack, once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.families.text.tuning_factory import tickets
from tests.faults.conftest import end_leftovers, hub_of, prepare
from tests.improvements.conftest import until
from tests.runs.test_learning_from_reviews import BASE, TASK
from tests.runs.works import LONG_SECONDS, open_works

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.stacks import read_stack
from dizuo.audit import store as audit_store
from dizuo.core.ids import new_id
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets import service as datasets
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.model import Candidate, Draft
from dizuo.gates import service as gates
from dizuo.runs import process as processes
from dizuo.runs import service as runs
from dizuo.runs.folder import RunFolder, run_folder
from dizuo.runs.model import Run, RunState

ANN = "operator:ann"
CHILD = f"""\
name: child
level: L1
family: text
from: base:1
data: {{train: tickets@1}}
method: {{kind: lora, rank: 4, epochs: 8, learning_rate: 0.01, batch_size: 16, max_length: 96}}
{TASK}
gates:
  - {{suite: tickets-test@1, metric: exact_match, at_least: 0.0}}
  - {{target: gguf-f16, agreement_with_trained_at_least: 0.85}}
targets: [safetensors, gguf-f16]
"""


@dataclass
class TextHome:
    """A hub's home that holds a base and, as `child:1`, a layer that nothing interrupted."""

    home: Path
    database: Database
    child_digest: str

    def submit(self, kind: str, **spec: Any) -> Run:
        with self.database.transaction() as session:
            full = {**spec, "project": DEFAULT_PROJECT}
            return runs.submit(session, kind, full, new_id(), ANN)

    def read(self, run: Run) -> Run:
        with self.database.reading() as session:
            return runs.get(session, run.id)

    def folder(self, run: Run) -> RunFolder:
        return run_folder(self.home, run.id)

    def dies(self, die_at: str) -> None:
        """Run a hub until it dies at this place."""
        with hub_of(self.home, die_at) as hub:
            until(lambda: hub.poll() is not None, LONG_SECONDS)
            assert hub.wait() == -signal.SIGKILL, self.log()

    def ends(self, run: Run) -> Run:
        """The run, once a hub that nothing kills has brought it to its end."""
        with hub_of(self.home) as hub:
            until(lambda: self.read(run).is_final or hub.poll() is not None, LONG_SECONDS)
            hub.send_signal(signal.SIGTERM)
            assert hub.wait(60) == 0, self.log()
        ended = self.read(run)
        assert ended.state is RunState.SUCCEEDED, ended.error
        return ended

    def log(self) -> str:
        return (self.home.parent / "hub.log").read_text()[-4000:]

    def own_blobs(self, digest: str) -> list[Any]:
        """The blobs of a stack's own layer, of each target."""
        targets = read_stack(Layout(self.home / "layout"), digest).targets
        return [targets[target].layers[-1].blobs for target in ("safetensors", "gguf-f16")]

    def actions(self) -> list[str]:
        with self.database.reading() as session:
            return [entry.action for entry in audit_store.stream(session)]


@pytest.fixture(scope="module")
def text_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TextHome]:
    home = tmp_path_factory.mktemp("text") / "home"
    prepare(home)
    with open_works(home) as works:
        rows = {str(row["prompt"]): row for row in tickets(160)}
        records = [Candidate(prompt, row) for prompt, row in rows.items()]
        warehouse = Warehouse(works.context.database, datasets.root_of(home))
        datasets.add_version(warehouse, Draft("tickets", "text", "1", holdout=0.3), records, ANN)
        works.run("tune", recipe=BASE)
        child = works.stack(works.run("tune", recipe=CHILD))
    database = Database(sqlite_url(home / "hub.db"))
    yield TextHome(home, database, child.digest)
    database.close()
    end_leftovers(home)


@pytest.mark.timeout(900)  # two trainings, three hubs
@pytest.mark.parametrize(
    "trainer_too",
    [
        pytest.param(False, id="hub alone"),
        pytest.param(True, id="hub and trainer", marks=pytest.mark.slow),
    ],
)
def test_killed_while_it_trains_the_run_ends_in_the_same_layer(
    text_home: TextHome, *, trainer_too: bool
) -> None:
    run = text_home.submit("tune", recipe=CHILD, no_cache=True)
    folder = text_home.folder(run)
    with hub_of(text_home.home) as hub:
        sealed = "checkpoint-*/dizuo-checkpoint.json"
        until(lambda: list(folder.checkpoints.glob(sealed)), LONG_SECONDS)
        hub.kill()
        hub.wait()
    worker = folder.attempt(1).identity()
    assert worker is not None
    assert processes.is_alive(worker)
    assert folder.attempt(1).result() is None
    if trainer_too:
        os.kill(worker.pid, signal.SIGKILL)
    ended = text_home.ends(run)
    assert ended.fence == (2 if trainer_too else 1)
    assert ended.outcome is not None
    made = str(ended.outcome["digest"])
    assert text_home.own_blobs(made) == text_home.own_blobs(text_home.child_digest)


@pytest.mark.timeout(900)
def test_killed_while_it_gates_the_report_counts_once(text_home: TextHome) -> None:
    before = text_home.actions().count("stack.gated")
    run = text_home.submit("gate", stack="child:1")
    text_home.dies("dizuo.runs.process:spawn_worker after 1")  # the worker measures on alone
    text_home.dies("dizuo.gates.service:save_report after 1")  # what it found is not committed
    ended = text_home.ends(run)
    assert ended.fence == 1
    assert text_home.actions().count("stack.gated") == before + 1
    with text_home.database.reading() as session:
        report = gates.latest_report(session, text_home.child_digest)
    assert report is not None
    assert [rule.verdict.value for rule in report.rules] == ["pass", "pass"]
