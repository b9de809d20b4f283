"""What a measurement of learning after a drift needs of any family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.rig.learning import Course, Stack
from dizuo.families.base import Row


@dataclass(frozen=True, slots=True)
class Drift:
    """What a site sees changes.

    `stack` serves there and `course` makes its successor; rows carry their labels. `usual` and
    `changed` are held out, before and after; `stream` is what the site is asked after the change.
    """

    name: str
    stack: Stack
    course: Course
    usual: Sequence[Row]
    changed: Sequence[Row]
    stream: Sequence[Row]
