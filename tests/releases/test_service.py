"""Deciding what is released, and a repository that always says the same as the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy.orm import Session
from tests.releases.stacks import digest_of, gate, gated, register

from dizuo.access.model import Principal, Role, Surface
from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.errors import DizuoError
from dizuo.core.transitions import TransitionRefused
from dizuo.database.engine import Database
from dizuo.gates.report import Verdict
from dizuo.releases import service
from dizuo.releases.errors import (
    GateNotPassed,
    KeysMissing,
    ReleaseNotFound,
    ReleaseWithdrawn,
)
from dizuo.releases.model import RELEASE_MACHINE, Release, ReleaseState
from dizuo.releases.repository import Repository
from dizuo.releases.service import Reconciled
from dizuo.stacks import service as stacks
from dizuo.stacks.errors import StackNotFound
from dizuo.stacks.model import StackVersion

ACTOR = "operator:ann"
PASS, FAIL, UNKNOWN = Verdict.PASS, Verdict.FAIL, Verdict.CANNOT_TELL


def actions(database: Database) -> list[str]:
    with database.reading() as session:
        assert audit.verify(session).ok
        return [entry.action for entry in audit_store.stream(session)]


def release_one(
    database: Database, repository: Repository, name: str = "meter-reading", version: int = 1
) -> Release:
    with database.transaction() as session:
        stack = gated(session, name, version)
        return service.release(session, repository, stack, ACTOR)


def test_release_signs_marks_and_audits(database: Database, repository: Repository) -> None:
    made = release_one(database, repository)
    assert made.state is ReleaseState.SIGNED
    assert (made.stack, made.targets) == ("meter-reading:1", ("safetensors", "onnx"))
    assert repository.targets("default") == {"default/meter-reading/1.json": made.digest}
    with database.reading() as session:
        incumbent = stacks.incumbent(session, "meter-reading")
        assert incumbent is not None
        assert incumbent.digest == made.digest
        assert service.get(session, made.id) == made
        assert service.listing(session) == [made]
        assert service.signed_digests(session) == {made.digest}
    assert actions(database) == ["stack.gated", "stack.released", "release.signed"]


def test_releasing_again_returns_the_first(database: Database, repository: Repository) -> None:
    first = release_one(database, repository)
    with database.transaction() as session:
        stack = stacks.get_by_digest(session, first.digest)
        again = service.release(session, repository, stack, "operator:bob")
    assert again == first
    assert actions(database).count("release.signed") == 1


# Nothing ships ungated: (the reports in their order, whether it may be released).


@pytest.mark.parametrize(
    ("reports", "is_fit"),
    [
        ([], False),
        ([()], False),
        ([(FAIL,)], False),
        ([(UNKNOWN,)], False),
        ([(PASS, UNKNOWN)], False),
        ([(PASS, FAIL)], False),
        ([(PASS,), (FAIL,)], False),
        ([(PASS,), ()], False),
        ([(PASS,)], True),
        ([(PASS, PASS)], True),
        ([(FAIL,), (PASS,)], True),
    ],
)
def test_only_a_newest_report_that_passed_counts(
    database: Database,
    repository: Repository,
    reports: list[tuple[Verdict, ...]],
    is_fit: bool,
) -> None:
    with database.transaction() as session:
        stack = register(session)
        for seed, verdicts in enumerate(reports):
            gate(session, stack, *verdicts, seed=seed)
    before = actions(database)
    if is_fit:
        with database.transaction() as session:
            service.release(session, repository, stack, ACTOR)
        assert repository.targets("default") == {"default/meter-reading/1.json": stack.digest}
        return
    with pytest.raises(GateNotPassed, match="dizuo gate"), database.transaction() as session:
        service.release(session, repository, stack, ACTOR)
    assert repository.targets("default") == {}
    assert actions(database) == before


def test_a_report_about_other_bytes_does_not_count(
    database: Database, repository: Repository
) -> None:
    with database.transaction() as session:
        gated(session, version=1)
        other = register(session, version=2)
    with pytest.raises(GateNotPassed), database.transaction() as session:
        service.release(session, repository, other, ACTOR)


def test_a_report_of_another_project_does_not_count(
    database: Database, repository: Repository
) -> None:
    with database.transaction() as session:
        stack = register(session)
        gate(session, replace(stack, project_id="other"), PASS)
    with pytest.raises(GateNotPassed), database.transaction() as session:
        service.release(session, repository, stack, ACTOR)


def test_without_keys_nothing_is_released(database: Database, repository: Repository) -> None:
    (repository.directory.parent / "keys" / "online" / "snapshot.pem").unlink()
    with pytest.raises(KeysMissing):
        release_one(database, repository)
    with database.reading() as session:
        assert service.listing(session) == []


# Taking back.


def test_withdraw(database: Database, repository: Repository) -> None:
    made = release_one(database, repository)
    with database.transaction() as session:
        taken = service.withdraw(session, repository, made.id, ACTOR)
    assert taken.state is ReleaseState.WITHDRAWN
    assert taken.withdrawn_ms is not None
    assert repository.targets("default") == {}
    assert actions(database)[-1] == "release.withdrawn"
    with database.reading() as session:
        assert service.signed_digests(session) == frozenset()


def test_withdrawn_is_final(database: Database, repository: Repository) -> None:
    made = release_one(database, repository)
    with database.transaction() as session:
        service.withdraw(session, repository, made.id, ACTOR)
        stack = stacks.get_by_digest(session, made.digest)
    with pytest.raises(TransitionRefused), database.transaction() as session:
        service.withdraw(session, repository, made.id, ACTOR)
    with pytest.raises(ReleaseWithdrawn), database.transaction() as session:
        service.release(session, repository, stack, ACTOR)
    assert repository.targets("default") == {}


@pytest.mark.parametrize("project", ["default", "other"])
def test_what_is_not_there_cannot_be_withdrawn(
    database: Database, repository: Repository, project: str
) -> None:
    made = release_one(database, repository)
    release_id = made.id if project == "other" else "0190-nothing"
    with pytest.raises(ReleaseNotFound), database.transaction() as session:
        service.withdraw(session, repository, release_id, ACTOR, project_id=project)
    assert repository.targets("default")


def test_the_machine() -> None:
    assert RELEASE_MACHINE.states == set(ReleaseState)
    assert RELEASE_MACHINE.final_states == {"withdrawn"}


# Finding what sites may be directed to.


@pytest.fixture
def three(database: Database, repository: Repository) -> dict[int, Release]:
    """Versions 1, 2 and 3, of which 2 was withdrawn; version 4 was never released."""
    made = {n: release_one(database, repository, version=n) for n in (1, 2, 3)}
    with database.transaction() as session:
        service.withdraw(session, repository, made[2].id, ACTOR)
        gated(session, version=4)
    return made


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("meter-reading:1", 1),
        ("default/meter-reading:1", 1),
        ("meter-reading:3", 3),
        ("meter-reading", 3),
        (f"meter-reading:1@{digest_of('default/meter-reading:1')}", 1),
        (f"meter-reading@{digest_of('default/meter-reading:1')}", 1),
        (f"meter-reading@{digest_of('default/meter-reading:3')}", 3),
        (f"meter-reading@{digest_of('default/meter-reading:2')}", ReleaseWithdrawn),
        (f"meter-reading@{digest_of('default/meter-reading:4')}", ReleaseNotFound),
        (f"meter-reading:3@{digest_of('default/meter-reading:1')}", ReleaseNotFound),
        (f"gauges@{digest_of('default/meter-reading:1')}", ReleaseNotFound),
        (f"other/meter-reading@{digest_of('default/meter-reading:1')}", ReleaseNotFound),
        ("meter-reading:2", ReleaseWithdrawn),
        ("meter-reading:4", ReleaseNotFound),
        ("nothing:1", ReleaseNotFound),
        ("other/meter-reading:1", ReleaseNotFound),
        (f"meter-reading:1@{digest_of('else')}", ReleaseNotFound),
    ],
)
def test_signed(
    database: Database, three: dict[int, Release], text: str, found: int | type[DizuoError]
) -> None:
    with database.reading() as session:
        if isinstance(found, int):
            assert service.signed(session, text).version == found
            return
        with pytest.raises(found):
            service.signed(session, text)


# The database is what counts.


class Crash(BaseException):
    """The process ends here."""


def crash(database: Database, work: Callable[[Session], object]) -> None:
    """Do the work and end before it is committed."""

    def work_and_crash() -> None:
        with database.transaction() as session:
            work(session)
            raise Crash

    with pytest.raises(Crash):
        work_and_crash()


def reconcile(database: Database, repository: Repository) -> Reconciled:
    with database.transaction() as session:
        return service.reconcile(session, repository)


@pytest.fixture
def stack(database: Database) -> StackVersion:
    """A stack that may be released."""
    with database.transaction() as session:
        return gated(session)


def test_a_crash_between_signing_and_commit_is_taken_back(
    database: Database, repository: Repository, stack: StackVersion
) -> None:
    crash(database, lambda session: service.release(session, repository, stack, ACTOR))
    assert repository.targets("default") != {}
    with database.reading() as session, pytest.raises(ReleaseNotFound):
        service.signed(session, stack.ref)
    assert reconcile(database, repository) == Reconciled(num_removed=1, num_added=0)
    assert repository.targets("default") == {}
    assert actions(database)[-1] == "signature.removed"
    assert reconcile(database, repository) == Reconciled(0, 0)


def test_a_release_that_is_repeated_after_a_crash_needs_no_reconciling(
    database: Database, repository: Repository, stack: StackVersion
) -> None:
    crash(database, lambda session: service.release(session, repository, stack, ACTOR))
    with database.transaction() as session:
        service.release(session, repository, stack, ACTOR)
    assert reconcile(database, repository) == Reconciled(0, 0)
    assert repository.targets("default") == {"default/meter-reading/1.json": stack.digest}


def test_a_withdrawal_that_was_not_committed_is_signed_again(
    database: Database, repository: Repository
) -> None:
    made = release_one(database, repository)
    crash(database, lambda session: service.withdraw(session, repository, made.id, ACTOR))
    assert repository.targets("default") == {}
    assert reconcile(database, repository) == Reconciled(num_removed=0, num_added=1)
    assert repository.targets("default") == {"default/meter-reading/1.json": made.digest}
    assert actions(database)[-1] == "signature.restored"


def test_another_digest_under_a_released_version_is_replaced(
    database: Database, repository: Repository
) -> None:
    made = release_one(database, repository)
    repository.remove_target("default", made.name, made.version)
    repository.add_target(replace(made.as_target(), digest=digest_of("forged")))
    assert reconcile(database, repository) == Reconciled(num_removed=1, num_added=1)
    assert repository.targets("default") == {"default/meter-reading/1.json": made.digest}


def test_two_at_once_make_one_release(any_database: Database, repository: Repository) -> None:
    with any_database.transaction() as session:
        stack = gated(session)
    made: list[Release] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait(timeout=30)
        with any_database.transaction() as session:
            made.append(service.release(session, repository, stack, ACTOR))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(made) == 4
    assert len({one.id for one in made}) == 1
    assert actions(any_database).count("release.signed") == 1


def test_the_callers_project_decides(database: Database, repository: Repository) -> None:
    with database.transaction() as session:
        stack = gated(session)
    stranger = Principal("id", "ann", Surface.API, "other", Role.RELEASER)
    for text in ("meter-reading:1", "default/meter-reading:1", "other/meter-reading:1"):
        with pytest.raises(StackNotFound), database.transaction() as session:
            service.release_named(session, repository, text, stranger)
    own = replace(stranger, project_id="default")
    with database.transaction() as session:
        made = service.release_named(session, repository, stack.ref, own)
    assert made.digest == stack.digest
