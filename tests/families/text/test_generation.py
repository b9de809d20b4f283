"""What a model in memory answers, against the engine's rules and a plain loop."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from tests.families.text.tuning_factory import tickets

from dizuo.artifacts.model import StackFiles
from dizuo.core.errors import InvalidInput
from dizuo.families.base import Cancelled
from dizuo.families.text.excerpts import is_excerpt
from dizuo.families.text.generation import Answer, Writer, embed, watching, whole
from dizuo.families.text.holding import Rule
from dizuo.families.text.lessons import Question
from dizuo.families.text.messages import Message, row_messages
from dizuo.families.text.network import Model, merged_model
from dizuo.families.text.tokens import Tokens, read_tokens


@pytest.fixture(scope="module")
def model(base: StackFiles) -> Model:
    return merged_model(base)[0]


@pytest.fixture(scope="module")
def tokens(base: StackFiles) -> Tokens:
    return read_tokens(base.base.directory)


def ignore(_done: int) -> None:
    pass


def questions_of(tokens: Tokens, chats: Sequence[Sequence[Message]]) -> list[Question]:
    return [Question({}, chat, tokens.prompt(chat)) for chat in chats]


@pytest.mark.parametrize("text", ["", "a", "é", "积水", "😀", "a积b😀"])
def test_whole_characters_are_told_from_broken_ones(text: str) -> None:
    spelled = text.encode()
    for end in range(len(spelled) + 1):
        part = spelled[:end]
        try:
            part.decode()
        except UnicodeDecodeError:
            assert not whole(part)
        else:
            assert whole(part)


def test_bytes_that_begin_nothing_are_taken_as_they_are() -> None:
    assert whole(b"\x80")
    assert whole(b"\xff")
    answer = Answer()
    answer.add(b"a\xff", -1.0, [-1.0])
    assert answer.text == "a\ufffd"


def test_a_character_that_an_answer_ends_within_is_not_told() -> None:
    answer = Answer()
    for spelled in (b"a", b"\xe7", b"\xa7"):
        answer.add(spelled, -1.0, [-1.0])
    assert answer.text == "a"
    assert len(answer.pieces) == 1


def test_of_a_broken_character_only_the_last_token_is_told() -> None:
    answer = Answer()
    for number, spelled in enumerate([b"a", b"\xe7", b"\xa7\xaf", b"", b"b"]):
        answer.add(spelled, -1.0 - number, [-0.5])
    assert answer.text == "a积b"
    assert [piece.logprob for piece in answer.pieces] == [-1, -3, -4, -5]


def plainly(model: Model, tokens: Tokens, prompt: list[int], most: int) -> tuple[str, list[float]]:
    """The same without batches and without a cache."""
    ids, written, logprobs = list(prompt), b"", []
    for _ in range(most):
        with torch.no_grad():
            likely = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(dim=-1)
        token = int(likely.argmax())
        if token in tokens.stops:
            break
        ids.append(token)
        written += tokens.spelled(token)
        if whole(written):
            logprobs.append(float(likely[token]))
    return written.decode(errors="replace"), logprobs


def test_batches_with_a_cache_write_what_a_plain_loop_writes(model: Model, tokens: Tokens) -> None:
    asked = [row_messages(row) for row in tickets(5)]
    asked.append([{"role": "user", "content": "😀 鳖"}])
    asked.append([{"role": "user", "content": "x" * 40}])
    questions = questions_of(tokens, asked)
    answers = Writer(model, tokens, max_tokens=12, window=50).answers(questions, ignore)
    for question, answer in zip(questions, answers, strict=True):
        prompt = list(question.ids)
        text, logprobs = plainly(model, tokens, prompt, min(12, 50 - len(prompt)))
        assert answer.text == text
        np.testing.assert_allclose([p.logprob for p in answer.pieces], logprobs, atol=1e-4)
        assert all(piece.entropy >= 0 for piece in answer.pieces)


def schema_of(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def test_what_is_held_is_the_likeliest_that_the_schema_allows(model: Model, tokens: Tokens) -> None:
    """An untrained model, so that nothing but the grammar makes it JSON."""
    questions = questions_of(tokens, [row_messages(row) for row in tickets(6)])
    rule = Rule(tokens, schema_of(a={"enum": ["x", "yes", "é"]}, b={"type": "boolean"}))
    writer = Writer(model, tokens, max_tokens=40, window=100, rule=rule)
    for question, answer in zip(questions, writer.answers(questions, ignore), strict=True):
        said = json.loads(answer.text)
        assert said["a"] in ("x", "yes", "é")
        assert said["b"] in (True, False)
        ids = list(question.ids)
        for choice, piece in zip(answer.choices, answer.pieces, strict=False):
            with torch.no_grad():
                likely = model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(dim=-1)
            assert float(likely[choice.outcomes[0]]) == pytest.approx(piece.logprob, abs=1e-4)
            assert choice.outcomes[int(np.argmax(choice.logprobs))] == int(likely.argmax())
            ids.append(choice.outcomes[0])
        assert answer.choices[-1].outcomes[0] == tokens.end_of_turn


def test_an_excerpt_stands_in_what_was_said(model: Model, tokens: Tokens) -> None:
    """An untrained model writes what it likes, of what there is: also quotes and line breaks."""
    asked: list[list[Message]] = [row_messages(row) for row in tickets(6)]
    asked.append([{"role": "user", "content": 'a "b" \\ c\n😀 鳖9'}])
    asked.append([{"role": "system", "content": "积水"}, {"role": "user", "content": "x"}])
    rule = Rule(tokens, schema_of(a={"type": "string", "format": "excerpt"}, b={"type": "null"}))
    writer = Writer(model, tokens, max_tokens=60, window=128, rule=rule)
    questions = questions_of(tokens, asked)
    found = [json.loads(answer.text)["a"] for answer in writer.answers(questions, ignore)]
    assert any(found)
    for question, excerpt in zip(questions, found, strict=True):
        assert is_excerpt(excerpt, question.said)


def test_the_grammar_of_excerpts_takes_what_is_one_and_nothing_else(tokens: Tokens) -> None:
    schema = schema_of(a={"type": "string", "format": "excerpt"})
    draw = random.Random(1)
    num_taken = 0
    for _ in range(300):
        said = "".join(draw.choices('ab1 "\\\n路积é', k=draw.randint(0, 12)))
        start = draw.randint(0, len(said))
        text = said[start : start + draw.randint(0, 5)] + draw.choice(["", "", "a"])
        matcher = Rule(tokens, schema).hold(said)._matcher
        spelled = tokens.plain(json.dumps({"a": text}, ensure_ascii=False, separators=(",", ":")))
        num_consumed = matcher.try_consume_tokens(spelled)
        taken = num_consumed == len(spelled) and matcher.is_accepting()
        assert taken == is_excerpt(text, said), (said, text)
        num_taken += taken
    assert 50 < num_taken < 250


def test_a_schema_that_cannot_be_enforced_is_refused(tokens: Tokens) -> None:
    schema = schema_of(a={"allOf": [{"type": "string"}, {"type": "number"}]})
    with pytest.raises(InvalidInput, match=r"cannot be held to task\.schema: "):
        Rule(tokens, schema)


def test_embeddings_do_not_depend_on_their_neighbours(model: Model, tokens: Tokens) -> None:
    texts = ["积水", "人民路3号路灯不亮，请处理" * 2, "x"]
    together = embed(model, tokens, texts, 100, ignore)
    assert together.shape == (3, 64)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(embed(model, tokens, [text], 100, ignore)[0], row, atol=1e-5)
    cut = embed(model, tokens, [texts[1]], 4, ignore)
    short = tokens.tokenizer.decode(tokens.plain(texts[1])[:4])
    np.testing.assert_allclose(cut, embed(model, tokens, [short], 100, ignore), atol=1e-5)


def test_both_tell_how_far_they_are_and_stop_when_asked(model: Model, tokens: Tokens) -> None:
    told: list[int] = []
    questions = questions_of(tokens, [row_messages(row) for row in tickets(40)])
    writer = Writer(model, tokens, max_tokens=3, window=90)
    writer.answers(questions, watching(lambda: False, told.append))
    assert told[0] == 0
    assert told[-1] == 40
    assert told == sorted(told)
    for work in (
        lambda watch: writer.answers(questions, watch),
        lambda watch: embed(model, tokens, ["a"], 9, watch),
    ):
        with pytest.raises(Cancelled):
            work(watching(lambda: True, told.append))
