"""What can go wrong with recipes and stacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dizuo.core.errors import Conflict, InvalidInput, NotFound


class StackNotFound(NotFound):
    """No stack of this name, version or digest is registered."""

    code = "stack_not_found"


class RunReused(Conflict):
    """A run registered one stack already and asks to register another."""

    code = "run_reused"


@dataclass(frozen=True, slots=True)
class RecipeProblem:
    """One thing wrong with a recipe, where a person finds it: line and column count from 1."""

    line: int
    column: int
    path: tuple[str | int, ...]
    message: str
    next_step: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "line": self.line,
            "column": self.column,
            "path": list(self.path),
            "message": self.message,
            "next_step": self.next_step,
        }


class RecipeRefused(InvalidInput):
    """A recipe with problems; all of them, in the order of their lines.

    The message is the first problem's sentence with its line, and how many more there are.

    Args:
        source_name: what people call the text, such as its file name.
        problems: at least one.
    """

    code = "recipe_refused"

    def __init__(self, source_name: str, problems: tuple[RecipeProblem, ...]) -> None:
        first, *rest = sorted(problems, key=lambda problem: (problem.line, problem.column))
        more = f" (and {len(rest)} more)" if rest else ""
        super().__init__(
            f"{source_name}, line {first.line}{more}: {first.message}", next_step=first.next_step
        )
        self.source_name = source_name
        self.problems = (first, *rest)

    def as_dict(self) -> dict[str, object]:
        """The one JSON shape of errors, and `problems` beside it."""
        return {**super().as_dict(), "problems": [problem.as_dict() for problem in self.problems]}
