"""The kind `tune`: from a recipe to a registered stack version.

Two runs of one recipe on the same inputs build the same blobs: rows are read in an order that
depends on their content alone, replayed rows are drawn by the recipe's seed, and trainers promise
the rest. So a recipe whose inputs were built before need not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from sqlalchemy.orm import Session

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level, StackFiles
from dizuo.artifacts.stacks import unpack
from dizuo.core.progress import Progress, Reporter
from dizuo.datasets.model import DatasetPin
from dizuo.datasets.table import read_rows
from dizuo.families import registry
from dizuo.families.base import Row, TuneJob
from dizuo.gates.rules import TRAINED_TARGET
from dizuo.runs.building import Build, RunSpec, outcome, parse_spec, register
from dizuo.runs.folder import run_folder
from dizuo.runs.kinds import RunContext, Workspace
from dizuo.runs.model import Run
from dizuo.stacks import service as stacks
from dizuo.stacks.model import NewStack, ResolvedRecipe, UsedDataset
from dizuo.stacks.recipe import DEFAULT_SOURCE_NAME, SourceName, parse_recipe

_MAX_RECIPE_CHARACTERS = 1_000_000


class TuneSpec(RunSpec):
    """`recipe` is the YAML text, `source_name` what people call it, such as its file name.

    With `no_cache` it runs even if its inputs were built before.
    """

    recipe: Annotated[str, Field(max_length=_MAX_RECIPE_CHARACTERS)]
    source_name: SourceName = DEFAULT_SOURCE_NAME
    no_cache: bool = False


class TuneKind:
    """Satisfies `dizuo.runs.kinds.Kind`."""

    name = "tune"

    def check(
        self, _context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The stack that was built from these inputs before, unless `no_cache`.

        Raises:
            InvalidInput: the spec is wrong.
            RecipeRefused: the recipe is, with every problem and its line.
        """
        asked = parse_spec(TuneSpec, spec)
        resolved = _resolve(session, asked)
        if asked.no_cache:
            return None
        known = stacks.find_by_inputs(
            session, resolved.input_digest, project_id=resolved.project_id
        )
        return outcome(known) if known else None

    def prepare(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The recipe with everything it names found.

        Raises:
            RecipeRefused: something it names is no longer there.
        """
        resolved = _resolve(session, parse_spec(TuneSpec, spec))
        recipe, parent = resolved.recipe, resolved.parent
        replay = None
        if resolved.replay is not None and recipe.replay is not None:
            replay = {"pin": resolved.replay.as_dict(), "share": recipe.replay.share}
        return {
            "layout": str(context.layout.root),
            "project": resolved.project_id,
            "name": recipe.name,
            "level": recipe.level.value,
            "family": recipe.family,
            "parent": parent.digest if parent else None,
            "train": resolved.train.as_dict(),
            "replay": replay,
            "method": dict(recipe.method),
            "task": dict(recipe.task),
            "targets": list(recipe.targets),
            "seed": recipe.seed,
            "gated": bool(recipe.gates) and set(recipe.targets) != {TRAINED_TARGET},
            "recipe": recipe.text,
            "input_digest": resolved.input_digest,
            "datasets": [asdict(used) for used in resolved.used_datasets],
        }

    def work(
        self,
        job: Mapping[str, Any],
        workspace: Workspace,
        report: Reporter,
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        """Train the layer, export it, and put every file into the registry.

        Raises:
            Cancelled: somebody asked to stop.
            DatasetDamaged: the rows are not those that were pinned.
            InvalidInput: the rows cannot be trained on.
        """
        layout = Layout(Path(job["layout"]))
        level, family = Level(job["level"]), str(job["family"])
        parent = _unpack_parent(layout, job, workspace.scratch)
        rows, num_replayed = _read(job, report)
        tuning = replace(_tuning(job, workspace, rows, parent), num_replayed=num_replayed)
        tuned = registry.tuner(family).tune(tuning, report, cancelled)
        build = Build(layout, job["name"], level, family, workspace.scratch, report, cancelled)
        stored = build.publish(tuned, parent, job["targets"])
        return {"targets": stored, "metrics": tuned.metrics, "num_rows": len(rows)}

    def finish(
        self, context: RunContext, session: Session, run: Run, result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Register the stack version.

        Raises:
            BlobMissing: a blob was collected in the meantime.
        """
        _, job = run_folder(context.home, run.id).read_job()
        new = NewStack(
            run_id=run.id,
            name=job["name"],
            level=Level(job["level"]),
            family=job["family"],
            parent_digest=job["parent"],
            targets={},
            input_digest=job["input_digest"],
            project_id=job["project"],
            recipe=job["recipe"],
            datasets=tuple(UsedDataset.from_dict(used) for used in job["datasets"]),
        )
        made = register(context, session, run, new, result["targets"])
        return {**made, "metrics": result["metrics"], "num_rows": result["num_rows"]}


def _resolve(session: Session, asked: TuneSpec) -> ResolvedRecipe:
    recipe = parse_recipe(asked.recipe, asked.source_name, project_id=asked.project)
    return stacks.resolve(session, recipe, project_id=asked.project)


def _unpack_parent(layout: Layout, job: Mapping[str, Any], scratch: Path) -> StackFiles | None:
    if job["parent"] is None:
        return None
    return unpack(layout, job["parent"], TRAINED_TARGET, scratch / "parent")


def _tuning(
    job: Mapping[str, Any], workspace: Workspace, rows: Sequence[Row], parent: StackFiles | None
) -> TuneJob:
    output = workspace.scratch / "trained"
    output.mkdir()
    return TuneJob(
        name=job["name"],
        level=Level(job["level"]),
        seed=job["seed"],
        method=job["method"],
        task=job["task"],
        rows=rows,
        parent=parent,
        output=output,
        checkpoints=workspace.checkpoints,
        gated=job.get("gated", False),
    )


def _read(job: Mapping[str, Any], report: Reporter) -> tuple[list[Row], int]:
    """The rows to learn from, and how many of them, the last ones, are replayed."""
    train = DatasetPin.from_dict(job["train"])
    report(Progress("read", 0, train.num_rows, "row", train.ref))
    rows = read_rows(train)
    num_own = len(rows)
    if job["replay"] is not None:
        pin, share = DatasetPin.from_dict(job["replay"]["pin"]), float(job["replay"]["share"])
        rows += draw_replay(read_rows(pin), num_own, share, seed=job["seed"])
    report(Progress("read", len(rows), len(rows), "row", train.ref))
    return rows, len(rows) - num_own


def draw_replay(rows: Sequence[Row], num_train: int, share: float, *, seed: int) -> list[Row]:
    """As many rows as make `share` of the whole with `num_train` others, or all there are; which
    ones depends on the seed and on the order of `rows` alone, and they keep that order."""
    wanted = min(round(num_train * share / (1 - share)), len(rows))
    drawn = np.random.default_rng(seed).permutation(len(rows))[:wanted]
    return [rows[index] for index in sorted(drawn)]


KIND = TuneKind()
