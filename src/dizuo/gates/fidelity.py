"""How near an exported stack's probabilities are to the trained one's, choice by choice.

Both are asked for the distribution of each next outcome after the same outcomes, those that the
trained model took (teacher forcing), so one early difference does not make all later ones. Told are
the two figures by which Stanton et al. measure fidelity (2021, *Does Knowledge Distillation Really
Work?*): the share of choices with the same likeliest outcome, and the mean Kullback-Leibler
divergence from the trained distribution to the exported one, in nats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dizuo.families.base import Distribution
from dizuo.gates.report import ComparedExample, Fidelity

MAX_COMPARED = 10
"""Of the rows that differ, how many a report shows."""
_LEAST = 1e-9
"""Stands for a probability of 0, whose logarithm there is not."""


@dataclass(frozen=True, slots=True)
class ComparedChoice:
    """One choice: whether both find the same outcome likeliest, and how far they are apart."""

    same: bool
    kl_nats: float


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """A row as both answered it, `choices` none where the family tells no probabilities."""

    prompt: str
    trained: object
    exported: object
    agrees: bool
    confidence: float
    choices: tuple[ComparedChoice, ...]

    @property
    def fidelity(self) -> Fidelity | None:
        """The figures of this row alone."""
        return fidelity_of(self.choices)

    def example(self) -> ComparedExample:
        """The row for a report."""
        return ComparedExample(
            self.prompt, self.trained, self.exported, self.agrees, self.confidence, self.fidelity
        )


def compare(trained: Distribution, exported: Distribution) -> ComparedChoice:
    """One choice as the trained model and the exported one see it."""
    same = _likeliest(trained) == _likeliest(exported)
    return ComparedChoice(same, divergence_at_least(trained, exported))


def _likeliest(distribution: Distribution) -> int:
    return distribution.outcomes[int(np.argmax(distribution.logprobs))]


def divergence_at_least(trained: Distribution, exported: Distribution) -> float:
    """The least KL divergence that distributions with these listed outcomes can have, in nats.

    Where both list every outcome it is the divergence itself. Else outcomes that are not listed are
    taken together, which can only lower it (the log sum inequality; Cover and Thomas 2006,
    *Elements of Information Theory*, theorem 2.7.1): those that only the trained model lists are
    one group, of which the exported one gives each at most as much as the last that it lists, and
    all others are another. How the exported mass is divided between the two is not known, so that
    division is taken which makes the divergence least.
    """
    p, q = _listed(trained), _listed(exported)
    shared = p.keys() & q.keys()
    known = sum(_term(p[one], q[one]) for one in sorted(shared))
    p_unshared = sum(p[one] for one in sorted(p.keys() - shared))
    p_rest = max(0.0, 1.0 - sum(p.values()))
    q_left = max(0.0, 1.0 - sum(q[one] for one in sorted(shared)))
    ceiling = min(len(p.keys() - shared) * min(q.values()), max(0.0, 1.0 - sum(q.values())))
    even = q_left * p_unshared / (p_unshared + p_rest) if p_unshared else 0.0
    q_unshared = min(ceiling, even)
    rest = _term(p_unshared, q_unshared) + _term(p_rest, q_left - q_unshared)
    return max(0.0, known + rest)


def _listed(distribution: Distribution) -> dict[int, float]:
    shares = (math.exp(logprob) for logprob in distribution.logprobs)
    return dict(zip(distribution.outcomes, shares, strict=True))


def _term(p: float, q: float) -> float:
    return p * math.log(p / max(q, _LEAST)) if p > 0 else 0.0


def fidelity_of(choices: Sequence[ComparedChoice]) -> Fidelity | None:
    """The figures over some choices; None over none."""
    if not choices:
        return None
    return Fidelity(
        num_choices=len(choices),
        top1_agreement=sum(choice.same for choice in choices) / len(choices),
        mean_kl_nats=math.fsum(choice.kl_nats for choice in choices) / len(choices),
    )


def furthest(rows: Sequence[ComparedRow]) -> tuple[ComparedExample, ...]:
    """The rows that differ at all, those with the largest mean divergence first; where none is
    known, those with another answer, the surest first."""
    differing = [row for row in rows if not row.agrees or (row.fidelity and _differs(row.fidelity))]
    differing.sort(key=_distance)
    return tuple(row.example() for row in differing[:MAX_COMPARED])


def _differs(fidelity: Fidelity) -> bool:
    return fidelity.top1_agreement < 1 or fidelity.mean_kl_nats > 0


def _distance(row: ComparedRow) -> tuple[float, bool, float, str]:
    divergence = row.fidelity.mean_kl_nats if row.fidelity else 0.0
    return -divergence, row.agrees, -row.confidence, row.prompt
