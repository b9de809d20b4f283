"""Releases are found by stack, digest and state; what passed and has no release is offered."""

from __future__ import annotations

from sqlalchemy.orm import Session
from tests.releases.stacks import digest_of, gate, gated, register

from dizuo.database.engine import Database
from dizuo.gates.report import Verdict
from dizuo.releases import finding, service
from dizuo.releases.finding import ReleaseFilter
from dizuo.releases.model import ReleaseState
from dizuo.releases.repository import Repository

ACTOR = "operator:ann"


def _found(session: Session, wanted: ReleaseFilter, limit: int = 10, offset: int = 0) -> list[str]:
    return [one.stack for one in finding.find(session, wanted, limit=limit, offset=offset)]


def test_releases_are_searched_and_counted(database: Database, repository: Repository) -> None:
    with database.transaction() as session:
        for name, version in (("meter", 1), ("meter", 12), ("hotline", 1)):
            service.release(session, repository, gated(session, name, version), ACTOR)
        service.withdraw(session, repository, "meter:12", ACTOR)
    with database.reading() as session:
        assert _found(session, ReleaseFilter()) == ["hotline:1", "meter:12", "meter:1"]
        assert _found(session, ReleaseFilter(), limit=1, offset=1) == ["meter:12"]
        assert _found(session, ReleaseFilter("METER:1")) == ["meter:12", "meter:1"]
        digest = digest_of("default/meter:12")
        for text in (digest, digest.removeprefix("sha256:")[:12]):
            assert _found(session, ReleaseFilter(text)) == ["meter:12"]
        assert _found(session, ReleaseFilter("m_ter")) == []
        assert _found(session, ReleaseFilter(state=ReleaseState.SIGNED)) == ["hotline:1", "meter:1"]
        assert finding.count_states(session, ReleaseFilter("meter")) == {
            ReleaseState.SIGNED: 1,
            ReleaseState.WITHDRAWN: 1,
        }
        assert _found(session, ReleaseFilter(project_id="other")) == []


def test_what_could_be_released_is_what_release_would_sign(
    database: Database, repository: Repository
) -> None:
    with database.transaction() as session:
        service.release(session, repository, gated(session, "released", 1), ACTOR)
        service.release(session, repository, gated(session, "withdrawn", 1), ACTOR)
        service.withdraw(session, repository, "withdrawn:1", ACTOR)
        register(session, "never-measured", 1)
        gate(session, register(session, "failed", 1), Verdict.FAIL)
        gate(session, gated(session, "worse-now", 1), Verdict.FAIL, seed=1)
        fixed = register(session, "better-now", 1)
        gate(session, fixed, Verdict.FAIL)
        gate(session, fixed, Verdict.PASS, seed=1)
        gated(session, "passed", 3)
        foreign = register(session, "foreign", 1, project_id="other")
        gate(session, foreign, Verdict.PASS)
    with database.reading() as session:
        found = finding.candidates(session, limit=10)
        assert [one.stack for one in found] == ["passed:3", "better-now:1"]
        assert [one.stack for one in finding.candidates(session, limit=1)] == ["passed:3"]
        elsewhere = finding.candidates(session, project_id="other", limit=10)
        assert [one.stack for one in elsewhere] == ["foreign:1"]
