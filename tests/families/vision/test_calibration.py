"""Confidence that means what it says, and novelty that grows with distance."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dizuo.families.vision.calibration import Evidence, fit, fit_unlabelled, read, softmax

D = 6


def evidence(num_rows: int, *, sharpness: float, seed: int = 0, spread: float = 1.0) -> Evidence:
    """Rows of three classes whose logits are `sharpness` times too sure: labels are drawn from the
    softmax of the logits divided by it."""
    random = np.random.default_rng(seed)
    honest = random.normal(scale=2.0, size=(num_rows, 3))
    odds = softmax(honest.astype(np.float32)).astype(float)
    classes = np.array([random.choice(3, p=row / row.sum()) for row in odds])
    centres = 5 * np.eye(3, D)
    embeddings = centres[classes] + spread * random.normal(size=(num_rows, D))
    logits = (sharpness * honest).astype(np.float32)
    return Evidence(embeddings.astype(np.float32), logits, classes)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 4.0])
def test_the_temperature_undoes_what_makes_logits_too_sure(
    tmp_path: Path, sharpness: float
) -> None:
    rows = evidence(4000, sharpness=sharpness)
    found = fit(rows, rows, tmp_path / "c.json")
    assert found.temperature == pytest.approx(sharpness, rel=0.15)
    confidence = found.probabilities(rows.logits).max(axis=1)
    accuracy = (rows.logits.argmax(axis=1) == rows.classes).mean()
    assert confidence.mean() == pytest.approx(accuracy, abs=0.02)


def test_thirty_rows_without_an_error_do_not_make_it_certain(tmp_path: Path) -> None:
    classes = np.arange(30) % 3
    logits = (12.0 * np.eye(3)[classes]).astype(np.float32)
    rows = Evidence(np.eye(3, D, dtype=np.float32)[classes], logits, classes)
    found = fit(rows, rows, tmp_path / "c.json")
    assert 0.9 < found.probabilities(logits).max() < 0.99


def test_percentiles_say_where_a_row_lies_among_those_held_out(tmp_path: Path) -> None:
    trained, held_out = evidence(300, sharpness=1), evidence(500, sharpness=1, seed=1)
    found = fit(trained, held_out, tmp_path / "c.json")
    confidence = found.probabilities(held_out.logits).max(axis=1)
    percentiles = found.confidence_percentiles(confidence)
    assert np.argsort(percentiles, kind="stable")[0] == confidence.argmin()
    assert percentiles.mean() == pytest.approx(0.5, abs=0.02)
    assert found.novelty_percentiles(held_out.embeddings).mean() == pytest.approx(0.5, abs=0.02)
    far = held_out.embeddings + 40
    assert (found.novelty_percentiles(far) == 1.0).all()
    assert (found.confidence_percentiles(np.array([0, 1], dtype=np.float32)) == [0, 1]).all()


def test_novelty_is_the_scaled_distance_to_the_nearest_mean(tmp_path: Path) -> None:
    found = fit(evidence(400, sharpness=1), evidence(100, sharpness=1), tmp_path / "c.json")
    rows = evidence(20, sharpness=1, seed=3).embeddings
    steps = (rows[:, None, :] - found.means[None]) * found.scales
    by_hand = np.sqrt((steps**2).mean(axis=2)).min(axis=1)
    assert np.allclose(found.novelty(rows), by_hand, atol=1e-3)


def test_a_class_without_rows_takes_the_mean_of_all(tmp_path: Path) -> None:
    rows = evidence(60, sharpness=1)
    kept = rows.classes != 2
    two = Evidence(rows.embeddings[kept], rows.logits[kept], rows.classes[kept])
    found = fit(two, two, tmp_path / "c.json")
    assert np.allclose(found.means[2], two.embeddings.mean(axis=0), atol=1e-2)


def test_it_reads_back_as_it_was_and_the_same_evidence_gives_the_same_bytes(tmp_path: Path) -> None:
    rows = evidence(100, sharpness=2)
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    fitted = fit(rows, rows, first)
    fit(rows, rows, second)
    assert first.read_bytes() == second.read_bytes()
    again = read(first)
    assert again.temperature == fitted.temperature
    for name in ("means", "scales", "confidence_quantiles", "novelty_quantiles"):
        assert np.array_equal(getattr(again, name), getattr(fitted, name))


def test_without_data_the_confidence_stays_as_it_is(tmp_path: Path) -> None:
    rows = evidence(64, sharpness=3)
    found = fit_unlabelled(rows, tmp_path / "c.json")
    assert found.temperature == 1.0
    assert json.loads((tmp_path / "c.json").read_bytes())["source"] == "generated"
    assert np.allclose(found.probabilities(rows.logits), softmax(rows.logits))


SPOILED: dict[str, dict[str, Any]] = {
    "a newer format": {"format": 2},
    "no temperature": {"temperature": 0},
    "a hundred quantiles": {"confidence_quantiles": [0.5] * 100},
    "another key": {"bias": 1},
    "means that are not base64": {"novelty_means": "%%"},
    "means of another width": {"novelty_means": base64.b64encode(b"\0" * 2).decode()},
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_is_not_a_calibration_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "c.json"
    rows = evidence(40, sharpness=1)
    fit(rows, rows, path)
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **SPOILED[name]}))
    with pytest.raises(ValueError, match=r".+"):
        read(path)


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=8))
def test_softmax_sums_to_one(logits: list[float]) -> None:
    row = softmax(np.asarray([logits], dtype=np.float32))
    assert row.sum() == pytest.approx(1, abs=1e-5)
    assert row[0, int(np.argmax(logits))] == row.max()
