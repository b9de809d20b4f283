"""What rows the family takes, and what makes two of them alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dizuo.core.errors import InvalidInput
from dizuo.families.text import spec

PROMPT = "人民路12号附近积水已经三天了，请尽快处理，谢谢"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": PROMPT, "label": {"a": 1}}, ""),
        ({"prompt": PROMPT}, ""),
        ({"prompt": [{"role": "user", "content": "x"}], "label": "y", "rejected": "z"}, ""),
        ({"text": "plain"}, ""),
        ({"text": "  "}, "the text is empty"),
        ({"text": 5}, "the text is empty"),
        ({"text": "x" * 2_000_001}, "over 2,000,000 characters"),
        ({"text": "x", "label": "y"}, "also a prompt or a label"),
        ({}, "not a list of 1 to"),
        ({"prompt": 5}, "not a list of 1 to"),
        ({"prompt": "x", "label": " "}, "the label is empty"),
        ({"prompt": "x", "label": b"x"}, "the label is neither text nor JSON"),
        ({"prompt": "x", "label": "x" * 2_000_001}, "the label has over"),
        ({"prompt": "x", "label": "y", "rejected": ""}, "the rejected is empty"),
        ({"prompt": "x", "label": {"a": 1}, "rejected": {"a": 1}}, "is the label"),
        ({"prompt": "x", "label": '{"b": 2, "a": 1}', "rejected": {"a": 1, "b": 2}}, "the label"),
        ({"prompt": "x", "label": 5, "rejected": " 5"}, "is the label"),
        ({"prompt": "x", "rejected": "z"}, ""),
        ({"prompt": "x", "label": "y", "rejected": '{"a": 1e999}'}, ""),
        ({"prompt": "x", "label": "y", "rejected": r'{"a": "\ud800"}'}, ""),
        ({"prompt": "x", "label": '{"a": 1e999}', "rejected": ' {"a": 1e999}'}, "is the label"),
    ],
)
def test_rows(row: dict[str, Any], says: str) -> None:
    found = spec.check_row(row)
    assert says in found
    assert bool(found) == bool(says)
    assert not found.endswith(".")


def similarity(one: str, other: str) -> float:
    first, second = spec.fingerprints([{"prompt": one}, {"prompt": other}])
    return float(first @ second)


def test_near_duplicates_are_told_from_other_tickets() -> None:
    assert similarity(PROMPT, PROMPT.replace("，", " ， ")) >= spec.NEAR_DUPLICATE_SIMILARITY
    assert similarity(PROMPT, PROMPT.replace("12", "35")) < spec.NEAR_DUPLICATE_SIMILARITY
    assert similarity(PROMPT, "今天天气很好") < 0.2


def test_fingerprints_are_unit_vectors_of_any_text() -> None:
    rows = [{"prompt": "a"}, {"text": "同样"}, {"prompt": " \n"}, {"prompt": PROMPT * 50}]
    found = spec.fingerprints(rows)
    assert found.shape == (4, 512)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert spec.fingerprints([]).shape == (0, 512)


def test_a_request_gives_its_prompts_back() -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}]
    asked: list[dict[str, Any]] = [{"prompt": PROMPT}, {"prompt": chat}]
    assert spec.rows(spec.request(asked), [1, 0]) == [{"prompt": chat}, {"prompt": PROMPT}]
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 0.2}
    assert spec.rows(body, [0]) == [{"prompt": "x"}]
    with pytest.raises(InvalidInput):
        spec.rows({"requests": [{"prompt": "raw"}]}, [0])


def test_truth() -> None:
    assert spec.truth({"prompt": "x", "label": '{"a":1}'}) == {"a": 1}
