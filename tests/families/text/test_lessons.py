"""Rows become lessons and questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.families.text.tuning_factory import EXTRACT, SCHEMA, plain, preferences, tickets

from dizuo.core.errors import InvalidInput
from dizuo.families.base import Row
from dizuo.families.text.lessons import (
    MIN_ROWS,
    Lesson,
    Reading,
    check_labels,
    check_lengths,
    check_rows,
    divide,
    embedded_text,
    split,
    texts_of,
)
from dizuo.families.text.messages import Message
from dizuo.families.text.recipe import AnswerTask, parse_task
from dizuo.families.text.schema import key_order


class Letters:
    """One token a character; 1 ends an answer, 2 a text."""

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        return [ord(c) for one in messages for c in f"{one['role'][0]}{one['content']}"]

    def answer(self, text: str) -> list[int]:
        return [*map(ord, text), 1]

    def text(self, text: str) -> list[int]:
        return [*map(ord, text), 2]


def reading(task: Any = None, max_length: int = 100) -> Reading:
    return Reading(Letters(), parse_task(task or {}), max_length)


def said(ids: Sequence[int]) -> str:
    return "".join(map(chr, ids))


def test_a_prompt_is_given_and_its_answer_is_learned() -> None:
    (lesson,), num_too_long = reading().lessons([{"prompt": "hi", "label": "ho"}])
    assert num_too_long == 0
    assert said(lesson.ids) == "uhiho\x01"
    assert lesson.num_given == 3


def test_json_is_learned_in_the_order_of_the_schema() -> None:
    row: Row = {"prompt": "hi", "label": {"地点": "a", "类别": "排水"}}
    (lesson,), _ = reading(EXTRACT).lessons([row])
    assert said(lesson.ids[lesson.num_given :]) == '{"地点":"a","类别":"排水"}\x01'
    assert key_order(EXTRACT["schema"]) == ("地点", "类别")
    (lesson,), _ = reading().lessons([{**row, "label": {"类别": "排水", "a": [1, "b"]}}])
    assert said(lesson.ids[lesson.num_given :]) == '{"a":[1,"b"],"类别":"排水"}\x01'


def test_the_system_message_stands_before_prompts_that_bring_none() -> None:
    own = [{"role": "system", "content": "!"}, {"role": "user", "content": "hi"}]
    rows: list[Row] = [{"prompt": "hi", "label": "x"}, {"prompt": own, "label": "x"}]
    lessons, _ = reading({"system": "?"}).lessons(rows)
    assert [said(lesson.ids) for lesson in lessons] == ["s?uhix\x01", "s!uhix\x01"]


def test_rows_that_are_too_long_are_left_out_and_texts_are_cut() -> None:
    rows: list[Row] = [
        {"prompt": "a" * 5, "label": "b" * 3},
        {"prompt": "a" * 5, "label": "b" * 4},
        {"text": "c" * 24},
        {"text": "d" * 10},
    ]
    lessons, num_too_long = reading(max_length=10).lessons(rows)
    assert num_too_long == 1
    texts = [said(lesson.ids) for lesson in lessons]
    assert texts == ["uaaaaabbb\x01", "c" * 10, "c" * 10, "cccc\x02", "d" * 10]
    assert [lesson.num_given for lesson in lessons] == [6, 0, 0, 0, 0]


def test_preferences_share_their_prompt() -> None:
    rows: list[Row] = [
        {"prompt": "hi", "label": "yes", "rejected": "no"},
        {"prompt": "hi", "label": "yes", "rejected": "n" * 90},
    ]
    (pair,), num_too_long = reading(max_length=20).pairs(rows)
    assert num_too_long == 1
    assert [said(part) for part in (pair.prompt, pair.chosen, pair.rejected)] == [
        "uhi",
        "yes\x01",
        "no\x01",
    ]
    assert pair.length == 7


def test_questions_leave_room_for_an_answer() -> None:
    rows: list[Row] = [{"prompt": "a" * n, "label": "b", "rejected": "c"} for n in (3, 30, 4, 5)]
    found = reading().questions(rows, 2, 10)
    assert [question.row for question in found] == [
        {"prompt": "aaa", "label": "b"},
        {"prompt": "aaaa", "label": "b"},
    ]
    (question,) = reading({"system": "?"}).questions([{"text": " " + "x" * 99}], 1, 90)
    assert question.row == {"prompt": "x" * 64}
    assert [message["role"] for message in question.messages] == ["system", "user"]


def test_rows_with_answers_are_held_out_where_there_are_enough() -> None:
    lot = divide([*tickets(40), *plain(10)], 1)
    assert lot.answered
    assert len(lot.held_out) == 13
    assert len(lot.learned) == 37
    assert not [row for row in lot.held_out if "text" in row]
    few = divide([*tickets(MIN_ROWS - 1), *plain(10)], 1)
    assert not few.answered
    assert len(few.held_out) == 3
    assert all("text" in row for row in few.held_out)
    assert divide([*tickets(19), *plain(1)], 1).held_out == (plain(1)[0],)


@pytest.mark.parametrize("own", [tickets(40), plain(40)])
def test_replayed_rows_are_learned_from_and_never_held_out(own: list[Row]) -> None:
    replayed = tickets(60, seed=9, kinds={"井盖丢失": "设施"})
    lot = divide([*own, *replayed], 1, num_replayed=60)
    alone = divide(own, 1)
    assert (lot.held_out, lot.answered) == (alone.held_out, alone.answered)
    assert lot.own == alone.learned
    assert lot.learned == (*lot.own, *lot.replayed)
    assert lot.replayed != tuple(replayed)
    assert sorted(map(str, lot.replayed)) == sorted(map(str, replayed))


def test_replayed_rows_do_not_make_up_for_too_few() -> None:
    with pytest.raises(InvalidInput, match="There are 19 rows; training needs at least 20"):
        check_rows(tickets(49), "lora", num_replayed=30)
    check_rows(tickets(50), "lora", num_replayed=30)


@pytest.mark.parametrize("num_rows", [20, 40, 100, 300, 1000])
def test_the_split_depends_on_the_seed_alone(num_rows: int) -> None:
    learned, held_out = split(num_rows, 5)
    assert sorted((*learned, *held_out)) == list(range(num_rows))
    assert (learned, held_out) == split(num_rows, 5)
    assert held_out != split(num_rows, 6)[1]
    assert len(held_out) == min(max(30, num_rows // 10), num_rows // 3)


def test_rows_are_checked_for_what_a_method_needs() -> None:
    check_rows([*tickets(20), *plain(2)], "lora")
    check_rows([*preferences(20), *tickets(1)], "dpo")
    check_rows(preferences(20), "lora")
    for rows, kind in (([*preferences(20), *plain(1)], "dpo"), ([{"text": ""}] * 20, "pretrain")):
        with pytest.raises(InvalidInput, match="cannot be learned from"):
            check_rows(rows, kind)


def test_preferences_need_enough_rejected_answers() -> None:
    with pytest.raises(InvalidInput, match="19 of 49 rows have a rejected answer") as refused:
        check_rows([*preferences(19), *tickets(30, seed=1)], "dpo")
    assert "kind: lora" in refused.value.next_step


@pytest.mark.parametrize(("num_pairs", "num_others"), [(20, 0), (20, 1), (60, 300), (400, 40)])
def test_preferences_are_learned_from_pairs_and_measured_on_all_kinds(
    num_pairs: int, num_others: int
) -> None:
    rows = [*preferences(num_pairs), *tickets(num_others, seed=1)]
    lot = divide(rows, 3, "dpo")
    assert lot == divide(rows, 3, "dpo")
    assert lot.answered
    assert lot.learned
    assert all("rejected" in row for row in lot.learned)
    held_out = ["rejected" in row for row in lot.held_out]
    assert held_out.count(True) == num_pairs - len(lot.learned) == len(split(num_pairs, 3)[1])
    assert held_out.count(False) == (len(split(num_others, 3)[1]) if num_others else 0)


def test_a_tenth_may_be_too_long() -> None:
    check_lengths(3, 30, 10)
    with pytest.raises(InvalidInput, match="4 of 30 rows are longer than 10 tokens"):
        check_lengths(4, 30, 10)


def test_a_tokenizer_learns_from_every_text() -> None:
    rows: list[Row] = [{"prompt": "p", "label": {"k": 1}, "rejected": "r"}, {"text": "t"}]
    task = parse_task({"system": "s"})
    assert isinstance(task, AnswerTask)
    assert list(texts_of(rows, task)) == ["s", "p", '{"k":1}', "r", "t"]


def test_what_the_engine_would_embed() -> None:
    assert embedded_text({"text": "t"}) == "t"
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert embedded_text({"prompt": chat}) == "u"
    assert Lesson([1, 2], 0).num_given == 0


def test_labels_that_the_schema_does_not_allow_are_refused() -> None:
    rows = tickets(3)
    check_labels([*rows, {"text": "x"}, {"prompt": "x"}], parse_task(EXTRACT))
    rows.append({"prompt": "x", "label": '{"类别": "排水"}'})
    with pytest.raises(InvalidInput, match='Row 4 cannot be learned from: the label lacks "地点"'):
        check_labels(rows, parse_task(EXTRACT))
    check_labels(rows, parse_task({}))


def test_labels_that_are_to_quote_the_prompt_and_do_not_are_refused() -> None:
    quoted = {**SCHEMA["properties"], "地点": {"type": "string", "format": "excerpt"}}
    task = parse_task({**EXTRACT, "schema": {**SCHEMA, "properties": quoted}})
    rows = tickets(3)
    check_labels(rows, task)
    rows.append({"prompt": "人民路积水", "label": {"类别": "排水", "地点": "人民大道"}})
    with pytest.raises(InvalidInput, match=r'Row 4 .*: 地点 \("人民大道"\) does not stand in'):
        check_labels(rows, task)


def test_a_label_with_a_number_beyond_all_is_a_text() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    rows: list[Row] = [{"prompt": "x", "label": '{"a": 1e999}'}]
    with pytest.raises(InvalidInput, match=r"Row 1 .* the label is not of type object"):
        check_labels(rows, parse_task({"kind": "extract", "schema": schema}))
