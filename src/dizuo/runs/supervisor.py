"""The hub's side of running: one thread that starts, watches, adopts, ends and finishes runs.

What it knows is in the database and in the runs' folders, so a supervisor that starts after a crash
goes on where the last one was. Its rules:

- A worker holds its run's lock from birth to death. Who can take the lock knows that none lives.
- A run gets its next fence, and the folder learns of it, under the lock and before the worker is
  started. Only a result under the newest fence counts.
- A result counts in one transaction: the kind's `finish`, the state, the audit entry. So it counts
  exactly once, whatever is killed when.
- Only one supervisor acts in a home: the one that holds `runs/leader.lock`.
- A run is prepared beside the thread that watches, which waits for nobody.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from dizuo.core.clock import now_ms
from dizuo.core.errors import DizuoError, Unavailable
from dizuo.core.transitions import TransitionRefused
from dizuo.runs import process, service
from dizuo.runs.errors import RunCrashed, RunTimeout, StaleFence, WorkerLost
from dizuo.runs.folder import AttemptResult, ResultStatus, RunFolder, run_folder, try_lock
from dizuo.runs.kinds import Kind, RunContext, choose_kind
from dizuo.runs.model import Run, RunState
from dizuo.runs.preparing import Outcome, Preparations
from dizuo.runs.watch import Limits, Watch

_IDLE_SECONDS = 1.0
"""How often to look for runs that another process queued."""

_logger = logging.getLogger(__name__)


class Supervisor:
    """Runs what is queued.

    Args:
        context: the hub's parts.
        kinds: what can be run, by name (`kinds.installed_kinds()`).
        limits: how.
    """

    def __init__(
        self, context: RunContext, kinds: Mapping[str, Kind], limits: Limits | None = None
    ) -> None:
        self.context = context
        self.kinds = kinds
        self.limits = limits or Limits()
        self.leading = threading.Event()
        self._watches: dict[str, Watch] = {}
        self._stopping = threading.Event()
        self._end_workers = False
        self._wake = threading.Event()
        self._preparations = Preparations(self._prepare, self.limits.parallel, self._wake.set)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._main, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin, as soon as no other supervisor acts in this home; returns at once."""
        self._thread.start()

    def stop(self, *, end_workers: bool = False) -> None:
        """Stop supervising. Workers go on, for the next supervisor to adopt, unless told to end:
        then they are asked to stop, and their runs are queued again to go on from there later."""
        self._end_workers = end_workers
        self._stopping.set()
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def wake(self) -> None:
        """Look at the database now: something was queued or cancelled."""
        self._wake.set()
        self._notify()

    def wait(self, run_id: str, timeout_seconds: float) -> Run:
        """The run, once it has ended.

        Raises:
            RunNotFound: there is no such run.
            RunTimeout: it has not ended in time, or this supervisor is stopping.
        """
        deadline = time.monotonic() + timeout_seconds
        self._wake.set()
        with self._changed:
            while True:
                run = self._read(run_id)
                left = deadline - time.monotonic()
                if run.is_final:
                    return run
                if left <= 0 or self._stopping.is_set():
                    raise RunTimeout(f"The run {run_id} is still {run.state}.")
                self._changed.wait(min(left, _IDLE_SECONDS))

    def _read(self, run_id: str) -> Run:
        with self.context.database.reading() as session:
            return service.get(session, run_id)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    # The thread

    def _main(self) -> None:
        lock = self._become_leader()
        if lock is None:
            return
        self.leading.set()
        try:
            while not self._stopping.is_set():
                self._pause(self.limits.poll_seconds if self._try_round() else _IDLE_SECONDS)
            if self._end_workers:
                self._end_all()
        finally:
            self._preparations.close()
            self.leading.clear()
            os.close(lock)

    def _pause(self, seconds: float) -> None:
        self._wake.wait(seconds)
        self._wake.clear()

    def _become_leader(self) -> int | None:
        path = self.context.home / "runs" / "leader.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        while not try_lock(lock):
            if self._stopping.wait(self.limits.poll_seconds):
                os.close(lock)
                return None
        return lock

    def _try_round(self) -> bool:
        try:
            return self._round()
        except Unavailable as error:
            _logger.warning("cannot look at the runs now: %s", error)
        except Exception:  # the thread's edge: logged, and tried again
            _logger.exception("looking at the runs failed")
        return True

    def _round(self) -> bool:
        """Look at every active run once; whether there are any."""
        running = self._attend_all()
        with self.context.database.reading() as session:
            queued = service.in_state(session, RunState.QUEUED)
        self._preparations.forget_others([run.id for run in queued])
        places = max(0, self.limits.parallel - len(running))
        for run in queued[:places]:
            self._guard(run, self._begin)
        return bool(running or queued)

    def _attend_all(self) -> list[Run]:
        """Look at every running run once; those that are running after that."""
        with self.context.database.reading() as session:
            running = service.in_state(session, RunState.RUNNING)
        for run in running:
            self._guard(run, self._attend)
        return [run for run in running if run.id in self._watches]

    def _guard(self, run: Run, act: Callable[[Run], None]) -> None:
        """Let one run's trouble be its own: the others go on."""
        try:
            act(run)
        except (StaleFence, TransitionRefused) as error:
            _logger.info("run %s has moved on: %s", run.id, error)
        except Unavailable as error:
            _logger.warning("run %s is tried again: %s", run.id, error)
        except DizuoError as error:
            self._fail(run, error)
        except Exception as error:  # this run's edge: logged, and told in a sentence
            _logger.exception("run %s stopped on an unexpected error", run.id)
            self._fail(run, _crashed(error))

    def _fail(self, run: Run, error: DizuoError) -> None:
        try:
            with self.context.database.transaction() as session:
                fence = service.get(session, run.id).fence
                service.fail(session, run.id, fence, error)
        except (StaleFence, TransitionRefused, Unavailable) as refused:
            _logger.warning("run %s could not be failed now: %s", run.id, refused)
            return
        worker = self._folder(run).attempt(fence).identity()
        if worker is not None:
            process.end(worker)
        self._ended(run)

    # Starting

    def _begin(self, run: Run) -> None:
        prepared = self._preparations.take(run)
        if prepared is None:
            return
        outcome = prepared.result()
        if outcome is not None:
            self._reuse(run, outcome)
            return
        folder = self._folder(run)
        lock = folder.acquire()
        if lock is None:
            _logger.info("run %s waits: a process still holds its lock", run.id)
            return
        try:
            self._spawn(run, folder, lock)
        finally:
            os.close(lock)

    def _prepare(self, run: Run) -> Outcome:
        """Write down a run's job, unless an earlier attempt has one; its outcome if that is there
        already. On a thread of its own: no worker has the run yet, or it has its job."""
        kind = choose_kind(self.kinds, run.kind)
        folder = self._folder(run)
        if folder.has_job():
            return None
        with self.context.database.reading() as session:
            outcome = kind.check(self.context, session, run.spec)
            if outcome is None:
                folder.write_job(run.kind, kind.prepare(self.context, session, run.spec))
        return outcome

    def _reuse(self, run: Run, outcome: dict[str, Any]) -> None:
        with self.context.database.transaction() as session:
            service.reuse(session, run.id, outcome)
        self._ended(run)

    def _spawn(self, run: Run, folder: RunFolder, lock: int) -> None:
        attempt = folder.attempt(run.fence + 1)
        with self.context.database.transaction() as session:
            service.start(session, run.id, self._lease_ms())
            # Before the commit: the folder may know of a fence that the database does not (it is
            # given again), never the other way round.
            attempt.open(self.limits.plan(attempt.fence, folder.first_plan()))
        pid = process.spawn_worker(folder.path, attempt, lock)
        attempt.write_identity(process.identity_of(pid, attempt.fence))
        self._watches[run.id] = Watch(attempt)
        _logger.info("run %s attempt %d started as process %d", run.id, attempt.fence, pid)
        self._notify()

    # Watching

    def _attend(self, run: Run) -> None:
        folder = self._folder(run)
        watch = self._watch(run, folder)
        if (worker := watch.worker()) is not None:
            process.reap(worker.pid)
        if folder.is_locked():
            self._oversee(run, folder, watch)
        else:
            self._settle(run, folder)

    def _watch(self, run: Run, folder: RunFolder) -> Watch:
        watch = self._watches.get(run.id)
        if watch is None or watch.attempt.fence != run.fence:
            watch = self._watches[run.id] = Watch(folder.attempt(run.fence))
            _logger.info("run %s attempt %d adopted", run.id, run.fence)
        return watch

    def _oversee(self, run: Run, folder: RunFolder, watch: Watch) -> None:
        """One look at a living worker."""
        watch.look()
        worker = watch.worker()
        if run.cancel_ms is not None:
            self._press(folder, watch)
        if worker is None:
            return  # adopted in the instant of its birth; it says who it is in a moment
        if not process.is_alive(worker):
            process.end(worker)  # processes that it left behind
        elif watch.is_expired(self.limits.lease_seconds):
            _logger.warning("run %s attempt %d hangs; it is ended", run.id, run.fence)
            process.end(worker)
        elif watch.lease_is_due(self.limits.lease_seconds):
            with self.context.database.transaction() as session:
                service.renew_lease(session, run.id, run.fence, self._lease_ms())

    def _press(self, folder: RunFolder, watch: Watch) -> None:
        """Make a worker stop: by the marker and SIGTERM, and after the grace by SIGKILL."""
        worker = watch.worker()
        if watch.ask_once():
            folder.request_cancel()
            if worker is not None:
                process.ask_to_stop(worker)
        elif worker is not None and watch.grace_is_over(self.limits.cancel_grace_seconds):
            process.end(worker)

    # Ending

    def _settle(self, run: Run, folder: RunFolder) -> None:
        """Decide what becomes of a run whose worker is gone."""
        result = folder.attempt(run.fence).result()
        with self.context.database.transaction() as session:
            current = service.current_attempt(session, run.id, run.fence)
            settled = self._decide(session, current, result)
        self._watches.pop(run.id, None)
        if settled.is_final:
            self._ended(settled)
        _logger.info("run %s attempt %d: %s", run.id, run.fence, settled.state)

    def _decide(self, session: Session, run: Run, result: AttemptResult | None) -> Run:
        was_cancelled = result is not None and result.status is ResultStatus.CANCELLED
        if run.cancel_ms is not None or was_cancelled:
            return service.cancelled(session, run.id, run.fence)
        if result is None:
            return self._replace_lost(session, run)
        if result.status is ResultStatus.SUCCEEDED:
            kind = choose_kind(self.kinds, run.kind)
            outcome = kind.finish(self.context, session, run, result.result)
            return service.succeed(session, run.id, run.fence, outcome)
        if result.status is ResultStatus.FAILED:
            return service.fail(session, run.id, run.fence, result.error)
        reason = "the worker was asked to stop"
        return service.requeue(session, run.id, run.fence, lost=False, reason=reason)

    def _replace_lost(self, session: Session, run: Run) -> Run:
        reason = "the worker ended without a word"
        if run.num_lost < self.limits.max_lost:
            return service.requeue(session, run.id, run.fence, lost=True, reason=reason)
        error = WorkerLost(
            f"The run's process ended {run.num_lost + 1} times without a result.",
            next_step="See the run's log, and whether this machine has enough memory and disk.",
        )
        return service.fail(session, run.id, run.fence, error)

    def _ended(self, run: Run) -> None:
        self._watches.pop(run.id, None)
        self._folder(run).discard_work()
        self._notify()

    def _end_all(self) -> None:
        """Stop every worker and queue its run again; those that do not listen are ended."""
        deadline = time.monotonic() + self.limits.cancel_grace_seconds
        while running := self._attend_all():
            is_late = time.monotonic() > deadline
            for watch in [self._watches[run.id] for run in running]:
                worker = watch.worker()
                if worker is not None and is_late:
                    process.end(worker)
                elif worker is not None and watch.ask_once():
                    process.ask_to_stop(worker)
            self._pause(self.limits.poll_seconds)

    def _folder(self, run: Run) -> RunFolder:
        return run_folder(self.context.home, run.id)

    def _lease_ms(self) -> int:
        return now_ms() + round(self.limits.lease_seconds * 1000)


def _crashed(error: Exception) -> RunCrashed:
    return RunCrashed(
        f"The run stopped on an unexpected error: {type(error).__name__}: {str(error)[:500]}.",
        next_step="See the hub's log.",
    )
