"""Digests and the canonical form of JSON."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.digests import (
    canonical_json,
    require_digest,
    sha256_bytes,
    sha256_file,
    sha256_json,
    short,
)
from dizuo.core.errors import InvalidInput

JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary())
def test_bytes_and_files_have_the_same_digest(tmp_path_factory: Any, data: bytes) -> None:
    path: Path = tmp_path_factory.mktemp("digest") / "file"
    path.write_bytes(data)
    digest = sha256_bytes(data)
    assert digest == "sha256:" + hashlib.sha256(data).hexdigest() == sha256_file(path)
    assert require_digest(digest) == digest


def test_a_file_larger_than_one_piece(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(data)
    assert sha256_file(tmp_path / "large") == sha256_bytes(data)


@given(JSON_VALUES)
def test_canonical_json_reads_back_and_is_its_own_form(value: Any) -> None:
    encoded = canonical_json(value)
    assert json.loads(encoded) == value
    assert canonical_json(json.loads(encoded)) == encoded
    assert b"\n" not in encoded


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers()))
def test_the_order_of_keys_does_not_count(value: dict[str, int]) -> None:
    turned = dict(reversed(list(value.items())))
    assert sha256_json(turned) == sha256_json(value)


def test_one_form_as_written() -> None:
    assert canonical_json({"b": [1, 2.5], "a": "底座"}) == '{"a":"底座","b":[1,2.5]}'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], "\ud800"])
def test_what_is_not_a_json_value_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"JSON|surrogates"):
        canonical_json(value)


def test_what_json_has_no_form_for_is_refused() -> None:
    with pytest.raises(TypeError):
        canonical_json({"when": object()})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256:" + "a" * 63,
        "sha256:" + "a" * 65,
        "sha256:" + "A" * 64,
        "sha512:" + "a" * 64,
        "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        "../../etc/passwd",
    ],
)
def test_other_texts_are_not_digests(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_digest(text)
    assert "is not a digest." in refused.value.message
    assert len(refused.value.message) < 120


def test_short_is_twelve_hex_digits() -> None:
    assert short("sha256:" + "0123456789abcdef" * 4) == "0123456789ab"
