"""What is typed into the form of an improvement: what it means, and what is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import ValidationError
from tests.console.review.review_scene import DIGITS, vision_recipe

from dizuo.artifacts.model import Level
from dizuo.console.approvals.improvement_wish import Basis, Wish, faults
from dizuo.improvements.model import ImprovementRequest
from dizuo.stacks.errors import RecipeRefused
from dizuo.stacks.model import StackVersion

STACK = StackVersion(
    id="1",
    project_id="default",
    name="digits",
    version=4,
    level=Level.L1,
    family="vision",
    digest="sha256:" + "0" * 64,
    index_size_bytes=1,
    targets=("safetensors", "onnx"),
    parent_digest=None,
    input_digest="sha256:" + "1" * 64,
    run_id="2",
    recipe=vision_recipe("digits", DIGITS),
    datasets=(),
    bytes_total=1,
    bytes_added=1,
    created_ms=1,
)


def wrong(wish: Wish, *sites: str) -> dict[str, str]:
    """What is said to be wrong with it; it must be something."""
    with pytest.raises(ValidationError) as refused:
        wish.body(Basis.of(STACK), sites or ["mine-3"])
    return dict(faults(refused.value))


def test_what_is_typed_is_asked_for() -> None:
    basis = Basis.of(STACK)
    assert basis.dataset == "digits"
    body = Wish("meter", "mine-3", "12,5 %", "40").body(basis, ["mine-1", "mine-2"])
    assert body.source_name == "digits:4"
    assert body.request == ImprovementRequest(
        recipe=STACK.recipe,
        dataset="digits",
        family="",
        sites=("mine-1", "mine-2"),
        served_as="meter",
        from_site="mine-3",
        holdout=0.125,
        min_samples=40,
    )


def test_without_more_it_is_what_the_api_takes_without_more() -> None:
    request = Wish("digits").body(Basis.of(STACK), ["mine-1"]).request
    given = ImprovementRequest(
        recipe=STACK.recipe, dataset="digits", family="", sites=("mine-1",), served_as="digits"
    )
    assert request == given


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"served_as": ""}, "served_as"),
        ({"served_as": "Meter Reading"}, "served_as"),
        ({"served_as": "meter.json"}, "served_as"),
        ({"from_site": "Mine 3"}, "from_site"),
        ({"holdout": ""}, "holdout"),
        ({"holdout": "ninety"}, "holdout"),
        ({"holdout": "0"}, "holdout"),
        ({"holdout": "50.1"}, "holdout"),
        ({"holdout": "nan"}, "holdout"),
        ({"holdout": "inf"}, "holdout"),
        ({"min_samples": ""}, "min_samples"),
        ({"min_samples": "ten"}, "min_samples"),
        ({"min_samples": "-1"}, "min_samples"),
        ({"min_samples": "2.5"}, "min_samples"),
        ({"min_samples": "1000001"}, "min_samples"),
    ],
)
def test_each_fault_is_that_of_its_field(changes: dict[str, str], field: str) -> None:
    assert set(wrong(replace(Wish("digits"), **changes))) == {field}


def test_all_faults_are_found_at_once() -> None:
    found = wrong(Wish("Of Ours", "?", "half", "some"), "Not A Site")
    assert set(found) == {"served_as", "from_site", "holdout", "min_samples", "sites"}


@pytest.mark.parametrize(
    ("typed", "least"), [("0", 0), ("12", 12), ("", None), ("ten", None), ("9" * 5000, None)]
)
def test_how_many_it_waits_for_is_known_where_it_is_a_number(typed: str, least: int | None) -> None:
    assert Wish("digits", min_samples=typed).least() == least


def test_its_address_says_all_that_is_typed() -> None:
    address = Wish("meter", "mine-3", "20 %", "0", "mine-1,mine-2").address("digits:4")
    assert address == (
        "/approvals/new?stack=digits%3A4&served_as=meter&from_site=mine-3"
        "&holdout=20+%25&min_samples=0&sites=mine-1%2Cmine-2"
    )


def test_a_recipe_that_is_not_understood_is_no_basis() -> None:
    with pytest.raises(RecipeRefused, match="digits:4"):
        Basis.of(replace(STACK, recipe="name: x\n"))
