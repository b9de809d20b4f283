"""A hub that is filled in bulk is one that its own services believe, and things go on in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.rig.crowd.fill import Crowd, Filled, fill
from benchmarks.rig.crowd.going_on import going_on
from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.console.approvals.evidence import evidence_of
from dizuo.console.overview import history
from dizuo.core.clock import now_ms
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import DEFAULT_PROJECT, Row
from dizuo.datasets import desk, opinions, samples
from dizuo.datasets import service as datasets
from dizuo.datasets.desk import Reviewer
from dizuo.datasets.samples import SampleFilter
from dizuo.improvements import finding
from dizuo.improvements.model import State
from dizuo.runs import service as runs
from dizuo.runs.curves import Listener
from dizuo.runs.folder import run_folder
from dizuo.runs.model import RunFilter, RunState
from dizuo.sites import hours, rollout_finding, tracing
from dizuo.sites import service as sites
from dizuo.stacks import service as stacks
from dizuo.stacks.recipe import parse_recipe

CROWD = Crowd(num_sites=60, num_stacks=220, num_samples=240)
WAITING = frozenset({State.AWAITING_APPROVAL})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's home whose database has every table, and an audit log that has begun."""
    folder = tmp_path_factory.mktemp("crowd")
    database = Database(sqlite_url(folder / "hub.db"))
    Row.metadata.create_all(database.engine)
    with database.transaction() as session:
        audit.record(session, "operator:ann", "hub.freed", "hub")
    database.close()
    return folder


@pytest.fixture(scope="module")
def filled(home: Path) -> Filled:
    return fill(home, CROWD)


@pytest.fixture
def session(home: Path, filled: Filled) -> Iterator[Session]:
    del filled
    database = Database(sqlite_url(home / "hub.db"))
    with database.reading() as session:
        yield session
    database.close()


def test_the_log_is_one_whole_chain_of_all_that_happened(session: Session, filled: Filled) -> None:
    verdict = audit.verify(session)
    assert (verdict.ok, verdict.num_entries) == (True, filled.num_rows["audit_entries"] + 1)
    decided = finding.decided(session, DEFAULT_PROJECT, limit=10)
    assert (len(decided.decisions), decided.has_older) == (10, True)


def test_what_waits_for_a_person_has_evidence(session: Session) -> None:
    waiting = finding.page(session, DEFAULT_PROJECT, WAITING, limit=100)
    assert len(waiting) >= 20
    for one in waiting:
        found = evidence_of(session, one)
        assert found.stack is not None
        assert found.report is not None
        assert [learned.version is not None for learned in found.learned] == [True]
        assert all(site is not None for _, site in found.sites)
        [*before, last] = finding.steps(session, one)
        assert before
        assert last.detail["state"] == State.AWAITING_APPROVAL
        assert parse_recipe(one.request.recipe).name == one.request.served_as


def test_histories_go_back_and_stacks_to_what_they_learned(
    session: Session, filled: Filled
) -> None:
    now = now_ms()
    since = now - 24 * hours.HOUR_MS
    name, project = "samples_waiting", DEFAULT_PROJECT
    noted = history.series(session, project, name, since_ms=since, now_ms=now, num_points=12)
    assert None not in noted
    answered = hours.answers(session, sites.show(session, filled.site), now)
    assert None not in answered[1:]
    newest = stacks.newest(session)
    assert newest is not None
    kinds = {step.kind for step in tracing.outline(session, newest)}
    assert {"sites", "stack", "run", "dataset-version"} <= kinds


def test_reviewers_have_agreed_and_not_and_have_samples_before_them(session: Session) -> None:
    agreement = opinions.agreement(session, DEFAULT_PROJECT, limit=100)
    assert {one.num_class_pairs > 0 for one in agreement} == {True, False}
    assert opinions.num_open(session, DEFAULT_PROJECT) == 1
    assert desk.num_held(session, DEFAULT_PROJECT) == 19
    held = desk.take(session, SampleFilter(), Reviewer("person:ann"))
    assert held is not None
    assert samples.count(session, SampleFilter()).keys() == {"returned", "reviewed", "used"}


def seen(session: Session, filled: Filled) -> dict[str, object]:
    """What each live page is about."""
    project, everything = DEFAULT_PROJECT, RunFilter(DEFAULT_PROJECT)
    return {
        "site": sites.show(session, filled.site),
        "samples": samples.count(session, SampleFilter()),
        "of the stack": samples.count(session, SampleFilter(served_as=filled.stack_name)),
        "novel": samples.count(session, SampleFilter(reason="novel")),
        "rollout": rollout_finding.show(session, filled.rollout_id).states,
        "waiting": finding.page(session, project, WAITING, limit=5),
        "waiting, second page": finding.page(session, project, WAITING, limit=5, offset=5),
        "decided": finding.decided(session, project, limit=10),
        "runs": runs.page(session, everything, limit=10),
        "dataset": datasets.search(session, filled.dataset, offset=0, limit=1),
    }


def test_something_happens_on_whatever_page_somebody_looks_at(
    home: Path, filled: Filled, session: Session
) -> None:
    before = seen(session, filled)
    num_waiting = finding.counts(session, DEFAULT_PROJECT)[State.AWAITING_APPROVAL]
    with going_on(home, filled) as run_id:
        assert run_folder(home, run_id).is_locked()
    session.rollback()  # a new look at the database
    session.expire_all()
    after = seen(session, filled)
    assert [name for name in before if before[name] == after[name]] == []
    assert finding.counts(session, DEFAULT_PROJECT)[State.AWAITING_APPROVAL] == num_waiting
    assert runs.get(session, run_id).state is RunState.RUNNING
    assert {curve.name for curve in Listener(run_folder(home, run_id)).listen().curves} == {
        "loss",
        "learning_rate",
    }
    assert not run_folder(home, run_id).is_locked()
    assert run_folder(home, run_id).attempt(1).result() is not None
    assert audit.verify(session).ok
