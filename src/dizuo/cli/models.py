"""`dizuo model`: stacks, from bringing an open model in to looking at each version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dizuo.cli.families import family_of_stack
from dizuo.cli.following import follow
from dizuo.cli.options import DetachFlag, FamilyOption, JsonFlag, StackArgument
from dizuo.cli.output import age, moment, print_fields, print_json, print_table, say, size
from dizuo.cli.progress import Bars
from dizuo.cli.references import stack_name
from dizuo.cli.session import open_hub
from dizuo.core.digests import short

_HUB_PREFIX = "hf://"
_GGUF_SUFFIX = ".gguf"

app = typer.Typer(no_args_is_help=True)


@app.callback()
def group() -> None:
    """Stacks: import, list, show.

    Example: dizuo model ls
    """


@app.command("import")
def import_model(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="A model directory or its tar archive, a GGUF file, or hf://ID.")
    ],
    *,
    name: Annotated[str, typer.Option(help="The name of the new stack.")],
    family: FamilyOption = "",
    target: Annotated[
        list[str] | None, typer.Option(help="A form to export it to; repeatable. All if left out.")
    ] = None,
    context_tokens: Annotated[
        int | None,
        typer.Option(
            help="Of a language model: how many tokens of prompt and answer together engines make "
            "room for, at most what it reads. 2048 if left out."
        ),
    ] = None,
    detach: DetachFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Bring an open model in as a base (L0).

    Example: dizuo model import ./resnet-18 --name resnet --family vision
    """
    body: dict[str, Any] = {"kind": "import", "name": name}
    if target:
        body["targets"] = target
    if context_tokens is not None:
        body["task"] = {"context_tokens": context_tokens}
    with open_hub(context) as hub:
        body["family"] = family or family_of_stack(hub, name)
        if source.startswith(_HUB_PREFIX):
            body["source"] = source
        else:
            with Bars() as bars:
                is_gguf = source.endswith(_GGUF_SUFFIX)
                upload = hub.upload(Path(source), bars.report, in_folder=is_gguf)
            body["upload"] = upload["digest"]
        run = hub.submit_run(body)
        if not detach:
            run = follow(hub, run)
    if as_json:
        print_json(run)
    elif detach:
        say(f"Import started as run {run['id']}.")
    else:
        say(f"Imported {run['outcome']['stack']}.", style="green")


@app.command("ls")
def list_models(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List the newest version of each stack.

    Example: dizuo model ls
    """
    with open_hub(context) as hub:
        stacks = hub.stacks()
    if as_json:
        print_json(stacks)
        return
    print_table(
        ("stack", "level", "family", "digest", ">adds", ">whole", "made"),
        (
            (
                f"{one['name']}:{one['version']}",
                one["level"],
                one["family"],
                short(one["digest"]),
                size(one["bytes_added"]),
                size(one["bytes_total"]),
                age(one["created_ms"]),
            )
            for one in stacks
        ),
        empty="There are no stacks yet. Import one, or tune a recipe.",
    )


@app.command("show")
def show_model(context: typer.Context, stack: StackArgument, as_json: JsonFlag = False) -> None:
    """Show one stack version: its layers, forms and sizes.

    Example: dizuo model show meter-reading:3
    """
    with open_hub(context) as hub:
        wanted = stack_name(hub, stack)
        found = hub.stack(wanted.name, wanted.version)
    if as_json:
        print_json(found)
        return
    print_fields(_fields(found))


def _fields(found: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("stack", f"{found['name']}:{found['version']}"),
        ("level", found["level"]),
        ("family", found["family"]),
        ("digest", found["digest"]),
        ("parent", found.get("parent_digest")),
        ("targets", ", ".join(found["targets"])),
        ("adds", size(found["bytes_added"])),
        ("whole", size(found["bytes_total"])),
        ("made", moment(found["created_ms"])),
        ("run", found.get("run_id")),
    ]


@app.command("log")
def log_model(
    context: typer.Context,
    stack: StackArgument,
    as_json: JsonFlag = False,
) -> None:
    """List the versions of one stack, newest first.

    Example: dizuo model log meter-reading
    """
    with open_hub(context) as hub:
        name = stack_name(hub, stack).name
        versions = hub.stack_versions(name)
    versions.sort(key=lambda one: int(one["version"]), reverse=True)
    if as_json:
        print_json(versions)
        return
    print_table(
        (">version", "digest", "made", "run"),
        (
            (one["version"], short(one["digest"]), moment(one["created_ms"]), one.get("run_id"))
            for one in versions
        ),
        empty=f"{name} has no versions.",
    )
