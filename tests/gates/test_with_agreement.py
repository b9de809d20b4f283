"""No stack is gated without holding what it ships against what was trained."""

from __future__ import annotations

from dizuo.agent.settings import AgentSettings
from dizuo.gates.rules import (
    DEFAULT_AGREEMENT,
    MIN_AGREEMENT,
    AgreementWithTrained,
    LatencyAtMost,
    with_agreement,
)

LATENCY = LatencyAtMost("onnx", 100.0)


def test_each_shipped_target_gets_the_rule() -> None:
    rules = with_agreement((LATENCY,), ("safetensors", "onnx", "onnx-int8"))
    assert rules == (
        LATENCY,
        AgreementWithTrained("onnx", DEFAULT_AGREEMENT),
        AgreementWithTrained("onnx-int8", DEFAULT_AGREEMENT),
    )


def test_the_recipes_own_threshold_stands() -> None:
    own = AgreementWithTrained("onnx", 0.99)
    assert with_agreement((own,), ("safetensors", "onnx")) == (own,)


def test_no_recipe_may_ask_for_less_than_sites_do() -> None:
    at_sites = AgentSettings.model_fields["probe_agreement_at_least"].default
    assert at_sites <= MIN_AGREEMENT <= DEFAULT_AGREEMENT


def test_nothing_shipped_needs_nothing() -> None:
    assert with_agreement((), ("safetensors",)) == ()
