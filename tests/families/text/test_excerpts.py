"""Excerpts: what stands in a text word for word, and which schemas may ask for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.families.text.excerpts import answer_fault, excerpts_of, is_excerpt, pieces
from dizuo.families.text.schema import grammar, schema_fault

EXCERPT = {"type": "string", "format": "excerpt"}


def asking(part: Any = EXCERPT, **changes: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"kind": {"enum": ["a", "b"]}, "place": part},
        "required": ["kind", "place"],
        "additionalProperties": False,
        **changes,
    }


@pytest.mark.parametrize(
    ("said", "cut"),
    [
        ("321 Linping Lane,", ["321", " ", "Linping", " ", "Lane", ","]),
        ("在春晖路12号。", ["在", "春", "晖", "路", "12", "号", "。"]),
        ("Straße\nÑandú", ["Straße", "\n", "Ñandú"]),
        ("улица Ленина 5а", ["улица", " ", "Ленина", " ", "5а"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("กรุง𠮷", ["ก", "ร", "ุ", "ง", "𠮷"]),
        ("", []),
    ],
)
def test_a_text_is_cut_into_words_and_single_characters(said: str, cut: list[str]) -> None:
    assert pieces(said) == cut


@pytest.mark.parametrize(
    ("text", "said", "stands"),
    [
        ("Linping Lane", "at 321 Linping Lane, now", True),
        ("Linping Lan", "at 321 Linping Lane, now", False),
        ("21 Linping", "at 321 Linping Lane, now", False),
        ("Linping  Lane", "at 321 Linping Lane, now", False),
        ("春晖路12号", "在春晖路12号。", True),
        ("春晖路1", "在春晖路12号。", False),
        ("", "", True),
        ("x", "", False),
    ],
)
def test_an_excerpt_is_a_run_of_whole_pieces(text: str, said: str, *, stands: bool) -> None:
    assert is_excerpt(text, said) is stands


@given(st.text(max_size=30), st.data())
def test_every_run_of_pieces_is_an_excerpt(said: str, data: st.DataObject) -> None:
    cut = pieces(said)
    assert "".join(cut) == said
    start = data.draw(st.integers(0, len(cut)))
    end = data.draw(st.integers(start, len(cut)))
    assert is_excerpt("".join(cut[start:end]), said)


def test_a_schema_may_ask_for_excerpts() -> None:
    assert schema_fault(asking()) == ""
    assert schema_fault(asking({**EXCERPT, "description": "where"}, title="t")) == ""
    assert excerpts_of(asking()) == ("place",)
    only = asking(properties={"place": EXCERPT}, required=["place"])
    assert schema_fault(only) == ""


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (asking({"format": "excerpt"}), "'place' of the schema is an excerpt, so it is of type"),
        (asking({**EXCERPT, "maxLength": 3}), "'place' of the schema is an excerpt"),
        (asking(required=["kind"]), "must require all its properties"),
        (asking(required="place"), "must require all its properties"),
        (asking(additionalProperties=True), "allow no others"),
        (asking(anyOf=[{}]), "cannot have the keyword 'anyOf'"),
        (
            asking({"type": "array", "items": EXCERPT}),
            "format 'excerpt' cannot be enforced",
        ),
        (asking(properties={"kind": {"zork": 1}, "place": EXCERPT}), "'zork' cannot be enforced"),
    ],
)
def test_other_schemas_are_refused_with_the_reason(schema: dict[str, Any], says: str) -> None:
    assert says in schema_fault(schema), schema_fault(schema)


def test_an_answer_is_told_what_does_not_stand_there() -> None:
    assert answer_fault({"kind": "a", "place": "West Road"}, asking(), "on West Road 3") == ""
    fault = answer_fault({"kind": "a", "place": "East Road"}, asking(), "on West Road 3")
    assert fault == 'place ("East Road") does not stand in the prompt word for word'
    assert answer_fault("no object", asking(), "x") == ""
    assert answer_fault({"place": 5}, asking(), "x") == ""


def test_an_answer_is_written_in_the_order_of_names_around_its_excerpts() -> None:
    text = grammar(asking(), 'say "x"\n')
    assert 'start: "{\\"kind\\":" part0 ",\\"place\\":" "\\"" EXCERPT "\\"" "}"' in text
    assert '"substring_chunks": ["say", " ", "\\\\\\"", "x", "\\\\\\"", "\\\\n"]' in text
    assert 'part0: %json {"enum": ["a", "b"]' in text
