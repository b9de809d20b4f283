"""What may leave a site."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from typing import ClassVar

import pytest

from dizuo.edge import egress
from dizuo.edge.egress import Decision, UnknownEgressPolicy, decide, policy
from dizuo.edge.wire import MAX_SAMPLE_BYTES, Sample, sample_digest

STACK = "sha256:" + "a" * 64


def sample(text: str = "4 0 7") -> Sample:
    row = {"text": text}
    return Sample(
        digest=sample_digest(row, STACK),
        family="vision",
        served_as="meters",
        stack_digest=STACK,
        row=row,
        answer="7",
        confidence=0.5,
        reason="control",
        taken_ms=1,
    )


def test_none_lets_nothing_out() -> None:
    decision = decide("none", sample())
    assert not decision.allowed
    assert decision.leaving is None
    assert decision.reason


def test_raw_lets_a_sample_out_as_it_is() -> None:
    decision = decide("raw", sample())
    assert decision.allowed
    assert decision.leaving == sample()
    assert decision.reason


@pytest.mark.parametrize("letter", ["x", "底"])
def test_raw_keeps_what_no_hub_would_take(letter: str) -> None:
    """Bytes are counted, not letters."""
    decision = decide("raw", sample(letter * (MAX_SAMPLE_BYTES // len(letter.encode()))))
    assert not decision.allowed
    assert str(MAX_SAMPLE_BYTES) in decision.reason


@pytest.mark.parametrize("name", ["", "RAW", "all", "redacted", "raw "])
def test_an_unknown_policy_is_refused(name: str) -> None:
    with pytest.raises(UnknownEgressPolicy, match="none, raw"):
        decide(name, sample())


@dataclass(frozen=True)
class NoImages:
    """A stranger's policy: the row stays, the answer leaves."""

    name: ClassVar[str] = "answers"

    def decide(self, sample: Sample) -> Decision:
        return Decision(sample.model_copy(update={"row": {}}), "The row was taken out.")


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that offers a policy."""
    point = EntryPoint("answers", "tests.edge.test_egress:NoImages", egress.ENTRY_POINT_GROUP)

    def installed(**_select: str) -> EntryPoints:
        return EntryPoints([point])

    monkeypatch.setattr(egress, "entry_points", installed)
    policy.cache_clear()
    yield
    policy.cache_clear()


@pytest.mark.usefixtures("stranger")
def test_a_strangers_policy_may_strip_what_leaves() -> None:
    leaving = decide("answers", sample()).leaving
    assert leaving is not None
    assert leaving.row == {}
    assert leaving.answer == "7"
