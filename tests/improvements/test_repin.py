"""Moving pins must change pins only."""

from __future__ import annotations

import pytest
from ruamel.yaml import YAML

from dizuo.improvements.errors import ImprovementRefused
from dizuo.improvements.repin import repin

RECIPE = """\
# a comment that its author cares about
name: meter-reading-site3
data:
  train: meter-site3@1   # the labelled samples
  replay: {dataset: meter-digits@4, share: 0.2}
gates:
  - {suite: meter-site3-test@1, metric: accuracy, at_least: 0.85}
  - {suite: meter-digits-test@2, metric: accuracy, drop_at_most: 0.05}
method: {kind: lora, rank: 8}
"""


def test_moves_the_named_pins_and_nothing_else() -> None:
    moved = repin(RECIPE, {"meter-site3": 7, "meter-site3-test": 8})
    expected = RECIPE.replace("meter-site3@1 ", "meter-site3@7 ").replace(
        "meter-site3-test@1", "meter-site3-test@8"
    )
    assert moved == expected


@pytest.mark.parametrize("text", ["name@x", "plain", "name@", "@3", "other@2"])
def test_leaves_other_strings_alone(text: str) -> None:
    recipe = f"description: {text!r}\n"
    assert repin(recipe, {"name": 5}) == recipe


@pytest.mark.parametrize("written", ['"calls@1"', "'calls@1'", "calls@1", r'"calls\x401"'])
def test_moves_pins_however_they_are_written(written: str) -> None:
    moved = repin(f"data: {{train: {written}}}\n", {"calls": 12})
    assert YAML(typ="safe").load(moved) == {"data": {"train": "calls@12"}}


def test_refuses_what_is_not_yaml() -> None:
    with pytest.raises(ImprovementRefused):
        repin("a: [1, 2", {})
