"""A hub's fleet as tests drive it: sites join, speak and are directed, each in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, select
from tests.releases.stacks import gate, register

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.database.engine import Database
from dizuo.edge import join
from dizuo.edge.wire import (
    CheckIn,
    CheckInReply,
    DesiredState,
    Direction,
    EnrolReply,
    EnrolRequest,
    SiteError,
)
from dizuo.gates.report import Verdict
from dizuo.releases import service as releases
from dizuo.releases.model import Release
from dizuo.releases.repository import Repository
from dizuo.sites import rollouts, service
from dizuo.sites.model import Site
from dizuo.sites.rollout_model import Rollout

ACTOR = "operator:ann"
M1, M2 = "meter-reading:1", "meter-reading:2"
URL = "http://127.0.0.1:8420"
ROOT = "sha256:" + "c" * 64
State = Literal["empty", "updating", "serving", "fallen_back"]


@dataclass(frozen=True)
class Fleet:
    """One hub's database and repository."""

    database: Database
    repository: Repository

    # Joining.

    def token(self, ttl_seconds: int = 600) -> str:
        """A join token's text."""
        with self.database.transaction() as session:
            issued = service.create_join_token(session, ACTOR, URL, ROOT, ttl_seconds=ttl_seconds)
        return issued.text

    def enrol(self, token: str, name: str, nonce: str | None = None) -> EnrolReply:
        """Join with a token."""
        request = EnrolRequest(
            secret=join.decode(token).secret, site_name=name, agent_version="1.0", nonce=nonce
        )
        with self.database.transaction() as session:
            return service.enrol(session, request)

    def join(self, *names: str) -> None:
        """Let sites in."""
        for name in names:
            self.enrol(self.token(), name)

    # Releases.

    def release(
        self,
        name: str = "meter-reading",
        version: int = 1,
        targets: tuple[str, ...] = ("safetensors", "onnx"),
    ) -> Release:
        """A released stack version."""
        with self.database.transaction() as session:
            stack = register(session, name, version, targets=targets)
            gate(session, stack, Verdict.PASS)
            return releases.release(session, self.repository, stack, ACTOR)

    def released(self, version: int) -> Release:
        """The release of this version of `meter-reading`."""
        with self.database.reading() as session:
            return releases.signed(session, f"meter-reading:{version}")

    def withdraw(self, release: Release) -> None:
        """Take a release back; in the database only, since tests share the repository."""
        with self.database.transaction() as session:
            releases.withdraw(session, self.repository, release.id, ACTOR)

    # Rollouts.

    def start(self, stack: str, sites: Sequence[str] | Literal["all"], **more: str) -> Rollout:
        """Start a rollout."""
        with self.database.transaction() as session:
            return rollouts.start(session, stack, sites, ACTOR, **more)

    def stop(self, rollout: Rollout) -> Rollout:
        """Stop a rollout."""
        with self.database.transaction() as session:
            return rollouts.stop(session, rollout.id, ACTOR)

    def roll_back(self, rollout: Rollout) -> Rollout:
        """Roll a rollout back."""
        with self.database.transaction() as session:
            return rollouts.rollback(session, rollout.id, ACTOR)

    def rollout(self, rollout: Rollout) -> Rollout:
        """The rollout as it is now."""
        with self.database.reading() as session:
            return rollouts.get(session, rollout.id)

    def states(self, rollout: Rollout) -> tuple[str, dict[str, str]]:
        """The rollout's state, and that of each of its sites."""
        now = self.rollout(rollout)
        return now.state.value, {one.site_name: one.state.value for one in now.entries}

    # What sites say.

    def site(self, name: str) -> Site:
        """The site as the hub knows it."""
        with self.database.reading() as session:
            return service.show(session, name)

    def say(
        self,
        name: str,
        state: State,
        running: DesiredState | None = None,
        error: SiteError | None = None,
        **more: Any,
    ) -> CheckInReply:
        """One check-in."""
        said = CheckIn(
            state=state,
            running=running or DesiredState(generation=0),
            error=error,
            **{"agent_version": "1.0", **more},
        )
        with self.database.transaction() as session:
            return service.check_in(session, name, said, 30.0)

    def poll(self, name: str) -> DesiredState:
        """A check-in that says the same as before; what the site shall run."""
        now = self.site(name)
        return self.say(name, as_state(now.state), now.running, now.error).desired

    def begin(self, name: str) -> DesiredState:
        """The site hears what it shall run and says that it works on it."""
        desired = self.poll(name)
        self.say(name, "updating", self.site(name).running)
        return desired

    def arrive(self, name: str) -> DesiredState:
        """The site does what it is told."""
        desired = self.poll(name)
        self.say(name, "serving" if desired.stacks else "empty", desired)
        return desired

    def fall_back(self, name: str, code: str = "probe_failed") -> None:
        """The site tries what it is told and gives up."""
        desired = self.poll(name)
        running = self.site(name).running
        state: State = "fallen_back" if running.stacks else "empty"
        self.say(name, state, running, fault(desired.generation, code))

    def fall_back_later(self, name: str, before: DesiredState) -> None:
        """The site had switched, and now the generation before answers again."""
        generation = self.site(name).running.generation
        self.say(name, "fallen_back", before, fault(generation, "watch_failed"))

    # What was written.

    def actions(self, prefix: str = "") -> list[str]:
        """The audit log's actions, in order; the chain must hold."""
        with self.database.reading() as session:
            assert audit.verify(session).ok
            found = [entry.action for entry in audit_store.stream(session)]
        return [action for action in found if action.startswith(prefix)]

    def details(self, action: str) -> list[dict[str, Any]]:
        """Subject, actor and detail of the audit entries of an action, in order."""
        with self.database.reading() as session:
            return [
                {"subject": one.subject, "actor": one.actor, **one.detail}
                for one in audit_store.stream(session)
                if one.action == action
            ]

    def num_audited(self) -> int:
        """How many audit entries there are."""
        with self.database.reading() as session:
            return session.scalar(select(func.count()).select_from(audit_store.AuditRow)) or 0


def as_state(text: str) -> State:
    """The wire's state of this name."""
    states: dict[str, State] = {
        "empty": "empty",
        "updating": "updating",
        "serving": "serving",
        "fallen_back": "fallen_back",
    }
    return states[text]


def fault(generation: int, code: str = "probe_failed") -> SiteError:
    """Why a site gave up on a generation."""
    return SiteError(
        generation=generation, step="probing", code=code, message="It misread.", at_ms=1
    )


def names(state: DesiredState) -> dict[str, str]:
    """What a set serves: name to stack version."""
    return {one.served_as: ref(one) for one in state.stacks}


def ref(direction: Direction) -> str:
    """`name:version`."""
    return f"{direction.name}:{direction.version}"
