"""Any order of decisions: fences only grow, ends are final, and the log tells the same story."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, integers

from dizuo.audit import store as audit_store
from dizuo.core.errors import Conflict, InvalidInput
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.runs import service
from dizuo.runs.model import Run, RunState


class RunStory(RuleBasedStateMachine):
    """A supervisor, an operator and late workers act on one run in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Database(sqlite_url(Path(self.folder.name) / "runs.db"))
        Row.metadata.create_all(self.database.engine)
        self.seen: Run | None = None
        self.num_ends = 0

    @initialize()
    def submit(self) -> None:
        with self.database.transaction() as session:
            self.run_id = service.submit(session, "tune", {}, "k", "operator:ann").id

    def act(self, name: str, *arguments: Any, **extras: Any) -> None:
        before = self.read()
        try:
            with self.database.transaction() as session:
                getattr(service, name)(session, self.run_id, *arguments, **extras)
        except Conflict:
            assert self.read() == before
            return
        assert not before.is_final
        self.num_ends += self.read().is_final

    def read(self) -> Run:
        with self.database.reading() as session:
            return service.get(session, self.run_id)

    @rule()
    def start(self) -> None:
        self.act("start", 1000)

    @rule(late=integers(0, 2))
    def succeed(self, late: int) -> None:
        fence = self.read().fence
        self.act("succeed", fence - late, {"by": fence - late})

    @rule(late=integers(0, 2))
    def fail(self, late: int) -> None:
        self.act("fail", self.read().fence - late, InvalidInput("No."))

    @rule(late=integers(0, 2), lost=booleans())
    def requeue(self, late: int, lost: bool) -> None:
        self.act("requeue", self.read().fence - late, lost=lost, reason="gone")

    @rule()
    def cancel(self) -> None:
        if not self.read().cancel_ms:
            self.act("cancel", "operator:ann")

    @rule(late=integers(0, 2))
    def cancelled(self, late: int) -> None:
        self.act("cancelled", self.read().fence - late)

    @invariant()
    def only_forward(self) -> None:
        run, seen = self.read(), self.seen
        if seen is not None:
            assert run.fence >= seen.fence
            assert run.num_lost >= seen.num_lost
            assert not seen.is_final or run == seen
        assert self.num_ends <= 1
        assert (run.finished_ms is not None) == run.is_final
        assert (run.outcome is not None) == (run.state is RunState.SUCCEEDED)
        assert run.outcome in (None, {"by": run.fence})
        self.seen = run

    @invariant()
    def log_tells_the_same(self) -> None:
        run = self.read()
        with self.database.reading() as session:
            actions = [entry.action for entry in audit_store.stream(session)]
        assert actions.count("run.started") == run.fence
        ends = [f"run.{state.value}" for state in RunState if state.value != "running"]
        assert sum(action in ends for action in actions) == int(run.is_final)

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()


TestRunStory = RunStory.TestCase
TestRunStory.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
