"""What somebody asks of an improvement: the fields as they were typed, what is wrong with each, and
what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import ValidationError

from dizuo.console.elements.markup import address
from dizuo.datasets.names import parse_ref
from dizuo.datasets.samples import SampleFilter
from dizuo.improvements.bodies import ImprovementBody
from dizuo.stacks.model import StackVersion
from dizuo.stacks.recipe import Recipe, parse_recipe

START = "/approvals/new"
_FAULTS = {
    "served_as": "rollouts.served_as_bad",
    "from_site": "improving.bad_site",
    "holdout": "improving.bad_holdout",
    "min_samples": "improving.bad_min_samples",
    "sites": "improving.site_gone",
}
_MAX_DIGITS = 7
_GIVEN = {name: one.default for name, one in ImprovementBody.model_fields.items()}


@dataclass(frozen=True, slots=True)
class Basis:
    """The version whose recipe runs again, its recipe, and the name of the dataset that it trains
    on, into which the reviewed samples go."""

    stack: StackVersion
    recipe: Recipe
    dataset: str

    @classmethod
    def of(cls, stack: StackVersion) -> Basis:
        """What a version with a recipe offers.

        Raises:
            RecipeRefused: its recipe is not understood here.
        """
        project = stack.project_id
        recipe = parse_recipe(stack.recipe, stack.ref, project_id=project)
        return cls(stack, recipe, parse_ref(recipe.train, project=project).name)


@dataclass(frozen=True, slots=True)
class Wish:
    """The fields; `holdout` is a percentage, an empty `from_site` means every site, and `sites` are
    those that were picked, with commas between them, or empty for those that serve it."""

    served_as: str
    from_site: str = ""
    holdout: str = f"{_GIVEN['holdout'] * 100:g}"
    min_samples: str = str(_GIVEN["min_samples"])
    sites: str = ""

    def address(self, stack: str) -> str:
        """Where this wish is shown again."""
        return address(START, stack=stack, **asdict(self))

    def least(self) -> int | None:
        """How many reviewed samples it waits for, where that is a number."""
        is_number = self.min_samples.isdecimal() and len(self.min_samples) <= _MAX_DIGITS
        return int(self.min_samples) if is_number else None

    def asked(self, basis: Basis) -> SampleFilter:
        """The samples that it would learn from."""
        return SampleFilter(
            site=self.from_site,
            served_as=self.served_as or basis.recipe.name,
            family=basis.recipe.family,
            project_id=basis.stack.project_id,
        )

    def body(self, basis: Basis, sites: Sequence[str]) -> ImprovementBody:
        """What is asked for.

        Raises:
            ValidationError: a field says nothing that can be asked for.
        """
        return ImprovementBody.model_validate(
            {
                "recipe": basis.stack.recipe,
                "source_name": basis.stack.ref,
                "dataset": basis.dataset,
                "sites": list(sites),
                "served_as": self.served_as,
                "from_site": self.from_site or None,
                "holdout": _share(self.holdout),
                "min_samples": self.min_samples,
            }
        )


def faults(error: ValidationError) -> Mapping[str, str]:
    """What is wrong with which field: the catalogue's keys. Only what is typed can be wrong; what
    comes from the basis was taken before."""
    return {name: _FAULTS[name] for name in (str(one["loc"][0]) for one in error.errors())}


def _share(percent: str) -> float | str:
    try:
        return round(float(percent.rstrip("%％ ").replace(",", ".")) / 100, 6)
    except ValueError:
        return percent
