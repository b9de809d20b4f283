"""With which text a new recipe begins."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dizuo.artifacts.model import Level
from dizuo.console.runs.recipe_draft import RecipeDraft
from dizuo.console.runs.recipe_form import RecipeForm
from dizuo.families import registry
from dizuo.runs import service as runs
from dizuo.runs.about import recipe_of
from dizuo.stacks import service as stacks
from dizuo.stacks.model import StackVersion
from dizuo.stacks.naming import find_stack

_EMPTY = """\
name:
level: {level}
family: {family}
from: {parent}
data: {{train: }}
method: {{}}
task: {{}}
gates:
  - {{suite: , metric: , at_least: }}
"""


def of_stack(session: Session, text: str, project_id: str) -> str:
    """The recipe of a stack; of one that was brought in, a recipe for a layer on it.

    Raises:
        InvalidReference: this names no stack.
        StackNotFound: there is none.
    """
    stack = find_stack(session, text, project_id=project_id)
    return stack.recipe or _fresh(stack.family, _above(stack.level), stack.ref)


def of_run(session: Session, run_id: str, project_id: str) -> str:
    """The recipe that a run carried out.

    Raises:
        RunNotFound: there is no such run.
    """
    return recipe_of(runs.get(session, run_id, project_id=project_id))


def of_nothing(session: Session, project_id: str) -> str:
    """An empty recipe: for a base where a project has no stack, else for a layer on its newest."""
    newest: StackVersion | None = stacks.newest(session, project_id=project_id)
    if newest is None:
        return _fresh(sorted(registry.family_packages())[0], Level.L0, "scratch")
    return _fresh(newest.family, _above(newest.level), "")


def _above(level: Level) -> Level:
    return {Level.L0: Level.L1, Level.L1: Level.L2, Level.L2: Level.L2}[level]


def _fresh(family: str, level: Level, parent: str) -> str:
    form = RecipeForm(RecipeDraft(_EMPTY.format(family=family, level=level.value, parent=parent)))
    form.settle()
    return form.draft.text
