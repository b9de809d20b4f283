"""What can be wrong with an improvement."""

from __future__ import annotations

from dizuo.core.errors import InvalidInput, NotFound


class ImprovementNotFound(NotFound):
    """No improvement has this id."""

    code = "improvement_not_found"


class ImprovementRefused(InvalidInput):
    """The request cannot be started as it is; nothing was changed."""

    code = "improvement_refused"
