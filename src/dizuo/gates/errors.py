"""What can go wrong with gates."""

from __future__ import annotations

from dizuo.core.errors import DizuoError, IntegrityError, NotFound


class CannotMeasure(DizuoError):
    """Something that a rule needs cannot be measured; the rule has then not passed."""

    code = "cannot_measure"


class ReportDamaged(IntegrityError):
    """A stored report that is not of a form this version reads."""

    code = "report_damaged"


class ReportMissing(NotFound):
    """The stack has not been gated."""

    code = "report_missing"
