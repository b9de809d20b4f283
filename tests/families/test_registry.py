"""Families are found by their entry points, part by part."""

from __future__ import annotations

import pytest

from dizuo.families import registry
from dizuo.families.base import Exporter, Importer, Runtime, Scorer, Spec, Tuner
from dizuo.families.errors import UnknownFamily


def test_vision_offers_every_part() -> None:
    spec: Spec = registry.spec("vision")
    scorer: Scorer = registry.scorer("vision")
    runtime: Runtime = registry.runtime("vision")
    tuner: Tuner = registry.tuner("vision")
    exporter: Exporter = registry.exporter("vision")
    importer: Importer = registry.importer("vision")
    assert spec.NAME == "vision"
    assert "accuracy" in scorer.METRICS
    parts = (runtime.open_engine, tuner.tune, exporter.export, importer.inspect)
    assert all(part.__doc__ for part in parts)


def test_a_family_that_nobody_offers() -> None:
    with pytest.raises(UnknownFamily, match="no family 'smell'") as caught:
        registry.spec("smell")
    assert "vision" in caught.value.next_step
