"""`python -m dizuo.demo.hotline`: print made-up tickets, or texts to copy, one JSON a line."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from dizuo.demo.hotline.cities import DESKS
from dizuo.demo.hotline.copying import base_rows, copying_rows
from dizuo.demo.hotline.model import Split
from dizuo.demo.hotline.tickets import Mix, ticket_rows


class Kind(StrEnum):
    """What can be made."""

    FACILITY = "facility"
    GOVERNMENT = "government"
    HARBIN = "harbin"
    SHENZHEN = "shenzhen"
    COPYING = "copying"
    BASE = "base"


def make(
    kind: Annotated[Kind, typer.Argument(help="Whose tickets; `base` mixes in copying by halves.")],
    num: Annotated[int, typer.Option(min=1, help="How many.")] = 200,
    split: Annotated[Split, typer.Option(help="Which of two disjoint worlds.")] = Split.TRAIN,
    new_share: Annotated[
        float, typer.Option(min=0, max=1, help="How many are about Harbin's new events.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same tickets.")] = 1,
) -> None:
    """Print rows of a dataset, one JSON a line.

    Example: python -m dizuo.demo.hotline harbin --num 600 --new-share 0.5 > current.jsonl
    """
    desk = DESKS.get(kind)
    if new_share and not (desk and desk.new_events):
        raise typer.BadParameter(f"Nothing new happens at {kind}; leave out --new-share.")
    if desk is not None:
        rows = ticket_rows(Mix(desk, split, new_share), num, seed)
    elif split is Split.HELDOUT:
        raise typer.BadParameter(f"{kind} has no held-out split; leave out --split.")
    else:
        rows = (base_rows if kind is Kind.BASE else copying_rows)(num, seed)
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    typer.run(make)
