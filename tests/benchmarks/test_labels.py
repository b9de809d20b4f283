"""Labels against what a drift took: real parts in the small, and what is concluded of curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.labels import Plan, _different, conclude, measure
from benchmarks.rig import curves
from benchmarks.rig.curves import Curve, code_digest
from benchmarks.rig.meters import CHANGES, NUM_FRAMES, frames
from benchmarks.rig.reviewing import Desk
from tests.benchmarks.test_measurements import last_line
from tests.families.vision import factory

from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput
from dizuo.datasets.content import from_wire, input_digest
from dizuo.demo.meter.digits import split_digits
from dizuo.edge.wire import Direction
from dizuo.families.vision.runtime import open_engine

NUM_ROWS = 100


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Intervals are there, only rougher."""
    monkeypatch.setattr(curves, "NUM_RESAMPLES", 100)


def right(*accuracies: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """One seed; of NUM_ROWS rows the first ones are right, at each size."""
    return np.asarray([[np.arange(NUM_ROWS) < NUM_ROWS * one for one in accuracies]])


def curve(
    sampler: tuple[float, ...],
    random: tuple[float, ...],
    name: str = "lens",
    family: str = "vision",
) -> Curve:
    """From all right before to nothing right after; sizes 100 and 200."""
    learned = {"sampler": right(*sampler), "random": right(*random)}
    return Curve(family, name, (100, 200), right(1.0)[:, 0], right(0.0)[:, 0], learned)


def test_labels_needed_are_interpolated() -> None:
    found = curve(sampler=(0.95, 0.97), random=(0.9, 1.0))
    assert found.goal == found.aimed_at == 0.95
    assert found.needed("sampler") == pytest.approx(100)
    assert found.needed("random") == pytest.approx(150)
    assert found.ratio == pytest.approx(1.5)


def test_a_dip_is_taken_for_chance() -> None:
    """Isotonic regression makes 0.9 and 0.8 the same 0.85."""
    found = curve(sampler=(0.9, 0.8), random=(0.5, 0.7))
    assert found.goal == pytest.approx(0.7)
    assert found.needed("sampler") == pytest.approx(100 * 0.7 / 0.85)


def test_what_was_measured_is_kept_whole(tmp_path: Path) -> None:
    made = replace(curve(sampler=(0.9, 0.8), random=(0.5, 0.7)), num_returned=(37,))
    path = tmp_path / "folder" / "kept.npz"
    made.write(path, code_digest())
    found = Curve.read(path, code_digest())
    assert found.as_dict() == made.as_dict()
    assert (found.sizes, found.num_returned) == ((100, 200), (37,))


def test_what_other_code_measured_is_refused(tmp_path: Path) -> None:
    made, path = curve(sampler=(0.9, 0.8), random=(0.5, 0.7)), tmp_path / "kept.npz"
    made.write(path, sha256_bytes(b"before"))
    with pytest.raises(InvalidInput, match=r"kept\.npz was measured by other code"):
        Curve.read(path, code_digest())
    path.write_bytes(b"cut off")
    with pytest.raises(InvalidInput, match="no curve"):
        Curve.read(path, code_digest())


def test_a_measurement_that_was_broken_off_goes_on_from_what_it_kept(tmp_path: Path) -> None:
    """All of it is there, so that nothing is measured: what comes is what was kept."""
    for seed in (1, 2):
        one = replace(curve(sampler=(0.9, 0.8), random=(0.5, 0.7)), num_returned=(seed,))
        one.write(tmp_path / f"vision-{seed}-lens-100-200.npz", code_digest())
    plan = Plan(("vision",), (100, 200), (1, 2), frozenset({"lens"}), 1, tmp_path)
    (found,) = measure(plan, tmp_path / "scratch")
    assert found.num_returned == (1, 2)
    assert len(found.usual) == 2


def test_where_random_misses_the_aim_the_most_it_reached_is_asked_for() -> None:
    found = curve(sampler=(0.8, 0.9), random=(0.4, 0.8))
    assert found.goal == pytest.approx(0.8)
    assert found.aimed_at == 0.95
    assert found.ratio == pytest.approx(2.0)
    assert found.as_dict()["random_reaches_aim"] is False


def test_a_sampler_that_misses_the_goal_has_a_bound_for_a_ratio() -> None:
    found = curve(sampler=(0.4, 0.6), random=(0.95, 1.0))
    assert found.needed("sampler") is None
    assert found.ratio == pytest.approx(0.5)
    result = conclude([found], {})
    assert "at most, on the drift lens" in result.unit


def test_the_aim_is_judged_by_the_worst_of_three_drifts_of_each_family() -> None:
    good = curve(sampler=(0.95, 1.0), random=(0.0, 0.95))
    text = [replace(good, family="text")] * 3
    bad = replace(curve(sampler=(0.95, 1.0), random=(0.95, 1.0)), drift="dusk")
    assert conclude([good, good, good, *text], {}).met is True
    assert conclude([good, bad, good, *text], {}).met is False
    assert "dusk of vision" in conclude([good, bad, good, *text], {}).unit
    assert conclude([good, good, good], {}).met is None
    assert conclude([good, good, *text], {}).met is None
    unreached = curve(sampler=(0.9, 0.9), random=(0.0, 0.9))
    assert conclude([good, good, unreached, *text], {}).met is None
    assert conclude([good, bad, unreached, *text], {}).met is False


def test_intervals_hold_the_ratio_and_are_the_same_each_time() -> None:
    found = curve(sampler=(0.97, 0.99), random=(0.9, 0.97)).as_dict()
    low, high = found["ratio_interval"]
    assert low <= found["ratio"] <= high
    assert low < high
    assert found == curve(sampler=(0.97, 0.99), random=(0.9, 0.97)).as_dict()
    point, below, above = found["labels"]["random"]["100"]
    assert below < point == 0.9 < above


def test_each_seeds_accuracies_are_told() -> None:
    one = curve(sampler=(0.8, 0.9), random=(0.4, 0.8))
    assert one.as_dict()["by_seed"] == [
        {"before": 1.0, "after": 0.0, "sampler": [0.8, 0.9], "random": [0.4, 0.8]}
    ]


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_each_change_of_the_camera_changes_every_frame(name: str) -> None:
    part = split_digits(1).stream
    seen = frames(part, CHANGES[name], 1)
    again = frames(part, CHANGES[name], 1)
    assert len(seen) == NUM_FRAMES
    assert np.array_equal(seen.images, again.images)
    changed = CHANGES[name](part.images, 1)
    assert changed.shape == part.images.shape
    assert np.all(np.any(changed != part.images, axis=(1, 2, 3)))


def test_a_reviewer_sees_what_the_sampler_let_out_in_the_order_of_the_queue(tmp_path: Path) -> None:
    rows = factory.shapes(60)
    built = factory.build(tmp_path, "base", rows, None)
    direction = Direction(
        served_as="shapes",
        name="shapes",
        version=1,
        digest=sha256_bytes(b"shapes"),
        family="vision",
        target="onnx",
    )
    engine = open_engine({"shapes": built.onnx}, threads=1)
    desk = Desk(engine, direction, tmp_path / "desk", seed=1)
    returned = desk.returned(factory.inverted(rows))
    order = desk.review_order(returned)
    engine.close()
    assert 0 < len(returned) <= len(rows)
    in_turn = sorted(returned, key=lambda sample: (sample.reason == "control", sample.digest))
    assert order == [input_digest(from_wire(sample.row)) for sample in in_turn]


@pytest.mark.slow
def test_both_sides_learn_from_as_many_labels() -> None:
    said = last_line("benchmarks.labels", "--seeds", "1", "--size", "30", "--drift", "lens")
    (figure,) = said["figures"]
    assert {side: list(sizes) for side, sizes in figure["labels"].items()} == {
        "sampler": ["30"],
        "random": ["30"],
    }
    assert figure["before"][0] > 0.9 > figure["after"][0] > 0.4
    assert figure["num_returned"][0] > 30
    assert said["met"] is None
    assert said["measured"] == figure["ratio"]


def test_of_equal_inputs_the_first_is_labelled() -> None:
    rows = [{"prompt": text, "label": number} for number, text in enumerate("abacb")]
    assert [row["label"] for row in _different(rows)] == [0, 1, 3]
