"""The bodies that `/api/v1` takes for datasets and review."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dizuo.datasets.http import Page
from dizuo.datasets.importing.base import Format
from dizuo.datasets.model import Mode

Share = Annotated[float, Field(ge=0, lt=1)]
OriginText = Annotated[str, Field(max_length=200)]


class Body(BaseModel):
    """Base of every body: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AddVersionBody(Body):
    """Import an upload. Without `family` and `holdout` the dataset's own hold; `origin` is a key
    under which a repeated request makes nothing new."""

    upload: str
    format: Format
    family: Annotated[str, Field(max_length=64)] = ""
    mode: Mode = Mode.APPEND
    holdout: Share | None = None
    origin: OriginText = ""


class ReviewBody(Body):
    """A verdict: a label, or that the sample is unusable. `correct` replaces an earlier one."""

    label: Any = None
    unusable: bool = False
    correct: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.unusable == (self.label is not None):
            raise ValueError("give either a label or unusable")
        return self


class CollectBody(Body):
    """Put reviewed samples into a dataset. The filters narrow which; `family` and `origin` as
    above."""

    name: Annotated[str, Field(max_length=63)]
    family: Annotated[str, Field(max_length=64)] = ""
    site: str = ""
    served_as: str = ""
    reason: str = ""
    mode: Mode = Mode.APPEND
    holdout: Share | None = None
    origin: OriginText = ""


class QueueQuery(Page):
    """Which samples of the queue."""

    site: str = ""
    state: Literal["returned", "reviewed", "unusable", "used", "all"] = "returned"
    reason: Literal["uncertain", "novel", "control", ""] = ""
    served_as: str = ""
