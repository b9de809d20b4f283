"""From what pydantic says about a part of a recipe to problems that lead to its key. Light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dizuo.families.base import Problem


class RecipePart(BaseModel):
    """Base of what a family's recipes may say: unknown keys and other types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def problems_of(part: str, model: type[RecipePart], values: Mapping[str, Any]) -> list[Problem]:
    """Every problem of the values under the key `part`; an empty list accepts them."""
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        return [_problem(part, details) for details in error.errors(include_url=False)]
    return []


def _problem(part: str, details: Any) -> Problem:
    path: tuple[str | int, ...] = (part, *details["loc"])
    name = ".".join(str(step) for step in path)
    match details["type"]:
        case "extra_forbidden":
            return Problem(path, f"The key {name} is not known.", "Remove it, or correct its name.")
        case "missing":
            return Problem(path, f"The key {name} is missing.", "Add it.")
        case _:
            reason = str(details["msg"]).removeprefix("Value error, ")
            return Problem(path, f"{name} is wrong: {reason[:1].lower()}{reason[1:]}.")
