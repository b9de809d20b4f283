"""What can go wrong between a client and its hub."""

from __future__ import annotations

from typing import Any, Self

from dizuo.core.errors import DizuoError, InvalidInput, Unauthenticated, Unavailable


class HubError(DizuoError):
    """The hub answered with an error; this carries it on, in the hub's own words.

    Attributes:
        answered_code: the hub's code, which is also what `as_dict` says.
        status: the HTTP status.
        may_retry: whether the same call may succeed later.
    """

    code = "hub_error"

    def __init__(
        self,
        message: str,
        *,
        next_step: str = "",
        answered_code: str = code,
        status: int = 500,
        may_retry: bool = False,
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.answered_code = answered_code
        self.status = status
        self.may_retry = may_retry

    @classmethod
    def from_error(cls, error: dict[str, Any], status: int) -> Self:
        """From the inner dict of an answered error (`DizuoError.as_dict()["error"]`)."""
        return cls(
            str(error.get("message") or "The hub gave no reason."),
            next_step=str(error.get("next_step") or ""),
            answered_code=str(error.get("code") or cls.code),
            status=status,
            may_retry=error.get("retryable") is True,
        )

    def as_dict(self) -> dict[str, object]:
        """The error as the hub answered it."""
        return {
            "error": {
                "code": self.answered_code,
                "message": self.message,
                "next_step": self.next_step,
                "retryable": self.may_retry,
            }
        }


class HubUnreachable(Unavailable):
    """Nothing answers at the hub's address, or the connection broke."""

    code = "hub_unreachable"


class NotAHub(InvalidInput):
    """Something answers there, but not as a hub does."""

    code = "not_a_hub"


class NoCredentials(Unauthenticated):
    """It is not known where the hub is, or how to sign in."""

    code = "no_credentials"
