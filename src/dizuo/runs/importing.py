"""The kind `import`: an open model, sent as a tar archive of its directory, becomes an L0 stack."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy.orm import Session

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.core.digests import sha256_json
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, Reporter
from dizuo.datasets.uploads import upload_path
from dizuo.families import registry
from dizuo.runs.building import (
    Build,
    RunSpec,
    newest_of,
    outcome,
    parse_spec,
    register,
    require_free_name,
)
from dizuo.runs.folder import run_folder
from dizuo.runs.kinds import RunContext, Workspace
from dizuo.runs.model import Run
from dizuo.runs.model_archive import sketch_model, unpack_model
from dizuo.stacks import service as stacks
from dizuo.stacks.model import NewStack

INSPECTION_PREFIX = ".inspect-"
"""Of the folders in `runs/` in which the hub looks into a model before it lets the run in."""
_INPUTS_FORMAT = 2


class ImportSpec(RunSpec):
    """`upload` is the digest of a tar archive of the directory, `name` the stack it becomes.

    The `family` may be left out where the stack has versions already. `targets` are the forms it is
    exported to, all that the family has unless they are named.
    """

    upload: Annotated[str, Field(max_length=71)]
    name: Annotated[str, Field(max_length=64)]
    family: Annotated[str, Field(max_length=64)] = ""
    targets: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)] | None = None
    no_cache: bool = False


class ImportKind:
    """Satisfies `dizuo.runs.kinds.Kind`."""

    name = "import"

    def check(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Look into the archive and let the family inspect the model by its headers.

        Nothing is unpickled, and of the weights nothing is unpacked: that is the run's work.

        Raises:
            InvalidInput: the spec is wrong, or the name belongs to another kind of stack.
            UploadMissing: nothing was uploaded under this digest.
            FamilyMissing: no family was said, and the stack is new.
            UnknownFamily: nothing installed offers it.
            ModelRefused: the model cannot become a layer; says why.
        """
        asked = _asked(session, spec)
        importer = registry.importer(asked.family)
        _targets(asked)
        require_free_name(session, asked.name, Level.L0, family=asked.family, project=asked.project)
        archive = upload_path(context.home, asked.upload)
        known = stacks.find_by_inputs(session, _input_digest(asked), project_id=asked.project)
        if known is not None and not asked.no_cache:
            return outcome(known)
        place = context.home / "runs"
        with tempfile.TemporaryDirectory(dir=place, prefix=INSPECTION_PREFIX) as folder:
            sketch = sketch_model(archive, Path(folder) / "model")
            if sketch is not None:
                _check_form(asked, importer.inspect(sketch))
        return None

    def prepare(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Where the archive lies and what it becomes.

        Raises:
            UploadMissing: it is no longer there.
        """
        asked = _asked(session, spec)
        return {
            "layout": str(context.layout.root),
            "archive": str(upload_path(context.home, asked.upload)),
            "project": asked.project,
            "name": asked.name,
            "family": asked.family,
            "targets": list(_targets(asked)),
            "input_digest": _input_digest(asked),
        }

    def work(
        self,
        job: Mapping[str, Any],
        workspace: Workspace,
        report: Reporter,
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        """Bring the model in, export it, and put every file into the registry.

        Raises:
            Cancelled: somebody asked to stop.
            ModelRefused: the model cannot become a layer.
        """
        layout, family, scratch = Layout(Path(job["layout"])), job["family"], workspace.scratch
        report(Progress("unpack", message=job["name"]))
        directory = unpack_model(Path(job["archive"]), scratch / "model")
        output = scratch / "imported"
        output.mkdir()
        made = registry.importer(family).import_model(directory, output, report)
        build = Build(layout, job["name"], Level.L0, family, scratch, report, cancelled)
        stored = build.publish(made, None, job["targets"])
        return {"targets": stored, "metrics": made.metrics}

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
            level=Level.L0,
            family=job["family"],
            parent_digest=None,
            targets={},
            input_digest=job["input_digest"],
            project_id=job["project"],
        )
        made = register(context, session, run, new, result["targets"])
        return {**made, "metrics": result["metrics"]}


def _asked(session: Session, spec: Mapping[str, Any]) -> ImportSpec:
    """What the spec asks for, with its family."""
    asked = parse_spec(ImportSpec, spec)
    known = newest_of(session, asked.name, asked.project)
    of_known = known.family if known else None
    family = registry.choose(asked.family, of_known, f"the new stack {asked.name}")
    return asked.model_copy(update={"family": family})


def _targets(asked: ImportSpec) -> tuple[str, ...]:
    """What the model is exported to, in the family's order."""
    known = registry.spec(asked.family).TARGETS
    wanted = known if asked.targets is None else asked.targets
    for target in wanted:
        if target not in known:
            raise InvalidInput(
                f"The family {asked.family} has no target {target[:60]!r}.",
                next_step=f"Its targets: {', '.join(known)}.",
            )
    return tuple(target for target in known if target in wanted)


def _check_form(asked: ImportSpec, found: Mapping[str, Any]) -> None:
    """Refuse targets for a model that comes in a form from which none can be made."""
    if asked.targets is not None and "target" in found:
        raise InvalidInput(
            f"The model stays in the form it came in, {found['target']}.",
            next_step="Leave the targets out.",
        )


def _input_digest(asked: ImportSpec) -> str:
    """The digest of everything that determines the imported stack's bytes."""
    return sha256_json(
        {
            "format": _INPUTS_FORMAT,
            "code": registry.spec(asked.family).CODE_VERSION,
            "import": asked.upload,
            "project": asked.project,
            "name": asked.name,
            "family": asked.family,
            "targets": list(_targets(asked)),
        }
    )


KIND = ImportKind()
