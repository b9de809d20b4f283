"""What a run is about, in a word for people."""

from __future__ import annotations

import re

from dizuo.runs.model import Run

_NAME = re.compile(r"""^name:[ ]*["']?([^"'#\s]+)""", re.MULTILINE)


def about(run: Run) -> str:
    """The stack that a run made, or is to make or to measure; empty where its spec names none."""
    if run.outcome is not None and isinstance(made := run.outcome.get("stack"), str):
        return made
    for key in ("stack", "name"):
        if isinstance(named := run.spec.get(key), str):
            return named
    found = _NAME.search(recipe_of(run))
    return found[1] if found else ""


def recipe_of(run: Run) -> str:
    """The text of the recipe that a run carries out, or nothing."""
    recipe = run.spec.get("recipe")
    return recipe if isinstance(recipe, str) else ""
