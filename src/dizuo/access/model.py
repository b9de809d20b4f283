"""The nouns of access."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Literal

from dizuo.core.errors import Forbidden, Unauthenticated

NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
"""The name of a token or an account."""
Language = Literal["", "en", "zh"]
"""What the console speaks to somebody; empty: what their browser asks for."""
Theme = Literal["light", "dark", "auto"]


class Role(IntEnum):
    """What an operator may do; each role includes those below it.

    A reader looks; a builder also brings data, labels samples and runs recipes; a releaser also
    signs releases, starts rollouts and approves; an admin also manages sites, tokens and accounts.
    """

    READER = 1
    BUILDER = 2
    RELEASER = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        """The lower-case name, as people write it."""
        return self.name.lower()


class Surface(StrEnum):
    """The HTTP surface a credential is good for; no credential is good for two.

    The console's are sessions, which people get by signing in (`dizuo.access.sessions`); those of
    the others are issued (`dizuo.access.service`).
    """

    API = "api"
    EDGE = "edge"
    REGISTRY = "registry"
    CONSOLE = "console"


_KINDS = {
    Surface.API: "operator",
    Surface.EDGE: "site",
    Surface.REGISTRY: "registry",
    Surface.CONSOLE: "person",
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credential was recognised. `role` is set for the API and the console only.

    `id` is the credential's; for the console, the account's.
    """

    id: str
    name: str
    surface: Surface
    project_id: str
    role: Role | None = None

    @property
    def actor(self) -> str:
        """How the audit log names them."""
        return f"{_KINDS[self.surface]}:{self.name}"

    def require(self, role: Role) -> None:
        """Refuse unless this principal has at least `role`.

        Raises:
            RoleMissing: it has not.
        """
        if self.role is None or self.role < role:
            what = "that role" if self.surface is Surface.CONSOLE else "a token with that role"
            raise RoleMissing(
                f"This needs the role {role.word}; {self.name} does not have it.",
                next_step=f"Ask an admin for {what}.",
            )


@dataclass(frozen=True, slots=True)
class Account:
    """What may be known of a person's account; of the password nothing. Names are unique across
    the hub, so that a name is enough to sign in."""

    id: str
    name: str
    project_id: str
    role: Role
    language: Language
    theme: Theme
    created_ms: int
    disabled_ms: int | None


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a session at the console, as of when it was recognised. `seen_ms` is when the
    session was last used, by what is written down."""

    session_id: str
    principal: Principal
    language: Language
    theme: Theme
    seen_ms: int

    @property
    def account_id(self) -> str:
        """Whose session it is."""
        return self.principal.id


class RoleMissing(Forbidden):
    """The principal's role does not include this action."""

    code = "role_missing"


class CredentialRefused(Unauthenticated):
    """The credential is missing, unknown, revoked or meant for another surface."""

    code = "credential_refused"
