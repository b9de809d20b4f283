"""References: the grammar, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.artifacts.reference import (
    DEFAULT_PROJECT,
    MAX_VERSION,
    InvalidReference,
    Reference,
    parse_reference,
    require_name,
    require_repository,
)
from dizuo.database.tables import DEFAULT_PROJECT as DATABASE_DEFAULT_PROJECT

DIGEST = "sha256:" + 64 * "a"

names = st.from_regex(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*", fullmatch=True).filter(
    lambda text: len(text) <= 63
)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
references = st.builds(
    Reference,
    names,
    names,
    st.none() | st.integers(1, MAX_VERSION),
    st.none() | digests,
)


@given(references)
def test_what_is_written_reads_back(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


@given(st.text(alphabet=st.sampled_from("az09/:@._- \nA\u4e2d"), max_size=40))
def test_any_text_is_refused_or_reads_back(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReference:
        return
    assert parse_reference(str(reference)) == reference
    assert str(reference) in (text, text.removeprefix(f"{DEFAULT_PROJECT}/"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("qwen3", Reference("default", "qwen3")),
        ("qwen3:2", Reference("default", "qwen3", 2)),
        ("city/government:5", Reference("city", "government", 5)),
        (f"city/government@{DIGEST}", Reference("city", "government", None, DIGEST)),
        (f"a/b:9@{DIGEST}", Reference("a", "b", 9, DIGEST)),
    ],
)
def test_every_form(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Qwen",
        "a/b/c",
        "a:0",
        "a:01",
        "a:-1",
        "a:latest",
        "a:99999999999999999",
        "a@sha256:abc",
        "a@md5:" + 64 * "a",
        "../etc",
        "a..b",
        "-a",
        "a-",
        "a b",
        "a\n",
        "/a",
        "a/",
        "名",
        "a" * 64,
        "a" * 5000,
    ],
)
def test_what_is_not_a_reference(text: str) -> None:
    with pytest.raises(InvalidReference) as refused:
        parse_reference(text)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("version", "digest"), [(0, None), (-3, None), (MAX_VERSION + 1, None), (1, "sha256:12")]
)
def test_a_reference_cannot_be_made_wrong(version: int, digest: str | None) -> None:
    with pytest.raises(InvalidReference):
        Reference("default", "a", version, digest)


def test_repositories_are_project_and_name() -> None:
    assert parse_reference("city/government:5").repository == "city/government"
    assert require_repository("city/government") == "city/government"
    for text in ("government", "a/b/c", "A/b", "a/"):
        with pytest.raises(InvalidReference):
            require_repository(text)


def test_a_name_may_be_a_repository_in_any_registry() -> None:
    assert require_name("harbin-hotline_v2.1") == "harbin-hotline_v2.1"
    for text in ("a._b", "a___b", "UPPER", "x" * 64):
        with pytest.raises(InvalidReference):
            require_name(text)


def test_the_default_project_is_that_of_the_database() -> None:
    assert DEFAULT_PROJECT == DATABASE_DEFAULT_PROJECT
