"""The rules that a recipe's gates can state, and parsing them when they are written.

Each gate is one mapping with exactly one condition:

- `{suite, metric, at_least, confidence?}`: the metric over the suite reaches a threshold; with a
  confidence, the lower bound of its interval does.
- `{suite, metric, not_worse_than: incumbent, margin?}`: not worse than the newest released version
  by more than the margin, shown at 95% confidence.
- `{suite, metric, drop_at_most, confidence?}`: the metric falls by at most so much from the parent
  stack to this one, on the same rows; with a confidence, the upper bound of the drop does.
- `{target, agreement_with_trained_at_least}`: the exported stack answers as the trained one did.
- `{target, p95_latency_ms_at_most}`: 19 of 20 single-row requests are answered within so long.

The first three may name the `target` they are measured on; without one it is the first that ships
(any but `safetensors`). Whatever does not parse is a problem now, never a rule that cannot fire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dizuo.families.base import Problem
from dizuo.gates.fields import Fields, Path, did_you_mean

TRAINED_TARGET = "safetensors"
"""The target in which layers are trained; it never ships to an engine."""
DEFAULT_MARGIN = 0.02
DEFAULT_AGREEMENT = 0.95
MIN_AGREEMENT = 0.85
"""The lowest a recipe may ask for: what a site asks of its golden rows before it switches, unless
its operator set otherwise. An export that agrees less would be signed and then refused everywhere.
"""
COMPARISON_CONFIDENCE = 0.95
"""The confidence of `not_worse_than`, and of the intervals that reports show."""
MAX_GATES = 100
_MAX_LATENCY_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The metric over the suite is at least `threshold`: its point, or with a `confidence` the
    lower bound of its two-sided interval."""

    suite: str
    metric: str
    threshold: float
    confidence: float | None = None
    target: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As written in a recipe."""
        written = {"suite": self.suite, "metric": self.metric, "at_least": self.threshold}
        return written | _given(confidence=self.confidence, target=self.target)

    def sentence(self) -> str:
        """What it asks for."""
        how = f" at {self.confidence:.0%} confidence" if self.confidence else ""
        return f"{self.metric} on {self.suite} is at least {self.threshold:g}{how}"


@dataclass(frozen=True, slots=True)
class NotWorseThanIncumbent:
    """The metric over the suite is not below the incumbent's by more than `margin`."""

    suite: str
    metric: str
    margin: float = DEFAULT_MARGIN
    target: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As written in a recipe."""
        written = {"suite": self.suite, "metric": self.metric, "not_worse_than": "incumbent"}
        return written | {"margin": self.margin} | _given(target=self.target)

    def sentence(self) -> str:
        """What it asks for."""
        return (
            f"{self.metric} on {self.suite} is not below the incumbent's by more than"
            f" {self.margin:g}"
        )


@dataclass(frozen=True, slots=True)
class DropAtMost:
    """The metric over the suite falls from the parent stack by at most `limit`: its point, or with
    a `confidence` the upper bound of its two-sided interval."""

    suite: str
    metric: str
    limit: float
    confidence: float | None = None
    target: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As written in a recipe."""
        written = {"suite": self.suite, "metric": self.metric, "drop_at_most": self.limit}
        return written | _given(confidence=self.confidence, target=self.target)

    def sentence(self) -> str:
        """What it asks for."""
        how = f" at {self.confidence:.0%} confidence" if self.confidence else ""
        return (
            f"{self.metric} on {self.suite} drops by at most {self.limit:g} from the parent's{how}"
        )


@dataclass(frozen=True, slots=True)
class AgreementWithTrained:
    """The exported stack agrees with the trained one on at least a share `threshold` of rows."""

    target: str
    threshold: float

    def as_dict(self) -> dict[str, Any]:
        """As written in a recipe."""
        return {"target": self.target, "agreement_with_trained_at_least": self.threshold}

    def sentence(self) -> str:
        """What it asks for."""
        return f"{self.target} answers as the trained model did on at least {self.threshold:.1%}"


@dataclass(frozen=True, slots=True)
class LatencyAtMost:
    """The 95th percentile of single-row requests is at most `limit_ms`, on the gating machine."""

    target: str
    limit_ms: float

    def as_dict(self) -> dict[str, Any]:
        """As written in a recipe."""
        return {"target": self.target, "p95_latency_ms_at_most": self.limit_ms}

    def sentence(self) -> str:
        """What it asks for."""
        return f"{self.target} answers 19 of 20 single requests within {self.limit_ms:g} ms"


SuiteRule = AtLeast | NotWorseThanIncumbent | DropAtMost
TargetRule = AgreementWithTrained | LatencyAtMost
Rule = SuiteRule | TargetRule


def with_agreement(rules: Sequence[Rule], targets: Sequence[str]) -> tuple[Rule, ...]:
    """`rules`, and for each shipped target without one a rule of agreement with the trained model.

    So no stack is ever released whose exported form was not held against what was trained; a recipe
    may set another threshold than `DEFAULT_AGREEMENT`, from `MIN_AGREEMENT`, but not do without.
    """
    covered = {rule.target for rule in rules if isinstance(rule, AgreementWithTrained)}
    missing = [one for one in targets if one != TRAINED_TARGET and one not in covered]
    return (*rules, *(AgreementWithTrained(target, DEFAULT_AGREEMENT) for target in missing))


@dataclass(frozen=True, slots=True)
class Offer:
    """What the recipe around the gates offers them; None where that is not known.

    Attributes:
        metrics: those of the family.
        targets: those of the recipe.
        has_parent: whether there is a stack below to compare with.
    """

    metrics: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    has_parent: bool = True


_SUITE_KEYS = {
    "at_least": ("suite", "metric", "at_least", "confidence", "target"),
    "not_worse_than": ("suite", "metric", "not_worse_than", "margin", "target"),
    "drop_at_most": ("suite", "metric", "drop_at_most", "confidence", "target"),
}
_TARGET_KEYS = {
    "agreement_with_trained_at_least": ("target", "agreement_with_trained_at_least"),
    "p95_latency_ms_at_most": ("target", "p95_latency_ms_at_most"),
}
CONDITION_KEYS: Mapping[str, tuple[str, ...]] = {**_SUITE_KEYS, **_TARGET_KEYS}
"""What a gate with each condition may say."""
CONDITIONS = tuple(CONDITION_KEYS)
_ALL_KEYS = tuple(dict.fromkeys(key for keys in CONDITION_KEYS.values() for key in keys))


def parse_gates(
    gates: Any, offer: Offer = Offer(), *, path: Path = ("gates",)
) -> tuple[tuple[Rule, ...], list[Problem]]:
    """The rules in a recipe's `gates` and everything that is wrong with them.

    A rule with a problem is left out, so the rules are complete only if there are no problems.

    Args:
        gates: what stands under `gates`, a list of mappings if it is right.
        offer: what the gates may refer to.
        path: where `gates` stands.
    """
    problems: list[Problem] = []
    if not isinstance(gates, Sequence) or isinstance(gates, str | bytes):
        message = "'gates' must be a list with one mapping for each gate."
        return (), [Problem(path, message, "Start each gate with a dash.")]
    if len(gates) > MAX_GATES:
        return (), [Problem(path, f"There are {len(gates)} gates; at most {MAX_GATES} are run.")]
    parsed = [_parse(gate, offer, (*path, index), problems) for index, gate in enumerate(gates)]
    return tuple(rule for rule in parsed if rule is not None), problems


def _parse(gate: Any, offer: Offer, path: Path, problems: list[Problem]) -> Rule | None:
    conditions = [key for key in CONDITIONS if isinstance(gate, Mapping) and key in gate]
    known = CONDITION_KEYS[conditions[0]] if len(conditions) == 1 else _ALL_KEYS
    num_before = len(problems)
    thing = f"a gate with {conditions[0]}" if len(conditions) == 1 else "a gate"
    fields = Fields(gate, path, problems, thing=thing, known=known)
    if len(conditions) != 1:
        if fields.is_mapping:
            problems.append(_one_condition(conditions, path))
        return None
    rule = _PARSERS[conditions[0]](fields, offer)
    return rule if len(problems) == num_before else None


def _one_condition(conditions: list[str], path: Path) -> Problem:
    step = f"Give each gate exactly one of: {', '.join(CONDITIONS)}."
    if conditions:
        return Problem(path, f"A gate has two conditions: {' and '.join(conditions)}.", step)
    return Problem(path, "A gate has no condition.", step)


def _metric(fields: Fields, offer: Offer) -> str:
    metric = fields.text("metric")
    if metric is not None and offer.metrics is not None and metric not in offer.metrics:
        step = did_you_mean(metric, offer.metrics)
        fields.refuse("metric", f"The family has no metric {metric[:60]!r}.", step)
    return metric or ""


def _target(fields: Fields, offer: Offer, *, required: bool) -> str | None:
    target = fields.text("target", required=required)
    if target == TRAINED_TARGET:
        message = f"A gate cannot be measured on {TRAINED_TARGET}, which no engine runs."
        fields.refuse("target", message, "Name a target that ships.")
    elif target is not None and offer.targets is not None and target not in offer.targets:
        step = did_you_mean(target, [t for t in offer.targets if t != TRAINED_TARGET])
        fields.refuse("target", f"The recipe builds no target {target[:60]!r}.", step)
    return target


def _confidence(fields: Fields) -> float | None:
    if "confidence" not in fields:
        return None
    return fields.number("confidence", low=0.5, high=1.0, open_ends=True)


def _at_least(fields: Fields, offer: Offer) -> AtLeast:
    return AtLeast(
        suite=fields.pin("suite") or "",
        metric=_metric(fields, offer),
        threshold=fields.number("at_least", low=0.0, high=1.0) or 0.0,
        confidence=_confidence(fields),
        target=_target(fields, offer, required=False),
    )


def _not_worse(fields: Fields, offer: Offer) -> NotWorseThanIncumbent:
    fields.choice("not_worse_than", ("incumbent",))
    margin: float | None = DEFAULT_MARGIN
    if "margin" in fields:
        margin = fields.number("margin", low=0.0, high=1.0)
    return NotWorseThanIncumbent(
        suite=fields.pin("suite") or "",
        metric=_metric(fields, offer),
        margin=margin or 0.0,
        target=_target(fields, offer, required=False),
    )


def _drop(fields: Fields, offer: Offer) -> DropAtMost:
    if not offer.has_parent:
        message = "'drop_at_most' compares with the parent stack, and this one has none."
        fields.refuse("drop_at_most", message, "Use at_least for a base.")
    return DropAtMost(
        suite=fields.pin("suite") or "",
        metric=_metric(fields, offer),
        limit=fields.number("drop_at_most", low=0.0, high=1.0) or 0.0,
        confidence=_confidence(fields),
        target=_target(fields, offer, required=False),
    )


def _agreement(fields: Fields, offer: Offer) -> AgreementWithTrained:
    key = "agreement_with_trained_at_least"
    return AgreementWithTrained(
        target=_target(fields, offer, required=True) or "",
        threshold=fields.number(key, low=MIN_AGREEMENT, high=1.0) or 0.0,
    )


def _latency(fields: Fields, offer: Offer) -> LatencyAtMost:
    limit_ms = fields.number("p95_latency_ms_at_most", low=0.0, high=_MAX_LATENCY_MS)
    if limit_ms == 0.0:
        fields.refuse("p95_latency_ms_at_most", "No request is answered within 0 ms.")
    return LatencyAtMost(
        target=_target(fields, offer, required=True) or "", limit_ms=limit_ms or 0.0
    )


_PARSERS: Mapping[str, Callable[[Fields, Offer], Rule]] = {
    "at_least": _at_least,
    "not_worse_than": _not_worse,
    "drop_at_most": _drop,
    "agreement_with_trained_at_least": _agreement,
    "p95_latency_ms_at_most": _latency,
}


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
