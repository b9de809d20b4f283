"""The demo's report and tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dizuo.demo.hotline import story as hotline
from dizuo.demo.hotline.story import Confidence, HotlineScores
from dizuo.demo.measure import Score, StoryScores
from dizuo.demo.meter import story as meter
from dizuo.demo.report import DemoReport
from dizuo.demo.screen import scores_table, sites_table

DIGEST = "sha256:" + "ab" * 32
SCORES = StoryScores(
    data=meter.DATA,
    before_drift=Score.of(95, 100),
    after_drift=Score.of(10, 100),
    after_update=Score.of(93, 100),
    random_arm=Score.of(90, 100),
    num_returned=400,
    num_labels=300,
    num_test=457,
)
TEXT = HotlineScores(
    data=hotline.DATA,
    before_drift=Score.of(460, 500),
    after_drift=Score.of(230, 500),
    after_update=Score.of(440, 500),
    random_arm=Score.of(430, 500),
    num_returned=700,
    num_labels=600,
    num_test=500,
    other_city_after_update=Score.of(455, 500),
)


def site(name: str, stack: str) -> dict[str, Any]:
    return {
        "name": name,
        "generation": 3,
        "state": "serving",
        "stacks": [{"name": stack, "version": 1, "digest": DIGEST}],
        "bytes_first_install": 900_000,
        "bytes_last_update": 45_000,
    }


def trace(name: str) -> list[dict[str, str]]:
    return [
        {"kind": "site", "id": name, "digest": DIGEST},
        {"kind": "sample", "id": "x", "digest": DIGEST},
    ]


REPORT = DemoReport(
    seconds=12.5,
    seed=3,
    small=False,
    stacks=[],
    sites=[site("site3", "meter-reading-site3"), site("hotline", "harbin-hotline-winter")],
    vision=SCORES,
    text=TEXT,
    text_confidence=Confidence(before_drift=0.9, after_drift=0.7, after_update=0.9),
    trace=trace("site3"),
    text_trace=trace("hotline"),
    update_bytes={"site3": 45_000, "hotline": 46_000},
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
    fields = {
        "data",
        "before_drift",
        "after_drift",
        "after_update",
        "random_arm",
        "num_returned",
        "num_labels",
        "num_test",
    }
    assert set(read["vision"]) == fields
    assert set(read["text"]) == {*fields, "other_city_after_update"}
    assert read["text"]["data"] == "synthetic"
    assert read["vision"]["data"] == "real images of handwritten digits, computed drift"
    for story in ("vision", "text"):
        assert set(read[story]["after_update"]) == {"score", "low", "high"}


def test_tables_say_what_matters() -> None:
    console = Console(width=120, record=True)
    console.print(scores_table("Reading", SCORES, {"elsewhere": Score.of(455, 500)}))
    console.print(sites_table(REPORT.sites))
    text = console.export_text()
    for words in (
        "93.0%",
        "after the update from 300 labels",
        "elsewhere",
        "91.0%",
        "900 kB",
        "45 kB",
        "abababababab",
    ):
        assert words in text


def test_a_comparison_that_did_not_pass_its_gates_is_shown_and_breaks_no_promise() -> None:
    console = Console(width=120, record=True)
    missed = replace(TEXT, random_arm=None)
    console.print(scores_table("Reading", missed, {}))
    (line,) = [line for line in console.export_text().splitlines() if "random labels" in line]
    assert "not served" in line
    assert replace(REPORT, text=missed).broken_promises() == []


def test_what_is_told_in_the_small_promises_no_scores() -> None:
    poor = replace(TEXT, before_drift=Score.of(0, 24), num_test=24)
    told = replace(REPORT, text=poor, small=True)
    assert told.broken_promises() == []
    assert replace(told, small=False).broken_promises() != []
    assert replace(told, text_trace=trace("site3")).broken_promises() != []


def test_answers_to_what_is_new_are_less_sure() -> None:
    as_sure = Confidence(before_drift=0.9, after_drift=0.9, after_update=0.9)
    (broken,) = replace(REPORT, text_confidence=as_sure).broken_promises()
    assert broken.startswith("The hotline is as sure of what is new")
    assert replace(REPORT, text_confidence=as_sure, small=True).broken_promises() == []


def test_a_report_that_keeps_its_promises() -> None:
    assert REPORT.broken_promises() == []


def test_a_story_that_was_not_told_promises_nothing() -> None:
    meter = replace(REPORT, text=None, text_confidence=None, text_trace=[], sites=REPORT.sites[:1])
    assert meter.broken_promises() == []
    hotline = replace(REPORT, vision=None, trace=[], sites=REPORT.sites[1:])
    assert hotline.broken_promises() == []


@pytest.mark.parametrize(
    ("story", "change", "sentence"),
    [
        ("vision", {"num_test": 399}, "Fewer than 400 images"),
        ("vision", {"num_labels": 301}, "More than 300 labels"),
        ("vision", {"before_drift": Score.of(92, 100)}, "Before the drift less than 93%"),
        ("vision", {"after_drift": Score.of(51, 100)}, "The drift left over 50%"),
        ("vision", {"after_update": Score.of(89, 100)}, "After the update less than 90%"),
        ("text", {"num_test": 499}, "Fewer than 500 made-up tickets"),
        ("text", {"num_labels": 601}, "More than 600 labels"),
        ("text", {"before_drift": Score.of(89, 100)}, "Before the drift less than 90%"),
        ("text", {"after_drift": Score.of(61, 100)}, "The drift left over 60%"),
        ("text", {"after_update": Score.of(84, 100)}, "After the update less than 85%"),
    ],
)
def test_a_figure_that_is_missed_is_told(story: str, change: dict[str, Any], sentence: str) -> None:
    missed = replace(getattr(REPORT, story), **change)
    (told,) = replace(REPORT, **{story: missed}).broken_promises()
    assert sentence in told


@pytest.mark.parametrize("which", [0, 1])
def test_other_promises_that_are_broken_are_told(which: int) -> None:
    name = REPORT.sites[which]["name"]
    wrong = [{"kind": "site", "id": name, "digest": "sha256:" + "cd" * 32}]
    heavy = {**REPORT.update_bytes, name: 90_001}
    changes: dict[str, Any] = {("trace", "text_trace")[which]: wrong, "update_bytes": heavy}
    report = replace(REPORT, untouched_sites_identical=False, **changes)
    told = report.broken_promises()
    assert len(told) == 4
    assert sum(name in sentence for sentence in told) == 3
