"""What starts an improvement, as it comes in: over the API, and from the console's form."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from dizuo.edge.wire import NameText, ServedAs
from dizuo.improvements.model import ImprovementRequest
from dizuo.stacks.recipe import DEFAULT_SOURCE_NAME, SourceName


class ImprovementBody(BaseModel):
    """What starts an improvement; see `ImprovementRequest`. Without `family` it is the recipe's."""

    model_config = ConfigDict(extra="forbid")

    recipe: Annotated[str, Field(max_length=262_144)]
    source_name: SourceName = DEFAULT_SOURCE_NAME
    dataset: NameText
    family: NameText | None = None
    sites: Annotated[list[NameText], Field(min_length=1)]
    served_as: ServedAs | None = None
    from_site: NameText | None = None
    holdout: Annotated[float, Field(gt=0, le=0.5)] = 0.2
    no_cache: bool = False
    min_samples: Annotated[int, Field(ge=0, le=1_000_000)] = 1

    @property
    def request(self) -> ImprovementRequest:
        """What is asked for, as the improver takes it."""
        return ImprovementRequest(
            recipe=self.recipe,
            dataset=self.dataset,
            family=self.family or "",
            sites=tuple(self.sites),
            served_as=self.served_as or "",
            from_site=self.from_site or "",
            holdout=self.holdout,
            no_cache=self.no_cache,
            min_samples=self.min_samples,
        )
