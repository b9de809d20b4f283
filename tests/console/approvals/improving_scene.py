"""Stacks with recipes, sites that serve them, and samples that these sites returned."""

from __future__ import annotations

from dataclasses import dataclass

from tests.console.conftest import Place
from tests.console.review import review_scene
from tests.console.review.review_scene import DIGITS
from tests.console.stacks.stacks_scene import StackScene
from tests.releases.stacks import register

from dizuo.datasets import review
from dizuo.datasets.review import Verdict
from dizuo.stacks import service as stacks
from dizuo.stacks.model import StackVersion

SITES = ("mine-1", "mine-2")
OTHER = "zebra"
"""The other project; every name in it holds this word."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What was put in; `returned` are digests of samples from the first of SITES."""

    place: Place
    digits: StackVersion
    returned: list[str]

    def send(self, number: int, site: str) -> list[str]:
        """More samples of what is served as `digits`."""
        home, database = self.place.home, self.place.database
        return review_scene.send_digits(database, home, number, self.digits.digest, site=site)

    def label(self, digests: list[str]) -> None:
        """Say of samples that they are a 5."""
        with self.place.database.transaction() as session:
            for digest in digests:
                review.judge(session, self.place.home, digest, Verdict("5"), "person:bo")


def fill(place: Place) -> Scene:
    """`digits:1` is served by SITES and has samples; `spare:1` by none; `base:1` has no recipe."""
    digits = _add(place, "digits")
    _add(place, "spare")
    StackScene(place.home, place.database).run(digits, *SITES)
    theirs = _add(place, f"{OTHER}-model", OTHER)
    StackScene(place.home, place.database, OTHER).run(theirs, f"{OTHER}-site")
    with place.database.transaction() as session:
        register(session, "base", 1)
    sent = review_scene.send_digits(place.database, place.home, 6, digits.digest, site=SITES[0])
    return Scene(place, digits, sent)


def _add(place: Place, name: str, project: str = "default") -> StackVersion:
    recipe = review_scene.vision_recipe(name, DIGITS)
    digest = review_scene.add_stack(place.database, name, "vision", recipe, project=project)
    with place.database.reading() as session:
        return stacks.get_by_digest(session, digest)
