"""The nouns of access."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from dizuo.core.errors import Forbidden, Unauthenticated


class Role(IntEnum):
    """What an operator may do; each role includes those below it.

    A reader looks; a builder also brings data, labels samples and runs recipes; a releaser also
    signs releases, starts rollouts and approves; an admin also manages sites and tokens.
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
    """The HTTP surface a credential is good for; no credential is good for two."""

    API = "api"
    EDGE = "edge"
    REGISTRY = "registry"


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credential was recognised. `role` is set for the API surface only."""

    id: str
    name: str
    surface: Surface
    project_id: str
    role: Role | None = None

    @property
    def actor(self) -> str:
        """How the audit log names them."""
        kind = {"api": "operator", "edge": "site", "registry": "registry"}[self.surface]
        return f"{kind}:{self.name}"

    def require(self, role: Role) -> None:
        """Refuse unless this principal has at least `role`.

        Raises:
            RoleMissing: it has not.
        """
        if self.role is None or self.role < role:
            raise RoleMissing(
                f"This needs the role {role.word}; {self.name} does not have it.",
                next_step="Ask an admin for a token with that role.",
            )


class RoleMissing(Forbidden):
    """The principal's role does not include this action."""

    code = "role_missing"


class CredentialRefused(Unauthenticated):
    """The credential is missing, unknown, revoked or meant for another surface."""

    code = "credential_refused"
