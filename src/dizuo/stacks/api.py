"""`/api/v1/stacks`, `/api/v1/references` and `/api/v1/recipes`: parse and delegate."""

from __future__ import annotations

from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from dizuo.access.http import DatabaseDep, Reader
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import StackIndex
from dizuo.artifacts.reference import Reference
from dizuo.artifacts.stacks import read_stack
from dizuo.core.numbers import VersionNumber
from dizuo.gates import service as gates
from dizuo.gates.errors import ReportMissing
from dizuo.gates.store import StoredReport
from dizuo.stacks import service
from dizuo.stacks.model import ResolvedRecipe, StackVersion
from dizuo.stacks.naming import find_stack
from dizuo.stacks.recipe import DEFAULT_SOURCE_NAME, SourceName, parse_recipe
from dizuo.stacks.yaml_lines import MAX_BYTES

router = APIRouter(prefix="/api/v1", tags=["stacks"])


def _layout(request: Request) -> Layout:
    return cast(Layout, request.app.state.layout)


LayoutDep = Annotated[Layout, Depends(_layout)]


@router.get("/stacks")
def listing(caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """The newest version of each stack, by name."""
    with database.reading() as session:
        found = service.listing(session, project_id=caller.project_id)
    return {"items": [_brief(stack) for stack in found]}


@router.get("/stacks/{name}")
def log(name: str, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """Every version of a stack, newest first."""
    with database.reading() as session:
        found = service.log(session, name, project_id=caller.project_id)
    return {"items": [_brief(stack) for stack in found]}


@router.get("/stacks/{name}/{version}")
def show(
    name: str, version: VersionNumber, caller: Reader, database: DatabaseDep, layout: LayoutDep
) -> dict[str, Any]:
    """One version: its layers with their bytes, its relatives, its recipe and gate report."""
    with database.reading() as session:
        stack = service.get(session, Reference(caller.project_id, name, version))
        relatives = service.lineage(session, stack)
        report = gates.latest_stored(session, stack.digest, project_id=stack.project_id)
    return {
        **stack.as_dict(),
        "ref": stack.ref,
        "ancestors": [_brief(ancestor) for ancestor in relatives.ancestors],
        "children": [_brief(child) for child in relatives.children],
        "layers": _layers(read_stack(layout, stack.digest)),
        "report": None if report is None else _summary(report),
    }


@router.get("/stacks/{name}/{version}/report")
def report(
    name: str, version: VersionNumber, caller: Reader, database: DatabaseDep
) -> dict[str, Any]:
    """The newest gate report of a version, whole."""
    with database.reading() as session:
        stack = service.get(session, Reference(caller.project_id, name, version))
        found = gates.latest_stored(session, stack.digest, project_id=stack.project_id)
    if found is None:
        raise ReportMissing(
            f"{stack.ref} has not been gated.", next_step=f"Run dizuo gate {stack.ref}."
        )
    return {**found.report.as_dict(), "id": found.id, "digest": found.digest}


@router.get("/references")
def find(
    stack: Annotated[str, Query(max_length=300)], caller: Reader, database: DatabaseDep
) -> dict[str, Any]:
    """The stack version that a reference or a digest names; each part that it gives must fit."""
    with database.reading() as session:
        return _brief(find_stack(session, stack, project_id=caller.project_id))


class RecipeBody(BaseModel):
    """A recipe to be looked at."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=2 * MAX_BYTES)]
    source_name: SourceName = DEFAULT_SOURCE_NAME


@router.post("/recipes/check")
def check(body: RecipeBody, caller: Reader, database: DatabaseDep) -> dict[str, Any]:
    """Whether a recipe could run now; if not, the error carries every problem with its line."""
    recipe = parse_recipe(body.text, body.source_name, project_id=caller.project_id)
    with database.reading() as session:
        resolved = service.resolve(session, recipe, project_id=caller.project_id)
        built = service.find_by_inputs(session, resolved.input_digest, project_id=caller.project_id)
    return _checked(resolved, built)


def _checked(resolved: ResolvedRecipe, built: StackVersion | None) -> dict[str, Any]:
    recipe = resolved.recipe
    return {
        "ok": True,
        "name": recipe.name,
        "level": recipe.level.value,
        "family": recipe.family,
        "parent": resolved.parent.ref if resolved.parent else None,
        "num_gates": len(recipe.gates),
        "targets": list(recipe.targets),
        "input_digest": resolved.input_digest,
        "built": built.ref if built else None,
    }


def _brief(stack: StackVersion) -> dict[str, Any]:
    whole = {**stack.as_dict(), "ref": stack.ref}
    return {key: value for key, value in whole.items() if key != "recipe"}


def _summary(stored: StoredReport) -> dict[str, Any]:
    return {
        "id": stored.id,
        "digest": stored.digest,
        "passed": stored.report.passed,
        "num_passed": stored.report.num_passed,
        "num_rules": len(stored.report.rules),
        "summary": stored.report.summary(),
        "created_ms": stored.report.created_ms,
    }


def _layers(index: StackIndex) -> dict[str, Any]:
    """Per target, base first: each layer's level, name, files and bytes."""
    return {
        target: [
            {
                "level": layer.level.value,
                "name": layer.name,
                "bytes": sum(blob.size_bytes for blob in layer.blobs),
                "files": [
                    {
                        "path": file.path,
                        "role": file.role.value,
                        "digest": file.blob.digest,
                        "bytes": file.blob.size_bytes,
                    }
                    for file in layer.files
                ],
            }
            for layer in manifest.layers
        ]
        for target, manifest in index.targets.items()
    }
