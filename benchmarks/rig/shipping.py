"""Stacks in a real hub's registry, and fetching them from its `/v2/` as an agent does."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from dizuo.artifacts.fetch import RegistrySource, fetch_stack
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import LayerFile, Level
from dizuo.artifacts.stacks import StackDraft, compose
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.edge.wire import EnrolReply


@dataclass(frozen=True, slots=True)
class Shipped:
    """One stack in the hub's registry, and what a site must have fetched before."""

    name: str
    digest: str
    size_bytes: int
    before: Shipped | None = None


@dataclass(frozen=True, slots=True)
class Fetching:
    """What one fetch brought, and in what time."""

    bytes_fetched: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Pair:
    """The same scenario at one rank, both ways; fetched several times each."""

    rank: int
    update: Sequence[Fetching]
    whole: Sequence[Fetching]

    def as_dict(self) -> dict[str, Any]:
        """Medians, and how many times more the whole model is."""
        update_bytes, whole_bytes = (
            int(median(one.bytes_fetched for one in some)) for some in (self.update, self.whole)
        )
        update_seconds, whole_seconds = (
            median(one.seconds for one in some) for some in (self.update, self.whole)
        )
        return {
            "rank": self.rank,
            "update_bytes": update_bytes,
            "whole_bytes": whole_bytes,
            "bytes_ratio": round(whole_bytes / update_bytes, 2),
            "update_seconds": round(update_seconds, 4),
            "whole_seconds": round(whole_seconds, 4),
            "seconds_ratio": round(whole_seconds / update_seconds, 2),
        }


def put(
    layout: Layout,
    name: str,
    family: str,
    layer: tuple[Level, Mapping[str, tuple[LayerFile, ...]]],
    below: Shipped | None,
) -> Shipped:
    """Compose a stack into a layout: a layer's files by target, on what lies below."""
    level, targets = layer
    parent = below.digest if below else None
    draft = StackDraft(DEFAULT_PROJECT, name, 1, level, family, parent, targets)
    digest = compose(layout, draft)
    layout.tag(f"{DEFAULT_PROJECT}/{name}", "1", digest)
    return Shipped(name, digest, layout.path(digest).stat().st_size, below)


Bring = Callable[[Layout, Shipped], object]


@dataclass(frozen=True, slots=True)
class Site:
    """A site of a running hub, which fetches one target of its stacks.

    `bring`, if there is one, is what it does with a stack once it is fetched; its time counts.
    """

    url: str
    enrolled: EnrolReply
    target: str
    bring: Bring | None = None

    def fetch_in_turn(
        self, stacks: Sequence[Shipped], repeats: int, scratch: Path
    ) -> list[list[Fetching]]:
        """Fetch each stack `repeats` times, one after the other, each time to a new folder that has
        what lies below it; the first round, which warms the hub, is not kept."""
        rounds = [
            [self._fetch_to_new_folder(one, scratch) for one in stacks] for _ in range(repeats + 1)
        ]
        return [list(some) for some in zip(*rounds[1:], strict=True)]

    def _fetch_to_new_folder(self, stack: Shipped, scratch: Path) -> Fetching:
        folder = scratch / "site"
        with httpx2.Client(base_url=self.url) as client:
            if stack.before:
                kept = scratch / f"site-with-{stack.before.name}"
                if not kept.exists():
                    self._fetch(client, Layout(kept), stack.before)
                shutil.copytree(kept, folder, copy_function=os.link)
            fetching = self._fetch(client, Layout(folder), stack)
        shutil.rmtree(folder)
        return fetching

    def _fetch(self, client: httpx2.Client, layout: Layout, stack: Shipped) -> Fetching:
        repository = f"{DEFAULT_PROJECT}/{stack.name}"
        source = RegistrySource(client, repository, self.enrolled.registry_credential)
        started = time.perf_counter()
        fetched = fetch_stack(source, layout, stack.digest, stack.size_bytes, self.target)
        if self.bring is not None:
            self.bring(layout, stack)
        return Fetching(fetched.bytes_fetched, time.perf_counter() - started)
