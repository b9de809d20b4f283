"""The nouns of datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from dizuo.database.tables import DEFAULT_PROJECT

LABEL_COLUMN = "label"
"""The column that a reviewer fills."""

REJECTED_COLUMN = "rejected"
"""The column of a model's answer that a reviewer turned down, where the family reads such."""

ANSWER_COLUMNS = (LABEL_COLUMN, REJECTED_COLUMN)
"""What is said about an input; every other column is input."""

TEST_SUFFIX = "-test"
"""What is added to a dataset's name for the dataset of its held-out rows."""


class Mode(StrEnum):
    """How a new version relates to the one before it."""

    APPEND = "append"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class DatasetPin:
    """One dataset version, with all that is needed to read it without a database.

    `digest` is the digest of its content, `uri` the Lance table, `tag` the Lance tag that keeps
    the version's files.
    """

    project: str
    name: str
    version: int
    digest: str
    uri: str
    tag: str
    num_rows: int

    @property
    def ref(self) -> str:
        """`name@version`, as recipes write it."""
        return f"{self.name}@{self.version}"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The pin of a JSON form made by `as_dict`."""
        return cls(**value)


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A dataset version as the hub remembers it.

    `origin` is the key under which it was added: adding under the same key again yields the same
    version. `parent_version` is the version it was appended to, if any. `num_duplicates` counts
    rows of the addition that were there already or came twice.
    """

    id: str
    project_id: str
    name: str
    family: str
    version: int
    digest: str
    num_rows: int
    uri: str
    tag: str
    origin: str
    mode: Mode
    parent_version: int | None
    num_added: int
    num_removed: int
    num_rejected: int
    num_duplicates: int
    created_ms: int

    @property
    def pin(self) -> DatasetPin:
        """The pin of this version."""
        return DatasetPin(
            self.project_id,
            self.name,
            self.version,
            self.digest,
            self.uri,
            self.tag,
            self.num_rows,
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """A dataset and its newest version. `holdout` is the share of rows that goes to its test."""

    name: str
    project_id: str
    family: str
    holdout: float
    num_versions: int
    latest: DatasetVersion

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row that asks to be taken. `place` says where it comes from (`line 12`, `7/a.png`)."""

    place: str
    columns: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reject:
    """One row that was not taken, and why."""

    place: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """The JSON form, a line of `rejects.jsonl`."""
        return {"place": self.place, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One row of a table.

    `row_digest` covers all its columns, `input_digest` all but the answers (ANSWER_COLUMNS), so two
    rows with equal input digests are the same input. Tables from before rejected answers were left
    out hold digests with them.
    """

    row_digest: str
    input_digest: str
    source: str
    columns: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Draft:
    """What is asked of `service.add_version`.

    Args:
        name: the dataset, `[a-z0-9._-]`, at most 58 characters.
        family: the family whose spec checks each row.
        origin: a key; adding twice under one key makes one version.
        mode: append to the newest version, or replace what it holds.
        holdout: the share of rows, 0 to under 1, that goes to `<name>-test`; None keeps the share
            that the dataset has (0 for a new one).
        source_name: what each row's `source` starts with.
    """

    name: str
    family: str
    origin: str
    mode: Mode = Mode.APPEND
    holdout: float | None = None
    source_name: str = ""
    project_id: str = DEFAULT_PROJECT

    @property
    def test_name(self) -> str:
        """The dataset of the held-out rows."""
        return self.name + TEST_SUFFIX

    @property
    def test_origin(self) -> str:
        """The key of the held-out rows; no addition straight to the test can have it."""
        return f"held out of {self.name}: {self.origin}"


@dataclass(frozen=True, slots=True)
class Addition:
    """What came of an addition.

    `version` is the dataset's version that now holds the rows, `held_out` that of its test, if
    there is one; `made` are those of the two that are new (none, if everything was there already).
    `rejects` are the first few; all of them are kept with the version.
    """

    version: DatasetVersion
    held_out: DatasetVersion | None
    made: tuple[DatasetVersion, ...]
    num_accepted: int
    num_rejected: int
    num_duplicates: int
    rejects: tuple[Reject, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        made = {version.id for version in self.made}
        versions = [version for version in (self.version, self.held_out) if version is not None]
        return {
            "versions": [v.as_dict() | {"new": v.id in made} for v in versions],
            "num_accepted": self.num_accepted,
            "num_rejected": self.num_rejected,
            "num_duplicates": self.num_duplicates,
            "rejects": [reject.as_dict() for reject in self.rejects],
        }


@dataclass(frozen=True, slots=True)
class RowExample:
    """A row for people: where it came from and its label before and after, where it has one."""

    row_digest: str
    source: str
    label: Any = None
    label_before: Any = None


@dataclass(frozen=True, slots=True)
class Diff:
    """What changed from one version to another; the examples are the first few of each kind.

    A row counts as relabelled if both versions hold its input, with another label.
    """

    before: str
    after: str
    num_added: int
    num_removed: int
    num_relabelled: int
    num_unchanged: int
    added: tuple[RowExample, ...]
    removed: tuple[RowExample, ...]
    relabelled: tuple[RowExample, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OverlapPair:
    """A row of a suite and the row of the training data that is closest to it."""

    suite_row: str
    suite_source: str
    train_row: str
    train_source: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """Rows of a suite that the training data holds too.

    `num_exact` suite rows have an equal input there, `num_near` others a near duplicate. `pairs`
    are examples, exact ones first.
    """

    train: str
    suite: str
    num_exact: int
    num_near: int
    pairs: tuple[OverlapPair, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing of the suite is in the training data."""
        return self.num_exact == 0 and self.num_near == 0

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Sample:
    """A returned sample as the hub remembers it; its row lies in the sample's file.

    `state` is that of `samples.MACHINE`; `label`, `reviewer` and `reviewed_ms` are set once it is
    reviewed, `dataset_version_id` once it is used.
    """

    id: str
    project_id: str
    digest: str
    site: str
    family: str
    served_as: str
    stack_digest: str
    answer: Any
    confidence: float
    reason: str
    taken_ms: int
    received_ms: int
    state: str
    label: Any = None
    reviewer: str = ""
    reviewed_ms: int | None = None
    dataset_version_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)
