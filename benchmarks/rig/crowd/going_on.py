"""What goes on in a crowded hub while people look: a run whose curves grow, sites that are heard
of, samples that come in and are labelled, a rollout that goes on, improvements that are decided on.

It is written past the hub's services, a few rows a second, so that whoever looks at a live page has
something to see; figures with and without people who look are taken beside the same bustle.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from benchmarks.rig.crowd import training
from benchmarks.rig.crowd.fill import Filled
from benchmarks.rig.crowd.rows import Values, columns
from benchmarks.rig.crowd.samples import REASONS, Origin, reviewed, sample
from benchmarks.rig.crowd.stacks import APPROVER
from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.datasets.store import DatasetRow, DatasetVersionRow, SampleRow
from dizuo.improvements.model import State
from dizuo.improvements.store import ImprovementRow
from dizuo.runs.folder import AttemptResult, ResultStatus, run_folder
from dizuo.runs.store import RunRow
from dizuo.sites.rollout_store import RolloutSiteRow
from dizuo.sites.store import SiteRow
from dizuo.stacks.store import StackRow

BEAT_SECONDS = 1.0
_STEPS_A_BEAT = 5
_NUM_SITES_HEARD = 5


@contextmanager
def going_on(home: Path, filled: Filled) -> Iterator[str]:
    """Let things happen in the database of a hub's home while the block runs; the id of a run that
    is running meanwhile.

    That run's lock is held here, so the hub takes it for one whose worker lives.
    """
    run_id, stopping = new_id(), threading.Event()
    folder = run_folder(home, run_id)
    lock = folder.acquire()
    assert lock is not None, "nobody else knows of the run"
    training.begin(folder)
    database = Database(sqlite_url(home / "hub.db"))
    bustle = _Bustle(database, home, filled, run_id)
    with ThreadPoolExecutor(1) as threads:
        going = threads.submit(bustle.go_on, stopping)
        try:
            yield run_id
        finally:
            stopping.set()
    ended = AttemptResult(training.FENCE, ResultStatus.CANCELLED, {}, {})
    folder.attempt(training.FENCE).write_result(ended)
    os.close(lock)
    database.close()
    going.result()


class _Bustle:
    """Writes what happens, one beat after the other."""

    def __init__(self, database: Database, home: Path, filled: Filled, run_id: str) -> None:
        self._database, self._home = database, home
        self._run_id = run_id
        self._filled = filled
        self._draw = random.Random(run_id)
        self._numbers = count(filled.num_rows[SampleRow.__tablename__])
        with database.transaction() as session:
            self._sites = session.scalars(select(SiteRow.id)).all()
            self._entries = _ids_of_entries(session, filled.rollout_id)
            self._stack = _one(session, StackRow, run_id=filled.run_id)
            self._site = _one(session, SiteRow, name=filled.site)
            self._dataset_id = _one(session, DatasetRow, name=filled.dataset)["id"]
            self._add_run(session, run_id, state="running", outcome=None, finished_ms=None)

    def go_on(self, stopping: threading.Event) -> None:
        """Until told to stop."""
        folder = run_folder(self._home, self._run_id)
        for beat in count():
            step = beat * _STEPS_A_BEAT + 1
            training.tell(folder, range(step, step + _STEPS_A_BEAT))
            with self._database.transaction() as session:
                self._beat(session, beat)
            if stopping.wait(BEAT_SECONDS):
                return

    def _beat(self, session: Session, beat: int) -> None:
        self._hear_of_sites(session, beat)
        self._return_samples(session)
        self._roll_on(session, beat)
        self._decide(session)
        self._add_version(session)
        self._add_run(session, new_id(), finished_ms=now_ms())

    def _hear_of_sites(self, session: Session, beat: int) -> None:
        some = self._draw.sample(self._sites, min(_NUM_SITES_HEARD, len(self._sites)))
        heard = update(SiteRow).where(SiteRow.id.in_([self._site["id"], *some]))
        session.execute(
            heard.values(last_seen_ms=now_ms(), samples_waiting=beat, answers=SiteRow.answers + 1)
        )

    def _return_samples(self, session: Session) -> None:
        """One for each reason; that of the last one is reviewed at once."""
        for reason in REASONS:
            origin = Origin(self._site["name"], self._stack, now_ms(), reason)
            row = sample(self._home, next(self._numbers), origin, self._draw)
            if reason == REASONS[-1]:
                row |= reviewed(row, "reviewed", self._draw)
            session.execute(insert(columns(SampleRow)).values(row))

    def _roll_on(self, session: Session, beat: int) -> None:
        """One site more has arrived; once all have, one after the other sets out again."""
        turn, place = divmod(beat, len(self._entries))
        state = "progressing" if turn % 2 else "done"
        here = update(RolloutSiteRow).where(RolloutSiteRow.id == self._entries[place])
        session.execute(here.values(state=state, updated_ms=now_ms()))

    def _decide(self, session: Session) -> None:
        """Of those that wait the oldest but one is turned down, and another one like it asks."""
        waiting = select(ImprovementRow.id).where(ImprovementRow.state == State.AWAITING_APPROVAL)
        chosen = session.scalars(waiting.order_by(ImprovementRow.id).offset(1).limit(1)).one()
        _another(session, ImprovementRow, chosen, updated_ms=now_ms())
        reason = "It misreads house numbers."
        turned_down = update(ImprovementRow).where(ImprovementRow.id == chosen)
        session.execute(turned_down.values(state=State.REJECTED.value, reason=reason))
        detail = {"state": State.REJECTED.value, "reason": reason}
        audit.record(session, APPROVER, "improvement.reject", f"improvement:{chosen}", detail)

    def _add_version(self, session: Session) -> None:
        of = DatasetVersionRow.dataset_id == self._dataset_id
        newest = select(DatasetVersionRow).where(of).order_by(DatasetVersionRow.version.desc())
        last = session.scalars(newest.limit(1)).one()
        version = last.version + 1
        changes: Values = {"version": version, "parent_version": last.version}
        changes |= {"num_rows": last.num_rows + 1, "origin": f"origin {version}"}
        _another(session, DatasetVersionRow, last.id, **changes, created_ms=now_ms())

    def _add_run(self, session: Session, run_id: str, **changes: Any) -> None:
        """Another one like the crowd's newest, begun now."""
        begun = {"id": run_id, "key": run_id, "created_ms": now_ms(), "started_ms": now_ms()}
        _another(session, RunRow, self._filled.run_id, **begun, **changes)


def _ids_of_entries(session: Session, rollout_id: str) -> list[str]:
    query = select(RolloutSiteRow.id).where(RolloutSiteRow.rollout_id == rollout_id)
    return list(session.scalars(query.order_by(RolloutSiteRow.site_name)))


def _one(session: Session, table: type[Row], **known: str) -> Values:
    query = select(columns(table)).filter_by(**known)
    return dict(session.execute(query).mappings().one())


def _another(session: Session, table: type[Row], like: str, **changes: Any) -> None:
    """Write a row like another one, under an id of its own."""
    row = {**_one(session, table, id=like), "id": new_id(), **changes}
    session.execute(insert(columns(table)).values(row))
