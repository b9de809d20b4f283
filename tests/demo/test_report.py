"""The demo's report and tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dizuo.demo.measure import Score
from dizuo.demo.report import DemoReport, StoryScores
from dizuo.demo.screen import scores_table, sites_table

DIGEST = "sha256:" + "ab" * 32
SCORES = StoryScores(
    before_drift=Score.of(95, 100),
    after_drift=Score.of(10, 100),
    after_update=Score.of(93, 100),
    random_arm=Score.of(90, 100),
    num_returned=400,
    num_labels=300,
    num_test=457,
)
REPORT = DemoReport(
    seconds=12.5,
    seed=3,
    stacks=[],
    sites=[
        {
            "name": "site3",
            "generation": 3,
            "state": "serving",
            "stacks": [{"name": "meter-reading-site3", "version": 1, "digest": DIGEST}],
            "bytes_first_install": 900_000,
            "bytes_last_update": 45_000,
        }
    ],
    vision=SCORES,
    trace=[{"kind": "site", "id": "site3", "digest": DIGEST}],
    untouched_sites_identical=True,
    cached={},
)


def test_score_carries_a_wilson_interval() -> None:
    score = Score.of(95, 100)
    assert score.score == 0.95
    assert 0.88 < score.low < 0.90
    assert 0.97 < score.high < 0.98


def test_report_has_the_promised_form(tmp_path: Path) -> None:
    REPORT.write(tmp_path / "demo-report.json")
    read = json.loads((tmp_path / "demo-report.json").read_text(encoding="utf-8"))
    assert read["format"] == 1
    assert read["seed"] == 3
    assert set(read["vision"]) == {
        "before_drift",
        "after_drift",
        "after_update",
        "random_arm",
        "num_returned",
        "num_labels",
        "num_test",
    }
    assert set(read["vision"]["after_update"]) == {"score", "low", "high"}


def test_tables_say_what_matters() -> None:
    console = Console(width=120, record=True)
    console.print(scores_table(SCORES))
    console.print(sites_table(REPORT))
    text = console.export_text()
    for words in ("93.0%", "after the update from 300 labels", "900 kB", "45 kB", "abababababab"):
        assert words in text


def test_a_report_that_keeps_its_promises() -> None:
    kept = replace(REPORT, trace=[*REPORT.trace, {"kind": "sample", "id": "x", "digest": DIGEST}])
    assert kept.broken_promises() == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"num_test": 399}, "Fewer than 400"),
        ({"num_labels": 301}, "More than 300 labels"),
        ({"before_drift": Score.of(92, 100)}, "Before the drift"),
        ({"after_drift": Score.of(51, 100)}, "The drift did not"),
        ({"after_update": Score.of(89, 100)}, "After the update"),
    ],
)
def test_a_figure_that_is_missed_is_told(change: dict[str, Any], sentence: str) -> None:
    (first, *_) = replace(REPORT, vision=replace(SCORES, **change)).broken_promises()
    assert sentence in first


def test_other_promises_that_are_broken_are_told() -> None:
    heavy = {**REPORT.sites[0], "bytes_last_update": 90_001}
    wrong = [{"kind": "site", "id": "site3", "digest": "sha256:" + "cd" * 32}]
    report = replace(REPORT, sites=[heavy], trace=wrong, untouched_sites_identical=False)
    assert len(report.broken_promises()) == 4
