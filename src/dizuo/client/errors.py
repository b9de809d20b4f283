"""What can go wrong between a client and its hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dizuo.core.errors import DizuoError, InvalidInput, Unauthenticated, Unavailable


class HubError(DizuoError):
    """The hub answered with an error; this carries it on, in the hub's own words.

    Attributes:
        answered_code: the hub's code, which is also what `as_dict` says.
        status: the HTTP status.
        may_retry: whether the same call may succeed later.
    """

    code = "hub_error"

    def __init__(self, answer: Mapping[str, Any], status: int) -> None:
        """Take the JSON of the answer, `DizuoError.as_dict()` as the hub wrote it."""
        error = answer["error"]
        super().__init__(
            str(error.get("message") or "The hub gave no reason."),
            next_step=str(error.get("next_step") or ""),
        )
        self.answered_code = str(error.get("code") or self.code)
        self.status = status
        self.may_retry = error.get("retryable") is True
        self._beside = {name: value for name, value in answer.items() if name != "error"}

    @property
    def problems(self) -> list[dict[str, Any]]:
        """What is wrong line by line, where the hub says so (a refused recipe), or nothing."""
        found = self._beside.get("problems")
        return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

    def as_dict(self) -> dict[str, object]:
        """The error as the hub answered it."""
        return {
            "error": {
                "code": self.answered_code,
                "message": self.message,
                "next_step": self.next_step,
                "retryable": self.may_retry,
            },
            **self._beside,
        }


class HubUnreachable(Unavailable):
    """Nothing answers at the hub's address, or the connection broke."""

    code = "hub_unreachable"


class NotAHub(InvalidInput):
    """Something answers there, but not as a hub does."""

    code = "not_a_hub"


class NameRefused(InvalidInput):
    """What was given cannot be the name or id of anything."""

    code = "name_refused"


class NoCredentials(Unauthenticated):
    """It is not known where the hub is, or how to sign in."""

    code = "no_credentials"
