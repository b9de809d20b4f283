"""YAML with places: what is read, what is refused, and where."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from dizuo.stacks.yaml_lines import (
    MAX_BYTES,
    MAX_DEPTH,
    Fault,
    MarkedDocument,
    Place,
    YamlRefused,
    read_marked,
)


def test_values_and_places() -> None:
    document = read_marked('a: 1\nb:\n  - x\n  - {c: 2.5, d: [true, ~]}\n"e f": "7"\n')
    assert document.value == {"a": 1, "b": ["x", {"c": 2.5, "d": [True, None]}], "e f": "7"}
    assert document.faults == ()
    assert document.place(("a",)) == Place(1, 1)
    assert document.place(("b", 0)) == Place(3, 5)
    assert document.place(("b", 1, "d")) == Place(4, 14)
    assert document.place(("e f",)) == Place(5, 1)


def test_what_is_not_there_is_placed_at_what_is_around_it() -> None:
    document = read_marked("a: 1\nb:\n  c: 2\n")
    assert document.place(("b", "missing", 3)) == Place(2, 1)
    assert document.place(("missing",)) == Place(1, 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[yes, no, on, off]", ["yes", "no", "on", "off"]),  # YAML 1.2: words, not true and false
        ("[1e-3, 0x10, 1_000]", [0.001, 16, 1000]),
        ("['1', \"2\"]", ["1", "2"]),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        ("harbin: 哈尔滨", {"harbin": "哈尔滨"}),
        ("[]", []),
        ("just text", "just text"),
        ("~", None),
    ],
)
def test_plain_values(text: str, value: Any) -> None:
    assert read_marked(text).value == value


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", Place(1, 1), "The text is empty."),
        ("# only a comment\n", Place(1, 1), "The text is empty."),
        ("a: [1, 2", Place(1, 9), "This is not YAML"),
        ("a:\n\t- b\n", Place(2, 1), "A tab stands where YAML allows only spaces."),
        ("a:\n  b: 1\n\tc: 2\n", Place(3, 1), "A tab stands"),
        ("a: b: c\n", Place(1, 5), "mapping values are not allowed here."),
        ("a: 'x\n", Place(2, 1), "found unexpected end of stream."),
        ("a: 1\nb: \x00\n", Place(2, 4), "a character that YAML does not allow."),
        ("a: &x 1\nb: *x\n", Place(2, 4), "Aliases are not read in a recipe."),
        ("a: &x [1]\nb:\n  <<: *x\n", Place(3, 7), "Aliases are not read in a recipe."),
        ("a: !!python/object:os.system x\n", Place(1, 4), "Tags are not read in a recipe."),
        ("a: !secret [1]\n", Place(1, 4), "Tags are not read in a recipe."),
        ("a: 1\n---\nb: 2\n", Place(2, 1), "There is a second document after '---'."),
        ("[" * (MAX_DEPTH + 1), Place(1, MAX_DEPTH + 1), "nested deeper than 20 levels."),
        ("{a: " * 5000, Place(1, 4 * MAX_DEPTH + 1), "nested deeper than 20 levels."),
        ("a: " + "x" * MAX_BYTES, Place(1, 1), "The text is longer than 256 KiB."),
        ("a: *nobody\n", Place(1, 4), "Aliases are not read in a recipe."),
        ("%YAML 9.9\n---\na: 1\n", Place(1, 1), "This is not YAML"),
        ("a: 1\n b: 2\n", Place(2, 3), "This is not YAML"),
        ("@a: 1\n", Place(1, 1), "This is not YAML"),
    ],
)
def test_what_is_refused_as_a_whole(text: str, place: Place, message: str) -> None:
    with pytest.raises(YamlRefused) as refused:
        read_marked(text)
    fault = refused.value.fault
    assert fault.place == place
    assert message in fault.message
    assert fault.message.endswith(".")


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    with pytest.raises(YamlRefused) as refused:
        read_marked("\n".join(lines))
    assert refused.value.fault.place.line == 2


@pytest.mark.parametrize(
    ("text", "path", "place", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", ("a",), Place(3, 1), "'a' is given twice; first in line 1."),
        ("x:\n  - {k: 1, k: 2}\n", ("x", 0, "k"), Place(2, 12), "'k' is given twice"),
        ("1: x\n", (), Place(1, 1), "A key must be a text."),
        ("? [a]\n: x\n", (), Place(1, 3), "A key must be a text."),
        ("a: 2026-11-22\n", ("a",), Place(1, 4), "'2026-11-22' is not a value that is kept."),
        ("a: 2026-02-31\n", ("a",), Place(1, 4), "'2026-02-31' is not a value that is kept."),
        ("a: .nan\n", ("a",), Place(1, 4), "'.nan' is not a value that is kept."),
        ("a: -.inf\n", ("a",), Place(1, 4), "'-.inf' is not a value that is kept."),
        ("a: 9007199254740993\n", ("a",), Place(1, 4), "is not a value that is kept."),
        ("a: " + "9" * 5000, ("a",), Place(1, 4), "is not a value that is kept."),
    ],
)
def test_what_is_refused_in_its_place_while_the_rest_is_read(
    text: str, path: tuple[str | int, ...], place: Place, message: str
) -> None:
    document = read_marked(text)
    (fault,) = document.faults
    assert (fault.path, fault.place) == (path, place)
    assert message in fault.message


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Co", "Cn"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abc: -#'\"", min_size=1, max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60)
@given(JSON)
def test_json_is_read_as_it_is_and_every_part_has_its_place(value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    document = read_marked(text)
    assert document.value == value
    assert document.faults == ()
    lines = text.splitlines() or [""]
    for path in document.places:
        place = document.place(path)
        found = lines[place.line - 1][place.column - 1 :]
        if path and isinstance(path[-1], str):
            assert found.startswith(json.dumps(path[-1], ensure_ascii=False))


@settings(deadline=None, max_examples=150)
@given(st.text("ab: -[]{}\"'#&*!|>%@\n\t0.~,?", max_size=40))
def test_any_text_is_read_as_ruamel_reads_it_or_refused(text: str) -> None:
    found = document_or_fault(text)
    if isinstance(found, Fault):
        assert 1 <= found.place.line <= text.count("\n") + 2
    elif not found.faults:
        assert found.value == YAML(typ="safe", pure=True).load(text)


def document_or_fault(text: str) -> MarkedDocument | Fault:
    try:
        return read_marked(text)
    except YamlRefused as refused:
        return refused.fault
