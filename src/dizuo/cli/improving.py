"""`dizuo improve`: the loop from returned samples to a better stack on the sites."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dizuo.cli.options import JsonFlag
from dizuo.cli.output import age, moment, print_fields, print_json, print_table, say
from dizuo.cli.session import open_hub
from dizuo.cli.tuning import read_recipe, source_name

app = typer.Typer(no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id of an improvement.")]


@app.callback()
def group() -> None:
    """Returned samples to labels to dataset to stack to gates to release to sites, by itself.

    Example: dizuo improve status
    """


@app.command("start")
def start(
    context: typer.Context,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe to run again.")],
    *,
    dataset: Annotated[str, typer.Option(help="The dataset that reviewed samples go into.")],
    site: Annotated[list[str], typer.Option("--site", help="A site that gets the result.")],
    family: Annotated[
        str,
        typer.Option(help="The family of the samples, if not the recipe's.", show_default=False),
    ] = "",
    served_as: Annotated[
        str,
        typer.Option(
            "--as",
            help="The name it answers to there, if not its own; it learns from samples of it.",
        ),
    ] = "",
    from_site: Annotated[str, typer.Option(help="Learn from samples of this site only.")] = "",
    holdout: Annotated[
        float, typer.Option(help="The share of samples held out for the gates.", min=0, max=0.5)
    ] = 0.2,
    min_samples: Annotated[
        int,
        typer.Option(
            help="How many reviewed samples to wait for; 0 begins at once, with what is there.",
            min=0,
        ),
    ] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Start the loop. It begins as soon as enough returned samples are reviewed.

    Example: dizuo improve start site3.yaml --dataset site3-digits --site site3 --as meter-reading
    """
    body: dict[str, Any] = {
        "recipe": read_recipe(recipe),
        "source_name": source_name(recipe),
        "dataset": dataset,
        "sites": site,
        "holdout": holdout,
        "min_samples": min_samples,
    }
    body |= {"family": family} if family else {}
    body |= {"served_as": served_as} if served_as else {}
    body |= {"from_site": from_site} if from_site else {}
    with open_hub(context) as hub:
        found = hub.start_improvement(body)
    _show(found, as_json)


@app.command("status")
def status(
    context: typer.Context,
    improvement: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One; without it, list all.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how far an improvement is, or list all of them.

    Example: dizuo improve status
    """
    with open_hub(context) as hub:
        if improvement:
            _show(hub.improvement(improvement), as_json)
            return
        found = hub.improvements()
    if as_json:
        print_json(found)
        return
    print_table(
        ("improvement", "state", "dataset", "sites", "stack", "changed"),
        (
            (
                one["id"],
                one["state"],
                one["request"]["dataset"],
                ", ".join(one["request"]["sites"]),
                one["stack"],
                age(one["updated_ms"]),
            )
            for one in found
        ),
        empty="There are no improvements yet.",
    )


@app.command("approve")
def approve(context: typer.Context, improvement: IdArgument, as_json: JsonFlag = False) -> None:
    """Let an improvement that waits for a person be released.

    Example: dizuo improve approve 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f
    """
    with open_hub(context) as hub:
        _show(hub.approve_improvement(improvement), as_json)


@app.command("reject")
def reject(
    context: typer.Context,
    improvement: IdArgument,
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """End an improvement that waits for approval, or for reviews, without a release.

    Example: dizuo improve reject 0197f3c2-5d1e-7cc3-98c4-dc0c0c07398f --reason "too slow"
    """
    with open_hub(context) as hub:
        _show(hub.reject_improvement(improvement, reason), as_json)


@app.command("policy")
def policy(
    context: typer.Context,
    require_approval: Annotated[
        bool | None,
        typer.Option(
            "--require-approval/--no-require-approval",
            help="Whether a person must approve each release; without it, show what counts.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show, or set for the project, whether a person must approve what the loop made.

    Where the project has said nothing, the hub's setting counts (dizuo up --require-approval).

    Example: dizuo improve policy --require-approval
    """
    with open_hub(context) as hub:
        if require_approval is None:
            found = hub.improvement_policy()
        else:
            found = hub.set_improvement_policy(require_approval=require_approval)
    if as_json:
        print_json(found)
        return
    must = "must" if found["require_approval"] else "need not"
    who = f"{found['actor']} said so" if found["actor"] else "by the hub's setting"
    say(f"A person {must} approve each improvement's release ({who}).")


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    print_fields(
        (
            ("improvement", found["id"]),
            ("state", found["state"]),
            ("because", found["reason"]),
            ("dataset versions", ", ".join(found["dataset_versions"])),
            ("tune run", found["tune_run_id"]),
            ("stack", found["stack"]),
            ("gate run", found["gate_run_id"]),
            ("release", found["release_id"]),
            ("rollout", found["rollout_id"]),
            ("approved by", found["approver"]),
            ("started", moment(found["created_ms"])),
            ("changed", age(found["updated_ms"])),
        )
    )
