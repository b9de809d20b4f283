"""Marks that the pages of data share."""

from __future__ import annotations

from markupsafe import Markup

from dizuo.console.elements.markup import join, link, tag
from dizuo.console.messages import Words
from dizuo.datasets.model import DatasetVersion, Mode

HELD_OUT = "held out of "
"""How the origin of a version of held-out rows begins."""


def crumbs(words: Words, *names: str) -> Markup:
    """The way back up, from the list of datasets."""
    ways = [link(words("nav.data"), "/data"), *(link(one, f"/data/{one}") for one in names)]
    return tag("nav", join(ways, " / "), aria_label=words("data.way"), class_="crumbs")


def how_made(words: Words, one: DatasetVersion) -> str:
    """Where the rows of a version came from, and what became of those before."""
    if one.mode is Mode.REPLACE:
        what = words("data.replaced")
    elif one.parent_version is not None:
        what = words("data.appended", version=one.parent_version)
    else:
        what = words("data.begun")
    return words("data.how", whence=_whence(words, one.origin), what=what)


def _whence(words: Words, origin: str) -> str:
    if origin.startswith(HELD_OUT):
        return words("data.how_held_out", name=origin.removeprefix(HELD_OUT).partition(":")[0])
    kind = origin.partition(":")[0]
    known = kind if kind in ("import", "review", "improvement") else "other"
    return words(f"data.how_{known}")
