"""Stacks of any family by its real tuner and exporter, as the recipes of the demo say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.core.progress import silent
from dizuo.demo.hub import recipe_text
from dizuo.edge.wire import Direction
from dizuo.families import registry
from dizuo.families.base import Engine, Row, TuneJob
from dizuo.runs.tune import draw_replay
from dizuo.stacks.recipe import Recipe, parse_recipe

_TRAINED = "safetensors"


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack as it was trained, and as sites run it."""

    family: str
    trained: StackFiles
    exported: StackFiles

    @property
    def direction(self) -> Direction:
        """What a site is told that runs it."""
        files = self.exported
        return Direction(
            served_as=files.name,
            name=files.name,
            version=files.version,
            digest=files.digest,
            family=self.family,
            target=files.target,
        )

    def open(self) -> Engine:
        """An engine that serves it under its name, on one thread."""
        stacks = {self.exported.name: self.exported}
        return registry.runtime(self.family).open_engine(stacks, threads=1)


@dataclass(frozen=True, slots=True)
class Course:
    """How a layer is made: by a recipe of the demo, for the target that sites run, on `below`, with
    the recipe's share of replayed rows drawn from `replay`."""

    recipe_name: str
    target: str
    below: Stack | None = None
    replay: Sequence[Row] = ()

    def learn(self, rows: Sequence[Row], folder: Path) -> Stack:
        """Tune a layer on `rows` and export it, into a folder that does not exist yet.

        Raises:
            InvalidInput: the rows cannot be trained on; they are too few, for example.
        """
        recipe = parse_recipe(recipe_text(self.recipe_name))
        for name in (_TRAINED, "checkpoints", self.target):
            (folder / name).mkdir(parents=True)
        registry.tuner(recipe.family).tune(self._job(recipe, rows, folder), silent, lambda: False)
        below = self.below
        trained = _on_top(recipe, _TRAINED, folder, below.trained if below else None)
        exporter = registry.exporter(recipe.family)
        exporter.export(trained, self.target, folder / self.target, silent)
        exported = _on_top(recipe, self.target, folder, below.exported if below else None)
        return Stack(recipe.family, trained, exported)

    def _job(self, recipe: Recipe, rows: Sequence[Row], folder: Path) -> TuneJob:
        share = recipe.replay.share if recipe.replay else 0.0
        replayed = draw_replay(self.replay, len(rows), share, seed=recipe.seed)
        return TuneJob(
            name=recipe.name,
            level=recipe.level,
            seed=recipe.seed,
            method=recipe.method,
            task=recipe.task,
            rows=[*rows, *replayed],
            parent=self.below.trained if self.below else None,
            output=folder / _TRAINED,
            checkpoints=folder / "checkpoints",
            num_replayed=len(replayed),
        )


def import_base(family: str, directory: Path, target: str, folder: Path) -> Stack:
    """A model's directory as the base of a stack, imported and exported as a hub does it.

    Raises:
        ModelRefused: it cannot become a layer.
    """
    forms = {}
    for name in (_TRAINED, target):
        (folder / name).mkdir(parents=True)
        layer = LayerDirectory(Level.L0, folder.name, folder / name)
        forms[name] = StackFiles(folder.name, 1, sha256_bytes(folder.name.encode()), name, (layer,))
    registry.importer(family).import_model(directory, folder / _TRAINED, silent)
    registry.exporter(family).export(forms[_TRAINED], target, folder / target, silent)
    return Stack(family, forms[_TRAINED], forms[target])


def _on_top(recipe: Recipe, target: str, folder: Path, below: StackFiles | None) -> StackFiles:
    layer = LayerDirectory(recipe.level, recipe.name, folder / target)
    layers = (*(below.layers if below else ()), layer)
    return StackFiles(recipe.name, 1, sha256_bytes(recipe.name.encode()), target, layers)


def right_answers(stack: Stack, rows: Sequence[Row]) -> list[bool]:
    """For each row whether the exported stack answers it right, one request a row."""
    spec, name = registry.spec(stack.family), stack.exported.name
    engine = stack.open()
    try:
        answers = [engine.infer(name, spec.request([row])).observations[0].answer for row in rows]
    finally:
        engine.close()
    return [bool(answer == spec.truth(row)) for answer, row in zip(answers, rows, strict=True)]
