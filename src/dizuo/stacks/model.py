"""The nouns of stacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

from dizuo.artifacts.model import LayerFile, Level
from dizuo.datasets.model import DatasetPin
from dizuo.stacks.recipe import Recipe


class DatasetUse(StrEnum):
    """What a dataset version was to a stack."""

    TRAIN = "train"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True)
class UsedDataset:
    """A dataset version that a stack's own layer learned from."""

    use: DatasetUse
    project: str
    name: str
    version: int
    digest: str

    @property
    def ref(self) -> str:
        """`name@version`, as recipes write it."""
        return f"{self.name}@{self.version}"

    @classmethod
    def of(cls, use: DatasetUse, pin: DatasetPin) -> Self:
        """The use of a pinned version."""
        return cls(use, pin.project, pin.name, pin.version, pin.digest)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The use of its JSON form."""
        return cls(**{**value, "use": DatasetUse(value["use"])})


@dataclass(frozen=True, slots=True)
class StackVersion:
    """A stack version as the hub remembers it.

    `digest` is that of its OCI index, `input_digest` that of everything that determined it,
    `recipe` the text it was built by (empty for an imported base), `targets` in the recipe's
    order. `bytes_added` is what a place that has the parent must fetch in all targets.
    `released_ms` is when it was signed, None while it is not.
    """

    id: str
    project_id: str
    name: str
    version: int
    level: Level
    family: str
    digest: str
    index_size_bytes: int
    targets: tuple[str, ...]
    parent_digest: str | None
    input_digest: str
    run_id: str
    recipe: str
    datasets: tuple[UsedDataset, ...]
    bytes_total: int
    bytes_added: int
    created_ms: int
    released_ms: int | None = None

    @property
    def ref(self) -> str:
        """`name:version`."""
        return f"{self.name}:{self.version}"

    @property
    def subject(self) -> str:
        """How the audit log names it."""
        return f"stack:{self.ref}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class NewStack:
    """What is asked of `service.register`.

    `targets` has the files of the stack's own layer in each target's form, in the recipe's order;
    `input_digest` is from `service.resolve` (for an import: of what was imported).
    """

    run_id: str
    name: str
    level: Level
    family: str
    parent_digest: str | None
    targets: Mapping[str, tuple[LayerFile, ...]]
    input_digest: str
    project_id: str
    recipe: str = ""
    datasets: tuple[UsedDataset, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ResolvedRecipe:
    """A recipe with every name in it found: ready to run.

    `suites` has a pin for each suite that its gates name, by the text that names it. `input_digest`
    is the digest of everything that determines the stack; two recipes with equal ones build the
    same.
    """

    recipe: Recipe
    project_id: str
    parent: StackVersion | None
    train: DatasetPin
    replay: DatasetPin | None
    suites: Mapping[str, DatasetPin]
    input_digest: str

    @property
    def used_datasets(self) -> tuple[UsedDataset, ...]:
        """What the layer learns from."""
        train = UsedDataset.of(DatasetUse.TRAIN, self.train)
        if self.replay is None:
            return (train,)
        return (train, UsedDataset.of(DatasetUse.REPLAY, self.replay))


@dataclass(frozen=True, slots=True)
class Lineage:
    """A stack version's relatives: `ancestors` from its parent down to its base, and the versions
    that were built directly on it, oldest first."""

    stack: StackVersion
    ancestors: tuple[StackVersion, ...]
    children: tuple[StackVersion, ...]


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One step of a trace. `of` is the digest of the stack or dataset version it belongs to."""

    kind: str
    id: str
    digest: str
    of: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; details stand beside the rest."""
        return {
            **self.detail,
            "kind": self.kind,
            "id": self.id,
            "digest": self.digest,
            "of": self.of,
        }
