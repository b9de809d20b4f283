"""The kind `import`: an open model becomes an L0 stack.

It is sent as a tar archive of its directory, or fetched from a Hugging Face hub.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
from dizuo.runs import hugging_face
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
from dizuo.runs.model_archive import MAX_MODEL_BYTES, sketch_model, unpack_model
from dizuo.stacks import service as stacks
from dizuo.stacks.model import NewStack

INSPECTION_PREFIX = ".inspect-"
"""Of the folders in `runs/` in which the hub looks into a model before it lets the run in."""
_INPUTS_FORMAT = 2


class ImportSpec(RunSpec):
    """`upload` is the digest of a tar archive of the directory, or `source` a model of a Hugging
    Face hub (`hf://ORG/NAME@revision`); `name` is the stack it becomes.

    The `family` may be left out where the stack has versions already. `targets` are the forms it is
    exported to, all that the family has unless they are named. `task` says how it is to answer, in
    the words of a recipe's, as far as the family lets an import say that.
    """

    upload: Annotated[str, Field(max_length=71)] | None = None
    source: Annotated[str, Field(max_length=300)] | None = None
    name: Annotated[str, Field(max_length=64)]
    family: Annotated[str, Field(max_length=64)] = ""
    targets: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)] | None = None
    task: Annotated[dict[str, Any], Field(max_length=20)] = Field(default_factory=dict)
    no_cache: bool = False


class ImportKind:
    """Satisfies `dizuo.runs.kinds.Kind`."""

    name = "import"

    def check(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Let the family inspect an archive by its headers, or a hub's model by its `config.json`.

        Nothing is unpickled, and of the weights nothing is unpacked or fetched: that is the run's
        work.

        Raises:
            InvalidInput: the spec is wrong, or the name belongs to another kind of stack.
            UploadMissing: nothing was uploaded under this digest.
            FamilyMissing: no family was said, and the stack is new.
            UnknownFamily: nothing installed offers it.
            ModelRefused: the model cannot become a layer; says why.
            ModelHubSilent: the hub of models does not answer.
        """
        asked = _asked(session, spec)
        _targets(asked)
        registry.importer(asked.family).check_task(asked.task, {})
        require_free_name(session, asked.name, Level.L0, family=asked.family, project=asked.project)
        origin = _origin(context, asked)
        known = stacks.find_by_inputs(
            session, _input_digest(asked, origin), project_id=asked.project
        )
        if known is not None and not asked.no_cache:
            return outcome(known)
        _look_into(context, asked, origin)
        return None

    def prepare(
        self, context: RunContext, session: Session, spec: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Where the model comes from and what it becomes.

        Raises:
            UploadMissing: it is no longer there.
            ModelHubSilent: the hub of models does not answer.
        """
        asked = _asked(session, spec)
        origin = _origin(context, asked)
        return {
            "layout": str(context.layout.root),
            "archive": str(origin.archive) if origin.archive else None,
            "source": asked.source,
            "commit": origin.commit,
            "project": asked.project,
            "name": asked.name,
            "family": asked.family,
            "targets": list(_targets(asked)),
            "task": asked.task,
            "input_digest": _input_digest(asked, origin),
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
            ModelHubSilent: the hub of models does not answer.
        """
        layout, family, scratch = Layout(Path(job["layout"])), job["family"], workspace.scratch
        directory = _bring(job, scratch, report, cancelled)
        output = scratch / "imported"
        output.mkdir()
        importer, task = registry.importer(family), job.get("task", {})
        made = importer.import_model(directory, output, report, task=task)
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


def _look_into(context: RunContext, asked: ImportSpec, origin: _Origin) -> None:
    """Let the family refuse a model by what can be told from a little of it."""
    importer = registry.importer(asked.family)
    if origin.archive is None:
        source = hugging_face.parse_source(asked.source or "")
        config = hugging_face.fetch_config(source, origin.commit)
        importer.check_task(asked.task, importer.check_config(config))
        return
    place = context.home / "runs"
    with tempfile.TemporaryDirectory(dir=place, prefix=INSPECTION_PREFIX) as folder:
        sketch = sketch_model(origin.archive, Path(folder) / "model", importer)
        if sketch is not None:
            found = importer.inspect(sketch)
            _check_form(asked, found)
            importer.check_task(asked.task, found)


def _check_form(asked: ImportSpec, found: Mapping[str, Any]) -> None:
    """Refuse targets for a model that comes in a form from which none can be made."""
    if asked.targets is not None and "target" in found:
        raise InvalidInput(
            f"The model stays in the form it came in, {found['target']}.",
            next_step="Leave the targets out.",
        )


@dataclass(frozen=True, slots=True)
class _Origin:
    """An archive, or a hub's model at a commit; `digest` names the bytes of either."""

    digest: str
    archive: Path | None = None
    commit: str = ""


def _origin(context: RunContext, asked: ImportSpec) -> _Origin:
    if (asked.upload is None) == (asked.source is None):
        raise InvalidInput(
            "An import takes either an upload or a source.",
            next_step="Send a directory, or name a model as hf://ORG/NAME.",
        )
    if asked.upload is not None:
        return _Origin(asked.upload, archive=upload_path(context.home, asked.upload))
    source = hugging_face.parse_source(asked.source or "")
    files = registry.importer(asked.family).FILES
    commit = hugging_face.resolve(source, files, at_most_bytes=MAX_MODEL_BYTES)
    return _Origin(f"hf://{source.repository}@{commit}", commit=commit)


def _bring(
    job: Mapping[str, Any], scratch: Path, report: Reporter, cancelled: Callable[[], bool]
) -> Path:
    """The model's directory."""
    if job["archive"] is None:
        source = hugging_face.parse_source(job["source"])
        files = registry.importer(job["family"]).FILES
        return hugging_face.fetch(source, job["commit"], files, report, cancelled)
    report(Progress("unpack", message=job["name"]))
    return unpack_model(Path(job["archive"]), scratch / "model")


def _input_digest(asked: ImportSpec, origin: _Origin) -> str:
    """The digest of everything that determines the imported stack's bytes. An import that says
    nothing of its task has the digest that it had when nothing could be said."""
    return sha256_json(
        {
            **({"task": asked.task} if asked.task else {}),
            "format": _INPUTS_FORMAT,
            "code": registry.spec(asked.family).CODE_VERSION,
            "import": origin.digest,
            "project": asked.project,
            "name": asked.name,
            "family": asked.family,
            "targets": list(_targets(asked)),
        }
    )


KIND = ImportKind()
