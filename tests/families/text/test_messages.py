"""Prompts as messages, labels as texts, texts as answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.core.digests import canonical_json
from dizuo.core.errors import InvalidInput
from dizuo.families.text import messages
from dizuo.families.text.messages import (
    answer_of,
    answer_text,
    messages_of,
    prompt_of,
    prompt_text,
    row_answer,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
USER = {"role": "user", "content": "你好"}


def test_a_text_is_one_users_message_and_back() -> None:
    assert messages_of("你好") == [USER]
    assert prompt_of([USER]) == "你好"
    chat = [{"role": "system", "content": "s"}, USER]
    assert prompt_of(chat) == chat
    assert messages_of(chat) == chat


def test_openais_other_forms_are_understood() -> None:
    parts = [{"type": "text", "text": "你"}, {"type": "text", "text": "好"}]
    assert messages_of([{"role": "user", "content": parts}]) == [USER]
    developer = [{"role": "developer", "content": "d"}, USER]
    assert messages_of(developer)[0] == {"role": "system", "content": "d"}


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (5, "not a list of 1 to"),
        ([], "not a list of 1 to"),
        ([USER] * 300, "not a list of 1 to"),
        (["x"], "Message 1 is not an object"),
        ([{"content": "x"}], "role 'None'"),
        ([USER, {"role": "user"}], "Message 2 has no text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "something else than text"),
        ([{"role": "user", "content": ["x"]}], "something else than text"),
        ([USER, {"role": "assistant", "content": "x"}], "nothing to answer"),
        ("x" * 2_000_001, "more than 2,000,000 characters"),
    ],
)
def test_other_prompts_are_refused(prompt: object, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        messages_of(prompt)


def test_a_prompts_text_is_what_users_said() -> None:
    chat = [{"role": "system", "content": "s"}, USER, {"role": "assistant", "content": "a"}, USER]
    assert prompt_text(chat) == "你好\n你好"
    assert prompt_text([{"role": "system", "content": "only"}]) == "only"


def test_an_object_is_written_in_order_without_spaces() -> None:
    label = {"b": 1, "a": "街", "c": None}
    assert answer_text(label, ("c", "b")) == '{"c":null,"b":1,"a":"街"}'
    assert answer_text("as it is ") == "as it is "


@given(JSON)
def test_what_was_written_is_read_back(label: Any) -> None:
    """Objects and lists come back as they were; all else is text, as a model's words are."""
    read = answer_of(answer_text(label))
    if isinstance(label, dict | list):
        assert canonical_json(read) == canonical_json(label)
    else:
        assert isinstance(read, str | dict | list)


@pytest.mark.parametrize(
    "text",
    [
        *("{broken", "plain", "[" * 100_000),
        *('{"a": NaN}', '{"a": 1e999}', "[-1e999]", r'{"a": "\ud800"}', r'{"\udc00": 1}'),
    ],
)
def test_what_is_no_json_is_text(text: str) -> None:
    assert answer_of(f" {text}\n") == text


def test_a_label_in_a_table_may_be_json_as_text() -> None:
    assert row_answer({"prompt": "x", "label": '{"a": 1}'}) == {"a": 1}
    assert row_answer({"prompt": "x", "label": "词"}) == "词"
    with pytest.raises(InvalidInput, match="no label"):
        row_answer({"prompt": "x"})


def test_a_layers_system_message_yields_to_the_callers() -> None:
    own = [{"role": "system", "content": "mine"}, USER]
    assert messages.with_system([USER], "s") == [{"role": "system", "content": "s"}, USER]
    assert messages.with_system(own, "s") == own
    assert messages.with_system([USER], None) == [USER]
