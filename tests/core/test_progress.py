"""Progress events."""

from __future__ import annotations

from dizuo.core.progress import Progress, silent


def test_the_json_form_makes_the_same_event() -> None:
    event = Progress("train", 3, 10, "step", "epoch 1", {"loss": 0.5})
    assert Progress(**event.as_dict()) == event


def test_the_silent_reporter_takes_anything() -> None:
    silent(Progress("fetch"))
