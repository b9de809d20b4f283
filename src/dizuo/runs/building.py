"""What the kinds that make stacks share: from a trained layer to a registered version.

The worker does the heavy half: it exports the layer to each target and puts every file into the
registry as a blob, under no name. The hub's half is small: when the run succeeds it composes the
index from blobs that are there already, in the transaction that gives the stack its version. So a
worker needs no number and no database, and a run that is killed leaves only nameless blobs, which
the registry's collector removes after a while.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerDirectory, LayerFile, Level, StackFiles
from dizuo.artifacts.reference import Reference
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, Reporter
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.families import registry
from dizuo.families.base import Cancelled, TunedLayer
from dizuo.gates.rules import TRAINED_TARGET
from dizuo.runs.kinds import RunContext
from dizuo.runs.model import Run
from dizuo.stacks import service as stacks
from dizuo.stacks.errors import StackNotFound
from dizuo.stacks.model import NewStack, StackVersion

StoredFiles = list[dict[str, str]]
"""The files of a layer as blobs, in JSON: `path`, `role`, `digest` of each."""


class RunSpec(BaseModel):
    """Base of the specs of the built-in kinds: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    project: Annotated[str, Field(min_length=1, max_length=64)] = DEFAULT_PROJECT


_Spec = TypeVar("_Spec", bound=RunSpec)


def parse_spec(model: type[_Spec], spec: Mapping[str, Any]) -> _Spec:
    """A run's spec in its type.

    Raises:
        InvalidInput: it does not have that form; the sentence names the key.
    """
    try:
        return model.model_validate(dict(spec))
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"The run is wrong at {where}: {first['msg']}.",
            next_step="See /api/v1/docs for the keys of this kind of run.",
        ) from error


def require_free_name(
    session: Session, name: str, level: Level, *, family: str, project: str
) -> None:
    """Refuse a name that belongs to stacks of another level or family.

    Raises:
        InvalidReference: this is no name.
        InvalidInput: it belongs to others.
    """
    known = newest_of(session, name, project)
    if known is not None and (known.level, known.family) != (level, family):
        raise InvalidInput(
            f"{known.ref} is {known.level} of the family {known.family}; a name keeps both.",
            next_step="Choose another name.",
        )


def newest_of(session: Session, name: str, project: str) -> StackVersion | None:
    """The newest version of a stack, if there is one.

    Raises:
        InvalidReference: this is no name.
    """
    try:
        return stacks.get(session, Reference(project, name))
    except StackNotFound:
        return None


@dataclass(frozen=True, slots=True)
class Build:
    """The worker's half: a layer being built for `name`, and whom to tell."""

    layout: Layout
    name: str
    level: Level
    family: str
    scratch: Path
    report: Reporter
    cancelled: Callable[[], bool]

    def publish(
        self, made: TunedLayer, parent: StackFiles | None, targets: Iterable[str]
    ) -> dict[str, StoredFiles]:
        """Export a trained layer to every target and put all files into the registry.

        Args:
            made: the layer in the trained form; one that came in another form is kept in that
                alone.
            parent: the stack below in the trained form; None for an L0.
            targets: in the recipe's order.

        Raises:
            Cancelled: somebody asked to stop.
            DiskFull: the registry has no room.
        """
        wanted = tuple(targets) if made.target == TRAINED_TARGET else (made.target,)
        trained = self._stack(made.files, parent)
        stored: dict[str, StoredFiles] = {}
        for done, target in enumerate(wanted):
            if self.cancelled():
                raise Cancelled
            self.report(Progress("export", done, len(wanted), "target", target))
            exported = made.files if target == made.target else self._export(trained, target)
            stored[target] = [self._store(file) for file in exported]
        self.report(Progress("export", len(wanted), len(wanted), "target"))
        return stored

    def _stack(self, files: tuple[LayerFile, ...], parent: StackFiles | None) -> StackFiles:
        directory = self.scratch / "layer"
        for file in files:
            path = directory / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            os.link(file.source, path)
        own = LayerDirectory(self.level, self.name, directory)
        below = parent.layers if parent else ()
        # It has neither version nor digest yet: those come with registration.
        return StackFiles(self.name, 0, "", TRAINED_TARGET, (*below, own))

    def _export(self, trained: StackFiles, target: str) -> tuple[LayerFile, ...]:
        output = self.scratch / f"export-{target}"
        output.mkdir()
        return registry.exporter(self.family).export(trained, target, output, self.report)

    def _store(self, file: LayerFile) -> dict[str, str]:
        blob = self.layout.put_file(file.source)
        return {"path": file.path, "role": file.role.value, "digest": blob.digest}


def register(
    context: RunContext,
    session: Session,
    run: Run,
    new: NewStack,
    stored: Mapping[str, StoredFiles],
) -> dict[str, Any]:
    """The hub's half: give what `publish` stored its version; the run's outcome.

    Raises:
        BlobMissing: a blob was collected in the meantime.
        CannotCompose: the family exported something that is no layer.
    """
    targets = {target: _layer_files(context.layout, files) for target, files in stored.items()}
    stack = stacks.register(session, context.layout, run.actor, replace(new, targets=targets))
    return outcome(stack)


def _layer_files(layout: Layout, stored: StoredFiles) -> tuple[LayerFile, ...]:
    return tuple(
        LayerFile(file["path"], layout.path(file["digest"]), FileRole(file["role"]))
        for file in stored
    )


def outcome(stack: StackVersion) -> dict[str, Any]:
    """What a run that made a stack, or found it made, says."""
    return {
        "stack": stack.ref,
        "name": stack.name,
        "version": stack.version,
        "digest": stack.digest,
    }
