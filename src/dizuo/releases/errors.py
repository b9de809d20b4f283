"""What can go wrong with keys, signed metadata and releases."""

from __future__ import annotations

from dizuo.core.errors import Conflict, IntegrityError, NotFound, Unavailable


class KeysExist(Conflict):
    """There are keys already; making new ones would cut off every site."""

    code = "keys_exist"


class KeysMissing(Unavailable):
    """A key that is needed for signing is not on this machine."""

    code = "keys_missing"


class RepositoryDamaged(IntegrityError):
    """The hub's own signed metadata cannot be read."""

    code = "repository_damaged"


class ProjectNotDelegated(Conflict):
    """No key was given to this project, so nothing of it can be signed."""

    code = "project_not_delegated"


class SignedOtherwise(Conflict):
    """Another digest is signed under this name and version; versions are never reused."""

    code = "signed_otherwise"


class GateNotPassed(Conflict):
    """The stack has no passed gate report, and nothing ships ungated."""

    code = "gate_not_passed"


class ReleaseNotFound(NotFound):
    """There is no such release."""

    code = "release_not_found"


class ReleaseWithdrawn(Conflict):
    """The release was withdrawn; the same version cannot be released again."""

    code = "release_withdrawn"
