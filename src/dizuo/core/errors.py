"""The error tree.

Every error that a person or a program can meet derives from `DizuoError`. Its class attributes are
a contract: `code` is never renamed, `http_status` is what the HTTP surfaces answer with, and
`retryable` says whether the same call may succeed later without a change. The instance carries one
clear sentence and, where there is one, the next step. `docs/errors.md` lists the tree and a test
holds the two together.
"""

from __future__ import annotations

from typing import ClassVar


class DizuoError(Exception):
    """Base of every expected error.

    Args:
        message: one sentence that a person understands, ending in a full stop.
        next_step: what to do about it, one sentence, or empty.
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip()

    def as_dict(self) -> dict[str, object]:
        """The one JSON shape in which every surface answers an error."""
        return {
            "error": {
                "code": self.code,
                "message": self.message,
                "next_step": self.next_step,
                "retryable": self.retryable,
            }
        }


class InvalidInput(DizuoError):
    """What was sent cannot be accepted as it is."""

    code = "invalid_input"
    http_status = 400


class Unauthenticated(DizuoError):
    """No credential, or one that is not known."""

    code = "unauthenticated"
    http_status = 401


class Forbidden(DizuoError):
    """A known credential that may not do this."""

    code = "forbidden"
    http_status = 403


class NotFound(DizuoError):
    """There is no such thing here."""

    code = "not_found"
    http_status = 404


class Conflict(DizuoError):
    """The thing is in a state that does not allow this."""

    code = "conflict"
    http_status = 409


class TooLarge(DizuoError):
    """More bytes than this place accepts."""

    code = "too_large"
    http_status = 413


class IntegrityError(DizuoError):
    """Bytes are not what their digest, signature or size says."""

    code = "integrity"
    http_status = 422


class Unavailable(DizuoError):
    """Cannot be done now; the same call may succeed later."""

    code = "unavailable"
    http_status = 503
    retryable = True


def error_tree(root: type[DizuoError] = DizuoError) -> list[type[DizuoError]]:
    """`root` and every class below it that has been imported, parents first."""
    found = [root]
    for child in sorted(root.__subclasses__(), key=lambda cls: cls.code):
        found.extend(error_tree(child))
    return found
