"""Whole numbers have bounds that databases and JSON readers keep."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from dizuo.core.numbers import MAX_WHOLE_NUMBER, VersionNumber, WholeNumber


def test_the_bounds_are_taken() -> None:
    assert TypeAdapter(VersionNumber).validate_python(1) == 1
    assert TypeAdapter(WholeNumber).validate_python(0) == 0
    for kind in (VersionNumber, WholeNumber):
        assert TypeAdapter(kind).validate_python(MAX_WHOLE_NUMBER) == 2**53 - 1


@pytest.mark.parametrize("value", [-1, MAX_WHOLE_NUMBER + 1, 10**23, 1.5, "many"])
@pytest.mark.parametrize("kind", [VersionNumber, WholeNumber])
def test_what_lies_beyond_is_not(kind: type[int], value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


def test_versions_start_at_1() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(VersionNumber).validate_python(0)
