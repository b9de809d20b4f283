"""The figures of fidelity: exact where all is listed, never too large where it is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dizuo.families.base import Distribution
from dizuo.gates.fidelity import (
    MAX_COMPARED,
    ComparedChoice,
    ComparedRow,
    compare,
    divergence_at_least,
    fidelity_of,
    furthest,
)
from dizuo.gates.report import Fidelity

NUM_OUTCOMES = 8


def listed(shares: list[float], most: int = NUM_OUTCOMES) -> Distribution:
    """The `most` likeliest outcomes of these probabilities."""
    order = np.argsort([-share for share in shares], kind="stable")[:most]
    return Distribution(
        tuple(int(one) for one in order), tuple(math.log(shares[one]) for one in order)
    )


def divergence(p: list[float], q: list[float]) -> float:
    return sum(one * math.log(one / other) for one, other in zip(p, q, strict=True))


SHARES = st.lists(st.floats(1e-6, 1), min_size=NUM_OUTCOMES, max_size=NUM_OUTCOMES).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)
MOST = st.integers(1, NUM_OUTCOMES)


@settings(deadline=None)
@given(SHARES, SHARES)
def test_it_is_the_divergence_where_every_outcome_is_listed(p: list[float], q: list[float]) -> None:
    assert divergence_at_least(listed(p), listed(q)) == pytest.approx(divergence(p, q), abs=1e-6)


@settings(deadline=None, max_examples=500)
@given(SHARES, SHARES, MOST, MOST)
def test_it_is_never_more_than_the_divergence(
    p: list[float], q: list[float], most: int, other: int
) -> None:
    found = divergence_at_least(listed(p, most), listed(q, other))
    assert 0 <= found <= divergence(p, q) + 1e-6


@settings(deadline=None)
@given(SHARES, MOST)
def test_of_the_same_it_is_nothing(p: list[float], most: int) -> None:
    found = compare(listed(p, most), listed(p, most))
    assert found.same
    assert found.kl_nats == pytest.approx(0, abs=1e-6)


def test_an_outcome_that_the_export_does_not_even_list_is_far_away() -> None:
    """Taken together with all the rest it would seem no difference at all."""
    p = Distribution((1,), (math.log(0.99),))
    q = Distribution((2, 3), (math.log(0.9), math.log(0.001)))
    found = compare(p, q)
    assert not found.same
    # The export gives outcome 1 at most what it gives 3.
    least = 0.99 * math.log(0.99 / 0.001) + 0.01 * math.log(0.01 / 0.999)
    assert found.kl_nats == pytest.approx(least)
    assert found.kl_nats > 6


def test_an_outcome_of_no_probability_is_a_finite_distance_away() -> None:
    p = Distribution((0, 1), (math.log(0.5), math.log(0.5)))
    q = Distribution((0, 1), (0.0, -math.inf))
    assert 5 < compare(p, q).kl_nats < 20


def row(prompt: str, *kl_nats: float, agrees: bool = True, confidence: float = 0.5) -> ComparedRow:
    choices = tuple(ComparedChoice(one < 1, one) for one in kl_nats)
    return ComparedRow(prompt, "a", "a" if agrees else "b", agrees, confidence, choices)


def test_what_was_taken_need_not_be_what_both_find_likeliest() -> None:
    """A grammar forces the first outcome, and the probabilities stay the model's own."""
    trained = Distribution((7, 1, 2), (math.log(0.1), math.log(0.6), math.log(0.3)))
    exported = Distribution((1, 2, 7), (math.log(0.6), math.log(0.3), math.log(0.1)))
    found = compare(trained, exported)
    assert found.same
    assert found.kl_nats == pytest.approx(0)
    other = Distribution((7, 1, 2), (math.log(0.6), math.log(0.3), math.log(0.1)))
    assert not compare(trained, other).same


def test_the_figures_are_means_over_choices() -> None:
    assert fidelity_of(row("x", 0.0, 0.5, 1.0, 2.5).choices) == Fidelity(4, 0.5, 1.0)
    assert fidelity_of(()) is None


def test_rows_stand_by_their_mean_divergence() -> None:
    rows = [row("near", 0.1, 0.1), row("same", 0.0), row("far", 0.0, 3.0), row("middle", 0.9)]
    found = furthest(rows)
    assert [one.prompt for one in found] == ["far", "middle", "near"]
    assert found[0].fidelity == Fidelity(2, 0.5, 1.5)


def test_without_figures_rows_with_another_answer_stand_by_how_sure_they_are() -> None:
    rows = [
        row("agrees"),
        row("unsure", agrees=False, confidence=0.2),
        row("sure", agrees=False, confidence=0.9),
    ]
    assert [one.prompt for one in furthest(rows)] == ["sure", "unsure"]


def test_only_so_many_are_shown() -> None:
    rows = [row(f"{number:02}", number / 100) for number in range(1, 31)]
    found = furthest(rows)
    assert len(found) == MAX_COMPARED
    assert found[0].prompt == "30"
