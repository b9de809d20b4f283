"""`dizuo data`: datasets and their versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dizuo.cli.families import family_of_dataset
from dizuo.cli.options import FamilyOption, JsonFlag
from dizuo.cli.output import age, moment, print_fields, print_json, print_table, say
from dizuo.cli.progress import Bars
from dizuo.cli.references import dataset_pin
from dizuo.cli.session import open_hub
from dizuo.core.digests import short
from dizuo.core.errors import InvalidInput

app = typer.Typer(no_args_is_help=True)

_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".tar": "images",
    ".zip": "images",
}
_SHOWN_REJECTS = 10


class FormatUnknown(InvalidInput):
    """The format of a file cannot be told from its name, or there is none of that name."""

    code = "format_unknown"


@app.callback()
def group() -> None:
    """Datasets: add rows, list, show, compare.

    Example: dizuo data ls
    """


@app.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The dataset; it is made if it is new.")],
    path: Annotated[
        Path, typer.Argument(help="A JSONL, CSV or Parquet file, or a folder of images.")
    ],
    *,
    family: FamilyOption = "",
    holdout: Annotated[
        float | None,
        typer.Option(help="The share of rows kept apart in NAME-test.", min=0, max=0.9),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Hold these rows only, not those of before.")
    ] = False,
    format: Annotated[
        str, typer.Option("--format", help="jsonl, csv, parquet or images; or told by the name.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Add rows to a dataset as a new version. Rows that cannot be used are listed with why.

    Example: dizuo data add digits ./digits --family vision --holdout 0.2
    """
    body: dict[str, Any] = {
        "format": _known_format(format) if format else _format_of(path),
        "mode": "replace" if replace else "append",
    }
    if holdout is not None:
        body["holdout"] = holdout
    with open_hub(context) as hub:
        body["family"] = family or family_of_dataset(hub, name)
        with Bars() as bars:
            body["upload"] = hub.upload(path, bars.report)["digest"]
        added = hub.add_dataset_version(name, body)
    if as_json:
        print_json(added)
    else:
        print_addition(added)


def _known_format(name: str) -> str:
    formats = sorted(set(_FORMATS.values()))
    if name not in formats:
        raise FormatUnknown(
            f"There is no format {name[:40]!r}.", next_step=f"Use one of: {', '.join(formats)}."
        )
    return name


def _format_of(path: Path) -> str:
    if path.is_dir():
        inside = sorted(_FORMATS.get(one.suffix.lower(), "") for one in path.iterdir())
        return next((form for form in inside if form not in ("", "images")), "images")
    known = _FORMATS.get(path.suffix.lower())
    if known is None:
        raise FormatUnknown(
            f"What {path.name} holds cannot be told from its name.",
            next_step=f"Say it with --format: {', '.join(sorted(set(_FORMATS.values())))}.",
        )
    return known


def print_addition(added: dict[str, Any]) -> None:
    """What came of adding rows: the versions, the counts, the first rows that were not taken."""
    for version in added["versions"]:
        word = "made" if version["new"] else "unchanged"
        say(f"{version['name']}@{version['version']}: {version['num_rows']} rows ({word})")
    say(
        f"{added['num_accepted']} rows taken, {added['num_duplicates']} were there already, "
        f"{added['num_rejected']} not taken."
    )
    _print_rejects(added["rejects"][:_SHOWN_REJECTS], added["num_rejected"])


def _print_rejects(rejects: list[dict[str, Any]], num_rejected: int) -> None:
    for reject in rejects:
        say(f"  {reject['place']}: {reject['reason']}", style="yellow")
    if num_rejected > len(rejects):
        say(f"  and {num_rejected - len(rejects)} more", style="yellow")


@app.command("ls")
def list_datasets(context: typer.Context, as_json: JsonFlag = False) -> None:
    """List every dataset with its newest version.

    Example: dizuo data ls
    """
    with open_hub(context) as hub:
        datasets = hub.datasets()
    if as_json:
        print_json(datasets)
        return
    print_table(
        ("dataset", "family", ">versions", ">rows", "digest", "changed"),
        (
            (
                f"{one['name']}@{one['latest']['version']}",
                one["family"],
                one["num_versions"],
                one["latest"]["num_rows"],
                short(one["latest"]["digest"]),
                age(one["latest"]["created_ms"]),
            )
            for one in datasets
        ),
        empty="There are no datasets yet. Add one: dizuo data add NAME PATH --family FAMILY",
    )


@app.command("show")
def show(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="A dataset.")],
    rejects: Annotated[
        bool, typer.Option("--rejects", help="List every row that was not taken, and why.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show a dataset, or one version of it.

    Example: dizuo data show digits@1 --rejects
    """
    with open_hub(context) as hub:
        if "@" not in dataset:
            found, refused = hub.dataset(dataset), None
        else:
            name, version = dataset_pin(dataset)
            found = hub.dataset_version(name, version)
            refused = hub.dataset_rejects(name, version) if rejects else None
    if as_json:
        print_json(found if refused is None else {**found, "rejects": refused})
        return
    if "@" in dataset:
        print_fields(_version_fields(found))
        _print_rejects(refused or [], 0)
    else:
        _print_versions(found)


def _print_versions(found: dict[str, Any]) -> None:
    print_table(
        (">version", ">rows", ">added", ">removed", ">rejected", "digest", "made"),
        (
            (
                one["version"],
                one["num_rows"],
                one["num_added"],
                one["num_removed"],
                one["num_rejected"],
                short(one["digest"]),
                age(one["created_ms"]),
            )
            for one in found["versions"]
        ),
        empty="It has no versions.",
    )


def _version_fields(found: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("dataset", f"{found['name']}@{found['version']}"),
        ("family", found["family"]),
        ("rows", found["num_rows"]),
        ("added", found["num_added"]),
        ("removed", found["num_removed"]),
        ("not taken", found["num_rejected"]),
        ("duplicates", found["num_duplicates"]),
        ("digest", found["digest"]),
        ("made", moment(found["created_ms"])),
    ]


@app.command("diff")
def diff(
    context: typer.Context,
    before: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The earlier version.")],
    after: Annotated[str, typer.Argument(metavar="NAME@VERSION", help="The later version.")],
    as_json: JsonFlag = False,
) -> None:
    """Compare two versions of a dataset.

    Example: dizuo data diff digits@1 digits@2
    """
    (name, first), (other, second) = dataset_pin(before), dataset_pin(after)
    if name != other:
        raise InvalidInput(
            f"{name} and {other} are two datasets.", next_step="Compare two versions of one."
        )
    with open_hub(context) as hub:
        found = hub.dataset_diff(name, first, second)
    if as_json:
        print_json(found)
        return
    say(f"{before} to {after}:")
    for kind in ("added", "removed", "relabelled"):
        say(f"{found[f'num_{kind}']} {kind}", style="bold")
        for row in found[kind]:
            say(f"  {_row(row)}")
    say(f"{found['num_unchanged']} unchanged", style="dim")


def _row(row: dict[str, Any]) -> str:
    label, was = row.get("label"), row.get("label_before")
    labels = f"{was} → {label}" if was is not None else f"{label}"
    return f"{row['row_digest'][7:19]}  {labels}  {row.get('source', '')}"
