"""Datasets as a crowd's stacks learn from them: their rows in the hub's database alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.rig.crowd.rows import MINUTE_MS, Values
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_bytes
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets.model import Mode
from dizuo.stacks.model import DatasetUse

NUM_DATASETS = 100
NUM_VERSIONS = 5
_NUM_ROWS = 1_000
_DAY_MS = 24 * 60 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Version:
    """A dataset version by the name of its dataset, with its row."""

    name: str
    row: Values

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.row['version']}"

    @property
    def used(self) -> Values:
        """As a stack keeps what it learned from."""
        return {
            "use": DatasetUse.TRAIN.value,
            "project": DEFAULT_PROJECT,
            "name": self.name,
            "version": self.row["version"],
            "digest": self.row["digest"],
        }


def datasets() -> Iterator[Values]:
    """Each with the one that is held out of it."""
    for number in range(NUM_DATASETS):
        for name in (f"calls-{number:03}", f"calls-{number:03}-test"):
            yield {
                "id": new_id(),
                "project_id": DEFAULT_PROJECT,
                "name": name,
                "family": "text",
                "uri": f"/nowhere/{name}",
                "holdout": 0.2,
                "created_ms": now_ms() - 90 * _DAY_MS,
            }


def versions(of: Values) -> Iterator[Version]:
    """Every version of a dataset, each appended to the one before."""
    for version in range(1, NUM_VERSIONS + 1):
        yield Version(of["name"], _version(of, version))


def _version(of: Values, version: int) -> Values:
    return {
        "id": new_id(),
        "project_id": DEFAULT_PROJECT,
        "dataset_id": of["id"],
        "version": version,
        "digest": sha256_bytes(f"{of['name']}@{version}".encode()),
        "num_rows": _NUM_ROWS * version,
        "tag": f"v{version}",
        "origin": f"origin {version}",
        "mode": Mode.APPEND.value,
        "parent_version": version - 1 or None,
        "num_added": _NUM_ROWS,
        "num_removed": 0,
        "num_rejected": 3,
        "num_duplicates": 7,
        "created_ms": of["created_ms"] + version * 10 * _DAY_MS,
    }
