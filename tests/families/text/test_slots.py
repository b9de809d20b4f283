"""How many tokens a slot has."""

from __future__ import annotations

import pytest

from dizuo.families.text.slots import cached_tokens, window


@pytest.mark.parametrize(
    ("wanted", "context_length", "found"),
    [
        (2048, 40_960, 2048),
        (100, 512, 256),
        (256, 512, 256),
        (257, 512, 512),
        (2100, 2200, 2200),
        (100, 128, 128),
        (5000, 128, 128),
    ],
)
def test_a_slot_is_a_multiple_up_to_what_the_model_reads(
    wanted: int, context_length: int, found: int
) -> None:
    assert window(wanted, context_length) == found


def test_memory_is_kept_for_whole_steps() -> None:
    assert [cached_tokens(wanted) for wanted in (1, 128, 256, 257)] == [256, 256, 256, 512]
