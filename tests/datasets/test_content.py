"""What a row is: normal form, digests, wire form."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.datasets.columns import check_kinds, from_batch, kinds_of, schema_for, to_batch
from dizuo.datasets.content import (
    MAX_FIELD_BYTES,
    Kind,
    content_digest,
    from_wire,
    input_digest,
    kind_of,
    normalise,
    row_digest,
    to_wire,
)
from dizuo.datasets.errors import RowRefused
from dizuo.datasets.model import StoredRow

CHARACTERS = st.characters(codec="utf-8")
NAMES = st.text(CHARACTERS, min_size=1, max_size=12)
TEXTS = st.text(CHARACTERS, max_size=20)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
VALUES = (
    st.binary(max_size=20)
    | TEXTS
    | NUMBERS
    | st.booleans()
    | st.lists(JSON, max_size=3)
    | st.dictionaries(TEXTS, JSON, max_size=3)
)
ROWS = st.dictionaries(NAMES, VALUES, min_size=1, max_size=6)


@given(ROWS)
def test_normal_form_is_normal_already(row: dict[str, Any]) -> None:
    once = normalise(row)
    assert normalise(once) == once
    assert row_digest(normalise(once)) == row_digest(once)


@given(ROWS, st.randoms())
def test_a_digest_does_not_depend_on_the_order_of_columns(
    row: dict[str, Any], chance: random.Random
) -> None:
    items = list(normalise(row).items())
    shuffled = chance.sample(items, len(items))
    assert row_digest(dict(shuffled)) == row_digest(dict(items))


@given(ROWS, ROWS)
def test_rows_that_differ_have_digests_that_differ(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = normalise(one), normalise(other)
    forms = [
        sorted((name, kind_of(value), repr(value)) for name, value in row.items())
        for row in (first, second)
    ]
    assert (row_digest(first) == row_digest(second)) == (forms[0] == forms[1])


@given(ROWS, st.lists(NAMES, max_size=6))
def test_rows_survive_the_table(row: dict[str, Any], columns: list[str]) -> None:
    normal = normalise(row)
    schema = schema_for([normal], columns)
    check_kinds(normal, kinds_of(schema))
    stored = StoredRow(row_digest(normal), input_digest(normal), "here", normal)
    [back] = from_batch(to_batch([stored], schema))
    assert back == stored
    assert row_digest(back.columns) == stored.row_digest


@given(st.dictionaries(NAMES, st.binary(max_size=20) | TEXTS, min_size=1, max_size=4))
def test_rows_survive_the_wire(row: dict[str, Any]) -> None:
    assert from_wire(to_wire(row)) == row


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=8), st.randoms())
def test_a_version_s_digest_does_not_depend_on_the_order_of_rows(
    rows: list[bytes], chance: random.Random
) -> None:
    digests = [f"sha256:{row.hex()}" for row in rows]
    assert content_digest(digests) == content_digest(chance.sample(digests, len(digests)))
    assert content_digest([*digests, "sha256:" + "0" * 64]) != content_digest(digests)


def test_text_and_bytes_and_json_of_the_same_look_are_different_rows() -> None:
    looks: list[Any] = [b"7", "7", 7, [7], {"base64": "Nw=="}, True]
    assert len({row_digest({"x": value}) for value in looks}) == len(looks)


def test_whole_numbers_are_one_number_however_they_are_written() -> None:
    assert normalise({"x": 7.0}) == {"x": 7}
    assert isinstance(normalise({"x": 7.0})["x"], int)
    assert row_digest(normalise({"x": -0.0})) == row_digest(normalise({"x": 0}))


def test_a_missing_value_and_null_are_the_same() -> None:
    assert normalise({"x": 1, "y": None}) == {"x": 1}


def test_the_input_is_everything_but_the_label() -> None:
    one, other = {"text": "a", "label": "x"}, {"text": "a", "label": "y"}
    assert input_digest(one) == input_digest(other) != input_digest({"text": "b", "label": "x"})
    assert input_digest({**one, "rejected": "z"}) == input_digest(one)
    assert row_digest({**one, "rejected": "z"}) != row_digest(one)
    assert row_digest(one) != row_digest(other)


REFUSED: list[tuple[dict[Any, Any], str]] = [
    ({}, "the row is empty"),
    ({"x": None}, "the row is empty"),
    ({"": 1}, "a column name must have"),
    ({"n" * 129: 1}, "a column name must have"),
    ({3: 1}, "a column name must have"),
    ({f"c{i}": 1 for i in range(201)}, "201 columns"),
    ({"x": math.nan}, "not finite"),
    ({"x": math.inf}, "not finite"),
    ({"x": 2**53 + 1}, "too large to be kept exactly"),
    ({"x": [math.nan]}, "JSON cannot keep"),
    ({"x": {1, 2}}, "a set that JSON cannot keep"),
    ({"x": "\ud800"}, "not valid Unicode"),
    ({"x": ["\ud800"]}, "not valid Unicode"),
    ({"x": b"0" * (MAX_FIELD_BYTES + 1)}, "the field x holds 8,388,609 bytes"),
    ({"x": "0" * (MAX_FIELD_BYTES + 1)}, "the field x holds 8,388,609 bytes"),
    ({"x": ["0" * MAX_FIELD_BYTES]}, "the field x holds 8,388,612 bytes"),
]


@pytest.mark.parametrize(("row", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_cannot_be_kept_is_refused_with_its_reason(row: dict[Any, Any], reason: str) -> None:
    with pytest.raises(RowRefused, match=reason):
        normalise(row)


def test_a_field_of_the_largest_size_is_kept() -> None:
    assert normalise({"x": b"0" * MAX_FIELD_BYTES})


@pytest.mark.parametrize("value", ["not base64!", 7, None, "é"])
def test_what_is_not_base64_is_refused(value: Any) -> None:
    with pytest.raises(RowRefused, match="the field x is not valid base64"):
        from_wire({"x": {"base64": value}})


def test_columns_get_the_kind_of_their_first_value_and_the_rest_travels_along() -> None:
    rows: list[dict[str, Any]] = [{"a": "t", "source": "mine"}, {"a": "u", "b": 1, "other": b"x"}]
    schema = schema_for(rows, ["a", "b", "source", "missing"])
    assert kinds_of(schema) == {"a": Kind.TEXT, "b": Kind.NUMBER}
    stored = [StoredRow(row_digest(row), input_digest(row), "s", dict(row)) for row in rows]
    assert list(from_batch(to_batch(stored, schema))) == stored


def test_a_value_of_another_kind_is_refused() -> None:
    kinds = kinds_of(schema_for([{"a": "t"}], ["a"]))
    with pytest.raises(RowRefused, match="the field a holds number where the dataset holds text"):
        check_kinds({"a": 1}, kinds)
