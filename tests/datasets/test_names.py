"""What datasets may be called, and how a version is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.errors import InvalidInput
from dizuo.datasets.errors import PinRefused
from dizuo.datasets.names import DatasetRef, parse_ref, require_name

GOOD = ["a", "7", "harbin-tickets", "a.b_c-d", "n" * 63]
BAD = ["", "-a", "a-", "A", "a b", "a/b", "a@1", "ä", "..", ".a", "n" * 64, "a\n"]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_name_is_taken_as_it_is(name: str) -> None:
    assert require_name(name) == name
    assert parse_ref(f"{name}@3") == DatasetRef("default", name, 3)
    assert parse_ref(f"mine/{name}@3") == DatasetRef("mine", name, 3)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be the name of a dataset"):
        require_name(name)
    with pytest.raises(PinRefused):
        parse_ref(f"mine/{name}@3")


@pytest.mark.parametrize("text", ["a@", "a@x", "a@1.0", "a@-1", "a@+1", "a@ 1", "@1", "a@1@2"])
def test_a_bad_version_is_refused(text: str) -> None:
    with pytest.raises(PinRefused, match="does not name a dataset version"):
        parse_ref(text, allow_latest=True)


@pytest.mark.parametrize("text", ["a", "a@latest"])
def test_latest_must_be_allowed(text: str) -> None:
    assert parse_ref(text, allow_latest=True, project="mine") == DatasetRef("mine", "a", None)
    with pytest.raises(PinRefused) as caught:
        parse_ref(text)
    assert caught.value.next_step == "Pin one, for example a@1."


@given(st.text(max_size=40))
def test_any_text_is_a_pin_or_refused(text: str) -> None:
    try:
        ref = parse_ref(text, allow_latest=True)
    except PinRefused:
        return
    assert require_name(ref.name) == ref.name
