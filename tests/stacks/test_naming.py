"""Which stack version a text names: every part of it counts, the digest above all."""

from __future__ import annotations

import pytest
from tests.stacks.scene import Workshop

from dizuo.artifacts.reference import InvalidReference
from dizuo.core.errors import DizuoError
from dizuo.stacks.errors import StackNotFound
from dizuo.stacks.model import StackVersion
from dizuo.stacks.naming import find_stack

OTHER = "sha256:" + "0" * 64


@pytest.fixture
def two(workshop: Workshop) -> dict[int, StackVersion]:
    """`reader:1` and `reader:2`."""
    return {number: workshop.build(f"run-{number}") for number in (1, 2)}


def find(workshop: Workshop, text: str, project_id: str = "default") -> StackVersion:
    with workshop.database.reading() as session:
        return find_stack(session, text, project_id=project_id)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("reader", 2),
        ("reader:1", 1),
        ("default/reader:1", 1),
        ("reader:1@{digest}", 1),
        ("default/reader@{digest}", 1),
        ("{digest}", 1),
    ],
)
def test_what_fits_is_found(
    workshop: Workshop, two: dict[int, StackVersion], text: str, version: int
) -> None:
    assert find(workshop, text.format(digest=two[1].digest)) == two[version]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("reader:3", "There is no version reader:3 of reader."),
        ("reader:2@{digest}", "There is no version reader:2@{digest} of reader."),
        (f"reader:1@{OTHER}", f"There is no version reader:1@{OTHER} of reader."),
        (f"reader@{OTHER}", f"There is no version reader@{OTHER} of reader."),
        ("writer@{digest}", "There is no stack writer@{digest}."),
        ("other/reader:1", "There is no stack other/reader:1 in the project default."),
        ("other/reader@{digest}", "There is no stack other/reader@{digest} in the project"),
        (OTHER, "There is no stack with the digest 000000000000 in the project default."),
    ],
)
def test_one_part_that_does_not_fit_is_enough(
    workshop: Workshop, two: dict[int, StackVersion], text: str, says: str
) -> None:
    with pytest.raises(StackNotFound) as refused:
        find(workshop, text.format(digest=two[1].digest))
    assert refused.value.message.startswith(says.format(digest=two[1].digest))
    assert refused.value.next_step


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("reader", StackNotFound),
        ("reader:1", StackNotFound),
        ("default/reader:1", StackNotFound),
        ("{digest}", StackNotFound),
        ("reader@sha256:12", InvalidReference),
        ("sha256:xyz", InvalidReference),
    ],
)
def test_another_projects_stacks_are_not_there(
    workshop: Workshop, two: dict[int, StackVersion], text: str, error: type[DizuoError]
) -> None:
    with pytest.raises(error):
        find(workshop, text.format(digest=two[1].digest), "other")


def test_what_is_no_reference_is_quoted_as_it_was_typed(workshop: Workshop) -> None:
    with pytest.raises(InvalidReference, match=r"^'Not A Name' is not a reference"):
        find(workshop, "Not A Name", "other")


def test_a_stack_may_be_called_sha256(workshop: Workshop) -> None:
    odd = workshop.build("run-9", name="sha256")
    assert find(workshop, "sha256:1") == odd
