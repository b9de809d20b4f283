"""Accounts and sign-ins for tests, at a time that they set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from dizuo.access import accounts, sessions, tokens
from dizuo.access.model import Account, Person, Principal, Role, Surface
from dizuo.access.passwords import hashed
from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.audit.model import AuditEntry
from dizuo.database.engine import Database

PASSWORD = "correct horse 电池"
OTHER = "another battery staple"
ROOT = Principal("1", "root", Surface.API, "default", Role.ADMIN)
NOON = 1_800_000_000_000
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass
class Town:
    """A hub's database and the time there."""

    database: Database
    now: int = NOON
    caller: Principal = field(default=ROOT)

    def clock(self) -> int:
        return self.now

    def add(self, name: str, role: Role = Role.READER, password: str = PASSWORD) -> Account:
        kept = hashed(name, password)
        with self.database.transaction() as session:
            return accounts.create(session, self.caller, name, role, kept, clock=self.clock)

    def add_token(self, name: str, role: Role | None) -> str:
        with self.database.transaction() as session:
            return tokens.create(session, self.caller, name, role)

    def set_password(self, name: str, password: str) -> Account:
        kept = hashed(name, password)
        with self.database.transaction() as session:
            return accounts.set_password(session, self.caller, name, kept, clock=self.clock)

    def set_role(self, name: str, role: Role) -> Account:
        with self.database.transaction() as session:
            return accounts.set_role(session, self.caller, name, role)

    def disable(self, name: str) -> Account:
        with self.database.transaction() as session:
            return accounts.disable(session, self.caller, name, clock=self.clock)

    def enable(self, name: str) -> Account:
        with self.database.transaction() as session:
            return accounts.enable(session, self.caller, name)

    def listing(self) -> list[Account]:
        with self.database.reading() as session:
            return accounts.listing(session, self.caller.project_id)

    def sign_in(self, name: str, password: str = PASSWORD, origin: str = "10.0.0.7") -> str:
        return sessions.sign_in(self.database, name, password, origin, clock=self.clock)

    def signed_up(self, name: str, role: Role = Role.READER) -> str:
        """The secret of a session of a new account."""
        self.add(name, role)
        return self.sign_in(name)

    def change_password(self, secret: str, password: str, chosen: str) -> None:
        kept = hashed(self.recognise(secret).principal.name, chosen)
        sessions.change_password(self.database, secret, password, kept, clock=self.clock)

    def recognise(self, secret: str) -> Person:
        with self.database.reading() as session:
            return sessions.recognise(session, secret, clock=self.clock)

    def touch(self, person: Person) -> None:
        sessions.touch(self.database, person, clock=self.clock)

    def sign_out(self, person: Person) -> None:
        with self.database.transaction() as session:
            sessions.sign_out(session, person, clock=self.clock)

    def log(self) -> list[AuditEntry]:
        with self.database.reading() as session:
            assert audit.verify(session).ok
            return list(audit_store.stream(session))

    def said(self, *, after: int = 0) -> list[tuple[str, str, str, dict[str, Any]]]:
        """The log without its numbers and times."""
        return [(e.actor, e.action, e.subject, e.detail) for e in self.log()[after:]]
