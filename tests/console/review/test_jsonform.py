"""Forms made from JSON schemas: what they make of what was typed, and that nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from dizuo.console.review import jsonform
from dizuo.console.review.jsonform import Form, Kind
from dizuo.core.digests import canonical_json
from dizuo.families.text.conformity import label_fault

TICKET: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["category", "place", "urgent", "people", "caller"],
    "properties": {
        "category": {"enum": ["flooding", "noise"]},
        "place": {"type": "string", "format": "excerpt"},
        "urgent": {"type": "boolean"},
        "people": {"type": ["integer", "null"], "minimum": 0},
        "note": {"type": "string", "minLength": 3},
        "remark": {"type": ["string", "null"]},
        "home": {"type": ["object", "null"], "properties": {"city": {"type": "string"}}},
        "tags": {"type": "array", "items": {"type": ["string", "null"]}},
        "caller": {"$ref": "#/$defs/person"},
        "witness": {"$ref": "#/$defs/person"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "maxItems": 3},
        "free": {"anyOf": [{"type": "string"}, {"type": "number"}]},
    },
    "$defs": {
        "person": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "number"}},
        },
        "part": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    },
}
FORM = Form(TICKET)
WHOLE: dict[str, Any] = {
    "category": "noise",
    "place": "",
    "urgent": False,
    "people": None,
    "caller": {"name": "李", "age": 41.5},
    "parts": [{"id": 3}, {"id": 4}],
    "free": 7,
}

NAME = st.text(min_size=1)
OTHERS = {"shoe": st.integers(0, 50) | st.text(), "": st.none()}
"""Keys that the schema allows and has no field for."""
PARTS = st.fixed_dictionaries(
    {"id": st.integers(-9, 9)}, optional={"maker": st.text(), "left over": st.just({})}
)
VALUES = st.fixed_dictionaries(
    {
        "category": st.sampled_from(["flooding", "noise"]),
        "place": st.text(),
        "urgent": st.booleans(),
        "people": st.none() | st.integers(0, 9),
        "caller": st.fixed_dictionaries(
            {"name": NAME}, optional={"age": st.floats(-1e6, 1e6), **OTHERS}
        ),
    },
    optional={
        "note": st.text(min_size=3),
        "remark": st.none() | st.text(),
        "home": st.none() | st.fixed_dictionaries({}, optional={"city": st.text(), **OTHERS}),
        "tags": st.lists(st.none() | st.text(), max_size=3),
        "parts": st.lists(PARTS, max_size=3),
        "free": st.integers(0, 9) | st.text(),
        "witness": st.fixed_dictionaries({"name": NAME}, optional=OTHERS),
    },
)


def typed(given: Mapping[str, str]) -> dict[str, str]:
    """What a browser sends back of a form in which nobody typed anything: its fields."""
    return {
        key: text.replace("\r\n", "\n").replace("\r", "\n")
        for key, text in given.items()
        if not key.endswith(jsonform.KEPT)
    }


def confirmed(form: Form, value: Any, **changes: str) -> jsonform.Reading:
    """What a form makes of a value after somebody has looked at it, and changed some fields."""
    given = jsonform.spread(form, value)
    return jsonform.read(form, jsonform.typed_over(given, typed(given) | changes))


@settings(deadline=None)
@drawn(VALUES)
def test_a_form_makes_the_value_that_it_was_filled_with(value: dict[str, Any]) -> None:
    assert label_fault(value, TICKET) == ""
    for form in (FORM, Form(TICKET, is_raw=True)):
        reading = confirmed(form, value)
        assert (reading.faults, canonical_json(reading.value)) == ({}, canonical_json(value))
        assert jsonform.holds(form, value)


@settings(deadline=None)
@drawn(VALUES)
def test_another_field_changes_nothing_else(value: dict[str, Any]) -> None:
    other = "noise" if value["category"] == "flooding" else "flooding"
    found = confirmed(FORM, value, **{"/category": f'"{other}"'}).value
    assert canonical_json(found) == canonical_json(value | {"category": other})


def test_what_was_empty_may_be_filled_and_what_was_filled_left_out() -> None:
    value = WHOLE | {"remark": None, "home": {}, "witness": {"name": "x"}, "tags": []}
    filled = confirmed(FORM, value, **{"/remark": "now", "/home/city": "Ulm"}).value
    assert (filled["remark"], filled["home"]) == ("now", {"city": "Ulm"})
    assert (filled["tags"], filled["witness"]) == ([], {"name": "x"})
    assert "witness" not in confirmed(FORM, value, **{"/witness/name": ""}).value


def test_of_a_long_list_what_has_no_fields_stays() -> None:
    value = WHOLE | {"tags": [str(number) for number in range(130)]}
    assert confirmed(FORM, value).value == value
    given = jsonform.spread(FORM, value)
    assert "/tags/100" not in given
    less = jsonform.read(FORM, jsonform.without_item(given, "/tags", 0)).value
    assert less["tags"] == value["tags"][1:]


def test_what_has_no_field_goes_with_its_item() -> None:
    parts = [{"id": 1, "maker": "a"}, {"id": 2, "maker": "b"}, {"id": 3}]
    given = jsonform.spread(FORM, WHOLE | {"parts": parts})
    less = jsonform.read(FORM, jsonform.without_item(given, "/parts", 0)).value
    assert less["parts"] == parts[1:]


def test_what_the_schema_does_not_allow_is_left_out() -> None:
    assert confirmed(FORM, WHOLE | {"note": "", "other": 7}).value == WHOLE
    assert not jsonform.holds(FORM, WHOLE | {"other": 7})


@pytest.mark.parametrize(
    ("path", "text", "key"),
    [
        ("/category", "", "form.needed"),
        ("/category", '"other"', "form.not_as_asked"),
        ("/people", "many", "form.no_number"),
        ("/people", "-1", "form.not_as_asked"),
        ("/people", "1.5", "form.not_as_asked"),
        ("/people", "NaN", "form.no_value"),
        ("/note", "ab", "form.not_as_asked"),
        ("/caller/name", "", "form.not_as_asked"),
        ("/parts/1/id", "", "form.needed"),
        ("/free", "[1", "form.not_json"),
        ("/free", "[1]", "form.not_as_asked"),
        ("/witness/age", "9", "form.not_as_asked"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(path: str, text: str, key: str) -> None:
    faults = jsonform.read(FORM, jsonform.spread(FORM, WHOLE) | {path: text}).faults
    place = "/witness/name" if path == "/witness/age" else path
    assert {one: fault for one, (fault, _) in faults.items()} == {place: key}


def test_json_as_it_is_written_tells_the_line_of_its_fault() -> None:
    reading = jsonform.read(Form(TICKET, is_raw=True), {"": '{"a": 1,\n "b": }'})
    key, fields = reading.faults[""]
    assert (key, fields["line"], fields["column"]) == ("form.not_json", 2, 7)
    lacking = jsonform.read(Form(TICKET, is_raw=True), {"": json.dumps({"category": "noise"})})
    assert "lacks" in str(lacking.faults[""][1]["fault"])
    assert jsonform.read(Form(TICKET, is_raw=True), {}).faults == {"": ("form.needed", {})}


def test_without_a_schema_any_json_goes() -> None:
    form = Form({}, is_raw=True)
    for value in ({"a": [1]}, [1], "text", 7):
        assert jsonform.read(form, jsonform.spread(form, value)).value == value


@pytest.mark.parametrize("answer", ["no JSON", None, 7, [], {"parts": 7, "caller": "x", "z": 1}])
def test_an_answer_that_does_not_fit_leaves_fields_empty(answer: Any) -> None:
    given = jsonform.spread(FORM, answer)
    assert given["/category"] == given["/caller/name"] == ""
    assert given["/parts#"] == "0"


def test_items_come_and_go_and_take_their_texts_along() -> None:
    given = jsonform.spread(FORM, WHOLE) | {"/parts/1/id": "wrong"}
    more = jsonform.with_item(given, "/parts")
    assert jsonform.num_items(more, "/parts") == 3
    less = jsonform.without_item(more, "/parts", 0)
    assert jsonform.num_items(less, "/parts") == 2
    assert less["/parts/0/id"] == "wrong"
    assert less["/place"] == given["/place"]
    assert jsonform.read(FORM, jsonform.without_item(given, "/parts", 1)).value["parts"] == [
        {"id": 3}
    ]


def test_items_of_lists_in_lists_move_whole() -> None:
    schema = {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}
    form = Form({"type": "object", "properties": {"rows": schema}, "required": ["rows"]})
    given = jsonform.spread(form, {"rows": [[1], [2, 3], [4]]})
    left = jsonform.read(form, jsonform.without_item(given, "/rows", 0))
    assert left.value == {"rows": [[2, 3], [4]]}


def test_names_with_slashes_are_names() -> None:
    names = {"a/b": {"type": "string"}, "a": {"type": "object", "properties": {"b": {"enum": [1]}}}}
    form = Form({"type": "object", "properties": names})
    value = {"a/b": "x", "a": {"b": 1}}
    assert jsonform.read(form, jsonform.spread(form, value)).value == value


@pytest.mark.parametrize("count", ["-1", "x", "", "9" * 9, "٣"])
def test_a_forged_count_makes_no_huge_form(count: str) -> None:
    assert jsonform.num_items({"/parts#": count}, "/parts") <= jsonform.MAX_ITEMS


def test_what_no_field_can_hold_is_json() -> None:
    kinds = {part.name: part.kind for part in FORM.below(FORM.root, {})}
    assert kinds["free"] is Kind.RAW
    assert kinds["people"] is Kind.NUMBER
    assert kinds["urgent"] is Kind.CHOICE
