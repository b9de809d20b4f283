"""Room is given back, and nothing that is anybody's is taken: scenarios, and any order of them."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.access.people import Town

from dizuo.access import sessions
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.artifacts.stacks import read_stack
from dizuo.audit import store as audit_store
from dizuo.core.clock import Clock, now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.core.progress import silent
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.datasets.uploads import upload_path
from dizuo.families.base import TunedLayer
from dizuo.hub.maintenance import MAINTENANCE, Freed, maintain
from dizuo.runs import service as runs
from dizuo.runs import store as run_store
from dizuo.runs.building import Build
from dizuo.runs.folder import run_folder
from dizuo.runs.kinds import RunContext
from dizuo.runs.model import Run
from dizuo.stacks import service as stacks
from dizuo.stacks.model import NewStack, StackVersion

HOUR_NS = 3_600_000_000_000
NOTHING = Freed(0, 0, 0, ())


@dataclass
class Home:
    """A hub's home whose times can be set back."""

    context: RunContext

    @property
    def layout(self) -> Layout:
        return self.context.layout

    def begin(self, **spec: str) -> Run:
        """A run under way, with a folder in which something works."""
        with self.context.database.transaction() as session:
            queued = runs.submit(session, "tune", dict(spec), new_id(), "operator:ann")
            run = runs.start(session, queued.id, 0)
        folder = run_folder(self.context.home, run.id)
        for place in (folder.checkpoints, folder.attempt(1).scratch):
            place.mkdir(parents=True)
            (place / "weights").write_bytes(b"0" * 100)
        return run

    def publish(self, run: Run, weights: bytes) -> str:
        """Put a layer into the registry as a worker does; the digest of its blob."""
        scratch = run_folder(self.context.home, run.id).attempt(1).scratch / new_id()
        scratch.mkdir()
        (scratch / "model.bin").write_bytes(weights)
        build = Build(self.layout, "m", Level.L0, "none", scratch, silent, lambda: False)
        file = LayerFile("model.bin", scratch / "model.bin", FileRole.WEIGHTS)
        made = TunedLayer((file,), {})
        (stored,) = build.publish(made, None, ["safetensors"])["safetensors"]
        return stored["digest"]

    def fail(self, run: Run) -> None:
        with self.context.database.transaction() as session:
            runs.fail(session, run.id, run.fence, {"code": "worker_lost", "message": "Killed."})

    def succeed(
        self, run: Run, digests: list[str], parent: StackVersion | None = None
    ) -> StackVersion:
        """Register what a run published, and end it, in one transaction as the supervisor does."""
        files = tuple(
            LayerFile(f"{number}.bin", self.layout.path(digest), FileRole.WEIGHTS)
            for number, digest in enumerate(digests)
        )
        new = NewStack(
            run_id=run.id,
            name="child" if parent else "base",
            level=Level.L1 if parent else Level.L0,
            family="none",
            parent_digest=parent.digest if parent else None,
            targets={"safetensors": files},
            input_digest=sha256_bytes(run.id.encode()),
            project_id="default",
        )
        with self.context.database.transaction() as session:
            stack = stacks.register(session, self.layout, "operator:ann", new)
            runs.succeed(session, run.id, run.fence, {"stack": stack.ref})
        return stack

    def hours_pass(self, hours: int) -> None:
        """Set every time in the home back, which is the same."""
        for path in self.context.home.rglob("*"):
            found = path.stat()
            past = found.st_mtime_ns - hours * HOUR_NS
            os.utime(path, ns=(past, past))
        with self.context.database.transaction() as session:
            for run in runs.unfinished(session):
                assert run.started_ms is not None
                started_ms = run.started_ms - hours * HOUR_NS // 1_000_000
                run_store.update(session, run.id, {"started_ms": started_ms})

    def maintain(self, clock: Clock = now_ms) -> Freed:
        return maintain(self.context, clock=clock)

    def freed(self) -> list[dict[str, object]]:
        """What the audit log says was freed."""
        with self.context.database.reading() as session:
            entries = list(audit_store.stream(session))
        return [entry.detail for entry in entries if entry.actor == MAINTENANCE]

    def work(self, run: Run) -> list[Path]:
        return run_folder(self.context.home, run.id).work()


@contextmanager
def open_home(root: Path) -> Iterator[Home]:
    home = root / "home"
    for name in ("runs", "uploads"):
        (home / name).mkdir(parents=True)
    database = Database(sqlite_url(root / "hub.db"))
    Row.metadata.create_all(database.engine)
    yield Home(RunContext(database, Layout(home / "layout"), home))
    database.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with open_home(tmp_path) as opened:
        yield opened


def test_blobs_and_work_of_a_killed_run_go_and_the_log_says_so(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    run = home.begin()
    blob = home.publish(run, b"weights of the killed")
    assert len(home.work(run)) == 2
    home.fail(run)
    home.hours_pass(25)

    freed = home.maintain()

    assert freed == Freed(1, 21, 0, (run.id,))
    assert not home.layout.has(blob)
    assert home.work(run) == []
    assert home.freed() == [freed.as_dict()]
    assert "freed 1 files (21 bytes) of the registry, 0 uploads, the work of 1 runs" in caplog.text


def test_what_a_run_left_today_stays_for_a_day(home: Home) -> None:
    run = home.begin()
    blob = home.publish(run, b"young")
    home.fail(run)
    home.hours_pass(23)
    assert home.maintain().num_blobs == 0
    assert home.layout.has(blob)


def test_nothing_of_a_run_under_way_goes_however_long_it_takes(home: Home) -> None:
    run = home.begin()
    early = home.publish(run, b"the first target")
    home.hours_pass(24 * 30)
    late = home.publish(run, b"the second target")
    assert home.maintain() == NOTHING
    assert home.freed() == []
    assert len(home.work(run)) == 2
    stack = home.succeed(run, [early, late])
    home.hours_pass(24 * 30)
    assert home.maintain().runs == (run.id,)
    assert read_stack(home.layout, stack.digest).name == "base"


def test_a_run_whose_hub_was_away_for_days_still_finds_its_blobs(home: Home) -> None:
    run = home.begin()
    blob = home.publish(run, b"done while the hub was away")
    with home.context.database.transaction() as session:
        runs.requeue(session, run.id, run.fence, lost=True, reason="the worker is gone")
    home.hours_pass(24 * 9)
    assert home.maintain() == NOTHING
    assert home.layout.has(blob)


def test_a_registered_version_stays_also_without_its_tag(home: Home) -> None:
    run = home.begin()
    stack = home.succeed(run, [home.publish(run, b"weights")])
    home.layout.untag("default/base", "1")
    home.hours_pass(24 * 365)
    assert home.maintain().num_blobs == 0
    read_stack(home.layout, stack.digest)


@pytest.mark.parametrize("damage", ["missing", "corrupt"])
def test_with_a_damaged_registry_nothing_of_it_goes_but_the_rest_does(
    home: Home, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = home.begin(), home.begin()
    stack = home.succeed(good, [home.publish(good, b"weights")])
    garbage = home.publish(bad, b"garbage")
    home.fail(bad)
    manifest = home.layout.path(
        read_stack(home.layout, stack.digest).targets["safetensors"].manifest.digest
    )
    manifest.chmod(0o644)
    if damage == "missing":
        manifest.unlink()
    else:
        manifest.write_bytes(manifest.read_bytes()[:-1] + b" ")
    home.hours_pass(48)

    freed = home.maintain()

    assert (freed.num_blobs, set(freed.runs)) == (0, {good.id, bad.id})
    assert home.layout.has(garbage)
    assert "nothing of the registry was removed" in caplog.text
    assert manifest.name in caplog.text


def test_uploads_go_after_a_week_but_not_those_that_a_run_waits_to_read(home: Home) -> None:
    folder = home.context.home / "uploads"
    for content in (b"read later", b"forgotten"):
        (folder / sha256_bytes(content)[7:]).write_bytes(content)
    run = home.begin(upload=sha256_bytes(b"read later"))
    home.hours_pass(24 * 8)
    assert home.maintain() == Freed(0, 0, 1, ())
    assert upload_path(home.context.home, sha256_bytes(b"read later")).exists()
    home.fail(run)
    assert home.maintain() == Freed(0, 0, 1, (run.id,))


def test_sessions_that_are_over_go_and_so_do_failures_that_no_longer_count(home: Home) -> None:
    town = Town(home.context.database)
    ended, idle, used = (town.signed_up(name) for name in ("ann", "bob", "eve"))
    town.sign_out(town.recognise(ended))
    town.now += sessions.IDLE_MS - 60_000
    town.touch(town.recognise(used))
    with pytest.raises(sessions.SignInRefused):
        town.sign_in("nobody")
    assert home.maintain(town.clock) == Freed(0, 0, 0, (), num_sessions=1)
    town.now += 15 * 60_000
    expected = Freed(0, 0, 0, (), num_sessions=1, num_sign_in_tries=1)
    assert home.maintain(town.clock) == expected
    assert home.freed()[-1] == expected.as_dict()
    assert town.recognise(used).principal.name == "eve"
    with pytest.raises(sessions.SessionEnded):
        town.recognise(idle)
    assert home.maintain(town.clock) == NOTHING


class HomeMachine(RuleBasedStateMachine):
    """Any order of publishing, registering, failing, waiting and tidying.

    The model knows for each blob how many hours ago it was last wanted by a run. Runs publish few
    different blobs, so they share them all the time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.opened = open_home(Path(self.folder.name))
        self.home = self.opened.__enter__()
        self.live: dict[str, tuple[Run, int, set[str]]] = {}
        self.registered: list[tuple[StackVersion, set[str]]] = []
        self.ages: dict[str, int] = {}

    @precondition(lambda self: len(self.live) < 3)
    @rule(number=st.integers(0, 4))
    def begin(self, number: int) -> None:
        run = self.home.begin()
        self.live[run.id] = (run, 0, set())
        self._publish(run, number)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), number=st.integers(0, 4))
    def publish_more(self, data: st.DataObject, number: int) -> None:
        self._publish(self._draw(data)[0], number)

    def _publish(self, run: Run, number: int) -> None:
        digest = self.home.publish(run, f"weights {number}".encode())
        self.live[run.id][2].add(digest)
        self.ages[digest] = 0

    @precondition(lambda self: self.live)
    @rule(data=st.data(), as_child=st.booleans())
    def succeed(self, data: st.DataObject, as_child: bool) -> None:
        run, _, stored = self._draw(data)
        bases = [stack for stack, _ in self.registered if stack.level is Level.L0]
        parent = bases[0] if as_child and bases else None
        stack = self.home.succeed(run, sorted(stored), parent)
        self.registered.append((stack, stored))
        self.ages.update(dict.fromkeys(stored, 0))
        del self.live[run.id]

    @precondition(lambda self: self.registered)
    @rule(data=st.data())
    def untag(self, data: st.DataObject) -> None:
        stack, _ = data.draw(st.sampled_from(self.registered))
        self.home.layout.untag(f"default/{stack.name}", str(stack.version))

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        run, _, _ = self._draw(data)
        self.home.fail(run)
        del self.live[run.id]

    @rule(hours=st.sampled_from([0, 10, 30, 200]))
    def maintain_later(self, hours: int) -> None:
        self.home.hours_pass(hours)
        self.ages = {digest: age + hours for digest, age in self.ages.items()}
        self.live = {id_: (run, age + hours, b) for id_, (run, age, b) in self.live.items()}
        self.home.maintain()
        wanted = {digest for _, stored in self.registered for digest in stored}
        limit = max([24, *(age + 1 for _, age, _ in self.live.values())])
        for digest, age in list(self.ages.items()):
            if digest in wanted or age < limit:
                assert self.home.layout.has(digest)
            elif age > limit:
                assert not self.home.layout.has(digest)
            if not self.home.layout.has(digest):
                del self.ages[digest]
        left = {p.name for p in (self.home.context.home / "runs").iterdir() if _works(p.name, self)}
        assert left == set(self.live)

    @invariant()
    def what_is_somebodys_is_there(self) -> None:
        for _, _, stored in self.live.values():
            assert all(self.home.layout.has(digest) for digest in stored)
        for stack, stored in self.registered:
            blobs = read_stack(self.home.layout, stack.digest).targets["safetensors"].blobs
            assert stored <= {blob.digest for blob in blobs}
            assert all(self.home.layout.has(blob.digest) for blob in blobs)

    def _draw(self, data: st.DataObject) -> tuple[Run, int, set[str]]:
        return self.live[data.draw(st.sampled_from(sorted(self.live)))]

    def teardown(self) -> None:
        self.opened.__exit__(None, None, None)
        self.folder.cleanup()


def _works(run_id: str, machine: HomeMachine) -> bool:
    return bool(run_folder(machine.home.context.home, run_id).work())


TestHomeMachine = HomeMachine.TestCase
TestHomeMachine.settings = settings(deadline=None, max_examples=20, stateful_step_count=20)
