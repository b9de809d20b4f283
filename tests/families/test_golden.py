"""Golden sets: written, read, and asked of an engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dizuo.families.base import Answer, Observation
from dizuo.families.errors import LayerRefused, UnknownStack
from dizuo.families.golden import (
    GOLDEN_NAME,
    TRAINED_ANSWERS_NAME,
    ExpectedAnswer,
    probe,
    read_golden,
    write_golden,
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
    write_golden(tmp_path / TRAINED_ANSWERS_NAME, ROWS[:1])
    assert read_golden(tmp_path) == ROWS
    assert read_golden(tmp_path, TRAINED_ANSWERS_NAME) == ROWS[:1]


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
