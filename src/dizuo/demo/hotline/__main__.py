"""`python -m dizuo.demo.hotline`: print made-up tickets, or texts to copy, one JSON a line."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from dizuo.demo.hotline.cities import DESKS
from dizuo.demo.hotline.copying import base_rows, copying_rows, excerpt_rows
from dizuo.demo.hotline.model import Split
from dizuo.demo.hotline.tickets import Mix, ticket_rows


class Kind(StrEnum):
    """What can be made."""

    FACILITY = "facility"
    GOVERNMENT = "government"
    HARBIN = "harbin"
    SHENZHEN = "shenzhen"
    COPYING = "copying"
    EXCERPTS = "excerpts"
    BASE = "base"


def make(
    kind: Annotated[
        Kind,
        typer.Argument(help="Whose tickets; `base` mixes in texts to copy and excerpt."),
    ],
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
    elif kind is Kind.BASE:
        rows = base_rows(num, seed, split)
    elif split is Split.HELDOUT:
        raise typer.BadParameter(f"{kind} has no held-out split; leave out --split.")
    else:
        rows = (copying_rows if kind is Kind.COPYING else excerpt_rows)(num, seed)
    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    typer.run(make)
