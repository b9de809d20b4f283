"""Stacks of the family `tally` on disk, and datasets for it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from string import ascii_letters
from typing import Any

import pytest
from tests.gates.tally.runtime import MODEL_NAME

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.database.engine import Database
from dizuo.datasets.adding import Warehouse, add_version
from dizuo.datasets.model import Candidate, DatasetPin, Draft
from dizuo.families.golden import (
    GOLDEN_NAME,
    TRAINED_ANSWERS_NAME,
    ExpectedAnswer,
    write_golden,
)
from dizuo.families.registry import ENTRY_POINT_GROUP, family_packages

OPERATOR = "operator:ann"


@contextmanager
def installed_tally(site: Path) -> Iterator[None]:
    """Install the family as pip would: a distribution with an entry point."""
    information = site / "tally-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: tally\nVersion: 1.0\n")
    entry = f"[{ENTRY_POINT_GROUP}]\ntally = tests.gates.tally\n"
    (information / "entry_points.txt").write_text(entry)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(site))
        family_packages.cache_clear()
        yield
    family_packages.cache_clear()


def labelled(num_rows: int, labels: str = "ab") -> list[dict[str, str]]:
    """Rows with labels that take turns, and texts of three letters each. No two texts share all
    their letters, so none are near duplicates for the family."""
    texts = islice(combinations(ascii_letters, 3), num_rows)
    return [
        {"text": "".join(text), "label": labels[index % len(labels)]}
        for index, text in enumerate(texts)
    ]


def right_answers(rows: Sequence[Mapping[str, str]], *, wrong: int = 0) -> dict[str, str]:
    """A table that knows these rows, but for the first `wrong`."""
    return {row["text"]: row["label"] if i >= wrong else "z" for i, row in enumerate(rows)}


@dataclass
class Shelf:
    """A folder in which tests lay out stacks and keep datasets."""

    root: Path
    database: Database
    num_made: int = field(init=False, default=0)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.database, self.root / "datasets")

    def dataset(self, name: str, rows: Sequence[Mapping[str, Any]]) -> DatasetPin:
        """A version with these rows."""
        self.num_made += 1
        draft = Draft(name=name, family="tally", origin=f"test:{self.num_made}")
        records = [Candidate(f"line {i}", dict(row)) for i, row in enumerate(rows, 1)]
        return add_version(self.warehouse, draft, records, OPERATOR).version.pin

    def stack(
        self,
        model: Mapping[str, Any],
        *,
        name: str = "reader",
        version: int = 1,
        target: str = "table",
        expected: Mapping[str, str] | None = None,
    ) -> StackFiles:
        """A stack of one layer; `expected` are its golden and trained answers."""
        directory = self.root / "stacks" / f"{name}-{version}-{target}"
        directory.mkdir(parents=True)
        text = json.dumps({"answers": {}, "default": "?", **model})
        (directory / MODEL_NAME).write_text(text)
        if expected is not None:
            rows = [
                ExpectedAnswer(request={"texts": [t]}, answer=a, confidence=0.75)
                for t, a in expected.items()
            ]
            write_golden(directory / GOLDEN_NAME, rows[:16])
            write_golden(directory / TRAINED_ANSWERS_NAME, rows)
        layer = LayerDirectory(Level.L1, name, directory)
        digest = sha256_bytes(f"{name}:{version}".encode())
        return StackFiles(name, version, digest, target, (layer,))
