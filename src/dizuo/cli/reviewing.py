"""`dizuo review`: a person gives returned samples their labels."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dizuo.cli.data import print_addition
from dizuo.cli.options import FamilyOption, JsonFlag
from dizuo.cli.output import age, print_json, print_table, say
from dizuo.cli.session import open_hub

app = typer.Typer(no_args_is_help=True)

_SHOWN_ANSWER = 40


@app.callback()
def group() -> None:
    """Returned samples: look through them, label them, make a dataset of them.

    Example: dizuo review ls --site site3
    """


@app.command("ls")
def list_samples(
    context: typer.Context,
    site: Annotated[str, typer.Option(help="Only of this site.")] = "",
    state: Annotated[
        str, typer.Option(help="returned, reviewed, unusable, used or all.")
    ] = "returned",
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=1000)] = 100,
    as_json: JsonFlag = False,
) -> None:
    """List samples: a fair draw of what was unsure or new first, then what was kept at random.

    Example: dizuo review ls --site site3 --limit 20
    """
    with open_hub(context) as hub:
        samples = hub.review_queue({"site": site or None, "state": state, "limit": limit})
    if as_json:
        print_json(samples)
        return
    print_table(
        ("sample", "site", "kept as", "answer", ">confidence", "state", "label", "taken"),
        (
            (
                one["digest"],
                one["site"],
                one["reason"],
                _text(one["answer"]),
                f"{one['confidence']:.2f}",
                one["state"],
                "" if one["label"] is None else _text(one["label"]),
                age(one["taken_ms"]),
            )
            for one in samples
        ),
        empty="There are no such samples.",
    )


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_ANSWER else text[: _SHOWN_ANSWER - 1] + "…"


@app.command("label")
def label(
    context: typer.Context,
    sample: Annotated[str, typer.Argument(metavar="SAMPLE", help="The sample's id or digest.")],
    value: Annotated[
        str | None, typer.Argument(metavar="[LABEL]", help="The right answer, as text.")
    ] = None,
    *,
    value_json: Annotated[
        str, typer.Option("--label-json", help="The right answer as JSON, if it is not a text.")
    ] = "",
    unusable: Annotated[
        bool, typer.Option("--unusable", help="No label fits; never learn from it.")
    ] = False,
    correct: Annotated[
        bool, typer.Option("--correct", help="Replace the label it was given before.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Give a returned sample its right answer.

    Example: dizuo review label 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f 7
    """
    if (value is not None) + bool(value_json) + unusable != 1:
        raise typer.BadParameter("give a label or --unusable, one of the two", param_hint="LABEL")
    body: dict[str, Any] = {"unusable": True} if unusable else {"label": _label(value, value_json)}
    with open_hub(context) as hub:
        judged = hub.review(sample, {**body, "correct": correct})
    if as_json:
        print_json(judged)
    else:
        say(f"Sample {judged['id']} is {judged['state']}.", style="green")


def _label(value: str | None, value_json: str) -> Any:
    if value is not None:
        return value
    try:
        return json.loads(value_json)
    except ValueError as error:
        raise typer.BadParameter("this is not JSON", param_hint="--label-json") from error


@app.command("dataset")
def dataset(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset they go into.")],
    *,
    family: FamilyOption = "",
    site: Annotated[str, typer.Option(help="Only samples of this site.")] = "",
    holdout: Annotated[
        float | None, typer.Option(help="The share kept apart in DATASET-test.", min=0, max=0.9)
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Put every reviewed sample into a dataset as a new version.

    Example: dizuo review dataset site3-digits --family vision --holdout 0.2
    """
    body: dict[str, Any] = {"name": name, "site": site}
    body |= {"family": family} if family else {}
    if holdout is not None:
        body["holdout"] = holdout
    with open_hub(context) as hub:
        added = hub.review_dataset(body)
    if as_json:
        print_json(added)
    else:
        print_addition(added)
