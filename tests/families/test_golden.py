"""Golden sets: written, read, and asked of an engine."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dizuo.families.base import Answer, Distribution, Observation
from dizuo.families.errors import LayerRefused, UnknownStack
from dizuo.families.golden import (
    GOLDEN_NAME,
    LEAST_KEPT,
    MAX_CHOICES,
    MAX_OUTCOMES,
    TRAINED_ANSWERS_NAME,
    ExpectedAnswer,
    TrainedAnswer,
    kept,
    probe,
    read_golden,
    read_trained_answers,
    write_golden,
    write_trained_answers,
)
from dizuo.families.vision import score


class EchoEngine:
    """Answers each request with what the request itself says; a real, if small, engine."""

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        if stack != "echo":
            raise UnknownStack(f"There is no model {stack!r} here.")
        return Answer({}, (Observation(request["say"], request["sure"], 0.5, 0.5),))

    def describe(self, stack: str) -> dict[str, Any]:
        return {"name": stack}

    def close(self) -> None:
        return None


def row(answer: str, confidence: float, *, says: str, sure: float) -> ExpectedAnswer:
    return ExpectedAnswer(request={"say": says, "sure": sure}, answer=answer, confidence=confidence)


ROWS = (
    row("7", 0.9, says="7", sure=0.9),
    row("7", 0.9, says="7", sure=0.9 - score.CONFIDENCE_TOLERANCE * 1.01),
    row("7", 0.9, says="7", sure=0.9 + score.CONFIDENCE_TOLERANCE * 0.99),
    row("7", 0.9, says="1", sure=0.9),
)


def test_a_golden_set_comes_back_as_written(tmp_path: Path) -> None:
    write_golden(tmp_path / GOLDEN_NAME, ROWS)
    assert read_golden(tmp_path) == ROWS


CHOICE = Distribution((317, 24), (-0.01, -4.6))


def trained(**changes: Any) -> TrainedAnswer:
    values = {**ROWS[0].model_dump(), "given": (1, 2), "choices": (CHOICE, CHOICE)}
    return TrainedAnswer(**{**values, **changes})


def test_trained_answers_come_back_as_written(tmp_path: Path) -> None:
    rows = (trained(), trained(given=(), choices=()))
    write_trained_answers(tmp_path / TRAINED_ANSWERS_NAME, rows)
    assert read_trained_answers(tmp_path) == rows
    first = json.loads((tmp_path / TRAINED_ANSWERS_NAME).read_bytes())["rows"][0]
    assert first["choices"][0] == {"outcomes": [317, 24], "logprobs": [-0.01, -4.6]}


def test_trained_answers_of_format_1_have_no_choices(tmp_path: Path) -> None:
    """As layers have them that were built before the choices were kept."""
    content = '{"format":1,"rows":[{"answer":"7","confidence":0.9,"request":{"say":"7"}}]}'
    (tmp_path / TRAINED_ANSWERS_NAME).write_text(content)
    (row,) = read_trained_answers(tmp_path)
    assert (row.answer, row.given, row.choices) == ("7", (), ())


@pytest.mark.parametrize(
    "choices",
    [
        [{"outcomes": [], "logprobs": []}],
        [{"outcomes": [1], "logprobs": []}],
        [{"outcomes": [1, 1], "logprobs": [-1, -1]}],
        [{"outcomes": [1], "logprobs": [0.1]}],
        [{"outcomes": [1], "logprobs": ["-Infinity"]}],
        [{"outcomes": ["a"], "logprobs": [-1]}],
        [{"outcomes": [1], "logprobs": [-1]}] * (MAX_CHOICES + 1),
    ],
)
def test_choices_that_are_none_are_refused(tmp_path: Path, choices: Any) -> None:
    row = {**ROWS[0].model_dump(), "choices": choices}
    (tmp_path / TRAINED_ANSWERS_NAME).write_text(json.dumps({"format": 2, "rows": [row]}))
    with pytest.raises(LayerRefused, match=r"no trained-answers\.json that can be read"):
        read_trained_answers(tmp_path)


def test_of_a_choice_the_likeliest_outcomes_are_kept() -> None:
    logprobs = [-0.0123456, math.log(LEAST_KEPT), math.log(LEAST_KEPT) - 0.01]
    assert kept([7, 5, 6], logprobs) == Distribution((7, 5), (-0.01235, -9.21034))
    assert len(kept(range(50), [-4.0] * 50).outcomes) == MAX_OUTCOMES
    assert kept([3], [-20.0]) == Distribution((3,), (-20.0,))  # the one that was taken
    assert kept([3], [1e-7]) == Distribution((3,), (0.0,))  # rounding, no probability above 1


def test_the_file_has_the_form_that_is_promised(tmp_path: Path) -> None:
    write_golden(tmp_path / GOLDEN_NAME, ROWS[:1])
    assert json.loads((tmp_path / GOLDEN_NAME).read_bytes()) == {
        "format": 1,
        "rows": [{"request": {"say": "7", "sure": 0.9}, "answer": "7", "confidence": 0.9}],
    }


def test_a_probe_counts_what_agrees() -> None:
    found = probe(EchoEngine(), "echo", ROWS, score)
    assert (found.num_rows, found.num_agree) == (4, 2)
    assert found.agreement == 0.5
    assert found.p95_ms >= 0


def test_a_probe_of_a_model_that_is_not_there_says_so() -> None:
    with pytest.raises(UnknownStack):
        probe(EchoEngine(), "other", ROWS, score)


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"[]",
        b'{"format":1,"rows":[]}',
        b'{"format":2,"rows":[{"request":{},"answer":"7","confidence":0.5}]}',
        b'{"format":1,"rows":[{"request":{},"answer":"7","confidence":1.5}]}',
        b'{"format":1,"rows":[{"request":{},"answer":"7"}]}',
    ],
)
def test_what_is_not_a_golden_set_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / GOLDEN_NAME).write_bytes(content)
    with pytest.raises(LayerRefused, match=r"no golden\.json that can be read"):
        read_golden(tmp_path)
