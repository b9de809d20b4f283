"""What a confidence is worth, and what looks new."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from dizuo.families.errors import LayerRefused
from dizuo.families.text import calibration
from dizuo.families.text.calibration import Evidence, figures, token_of

WIDTH = 12


def evidence(num_rows: int, *, seed: int = 0) -> Evidence:
    """Answers that are right the more often the surer their tokens are."""
    random = np.random.default_rng(seed)
    sure = random.random(num_rows)
    rows = np.stack([-2 * (1 - sure), -4 * (1 - sure), 1 - sure], axis=1).astype(np.float32)
    right = random.random(num_rows) < sure
    return Evidence(rows, right, random.normal(size=(num_rows, WIDTH)).astype(np.float32))


def learned(num_rows: int = 60) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(1).normal(size=(num_rows, WIDTH)).astype(np.float32)


def test_a_tokens_entropy_counts_the_rest_as_one() -> None:
    token = token_of(math.log(0.5), [math.log(0.5), math.log(0.3)])
    expected = -(0.5 * math.log(0.5) + 0.3 * math.log(0.3) + 0.2 * math.log(0.2))
    assert token.entropy == pytest.approx(expected)
    assert token_of(0.0, [0.0]).entropy == 0


def test_figures_of_an_answer() -> None:
    tokens = [token_of(-1.0, [-1.0]), token_of(-3.0, [-3.0])]
    mean, least, entropy = figures(tokens).tolist()
    assert (mean, least) == (-2.0, -3.0)
    assert entropy == pytest.approx((tokens[0].entropy + tokens[1].entropy) / 2)
    assert figures([]).tolist() == [0, 0, 0]


def test_confidence_is_the_share_that_is_right(tmp_path: Path) -> None:
    fitted = calibration.fit(learned(), evidence(400), tmp_path / calibration.FILE_NAME)
    unseen = evidence(2000, seed=5)
    sure = fitted.confidences(unseen.figures)
    for low in (0.0, 0.25, 0.5, 0.75):
        chosen = (sure >= low) & (sure < low + 0.25)
        assert abs(unseen.right[chosen].mean() - sure[chosen].mean()) < 0.1


@pytest.mark.parametrize("right", [True, False])
def test_thirty_answers_alike_are_no_proof(tmp_path: Path, right: bool) -> None:
    seen = evidence(30)
    alike = Evidence(seen.figures, np.full(30, right), seen.embeddings)
    fitted = calibration.fit(learned(), alike, tmp_path / calibration.FILE_NAME)
    sure = fitted.confidences(seen.figures)
    assert np.all((sure > 0.8) & (sure < 0.9999)) if right else np.all((sure < 0.2) & (sure > 1e-4))


def test_what_is_far_from_every_prototype_is_new(tmp_path: Path) -> None:
    rows = learned()
    fitted = calibration.fit(rows, evidence(50), tmp_path / calibration.FILE_NAME)
    assert fitted.novelty(rows).max() < fitted.novelty(rows + 20).min()
    assert fitted.novelty_percentiles(rows + 20).tolist() == [1.0] * len(rows)
    assert len(fitted.prototypes) == calibration.NUM_PROTOTYPES


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    seen = evidence(40)
    made = calibration.fit(learned(), seen, tmp_path / calibration.FILE_NAME)
    read = calibration.read(tmp_path)
    assert read.confidences(seen.figures).tolist() == made.confidences(seen.figures).tolist()
    assert read.novelty(seen.embeddings).tolist() == made.novelty(seen.embeddings).tolist()


def test_without_labels_it_orders_answers_by_their_tokens(tmp_path: Path) -> None:
    seen = evidence(40)
    made = calibration.fit_unlabelled(seen, tmp_path / calibration.FILE_NAME)
    order = np.argsort(seen.figures[:, 0])
    assert np.all(np.diff(made.confidences(seen.figures)[order]) >= 0)
    assert json.loads((tmp_path / calibration.FILE_NAME).read_bytes())["source"] == "generated"


@pytest.mark.parametrize("content", [None, b"", b"{}", b'{"format": 2}'])
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / calibration.FILE_NAME).write_bytes(content)
    with pytest.raises(LayerRefused, match=r"no calibration\.json that"):
        calibration.read(tmp_path)
