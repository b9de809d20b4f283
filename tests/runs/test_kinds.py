"""Finding kinds of runs by entry point."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dizuo.runs.errors import UnknownRunKind
from dizuo.runs.kinds import choose_kind, installed_kinds, load_kind


def test_kind_of_a_stranger_is_found_like_a_built_in_one(counting_installed: None) -> None:
    assert load_kind("counting").name == "counting"
    assert {"counting", "tune", "gate", "import"} <= installed_kinds().keys()
    assert all(kind.name == name for name, kind in installed_kinds().items())


def test_unknown_kind_is_refused_with_those_there_are(counting_installed: None) -> None:
    with pytest.raises(UnknownRunKind, match="counting, gate, import, tune"):
        load_kind("brew")
    with pytest.raises(UnknownRunKind, match="Known kinds: none"):
        choose_kind({}, "tune")


def test_hub_side_of_the_kinds_does_not_load_pytorch() -> None:
    script = (
        "import sys; from dizuo.runs.kinds import installed_kinds; installed_kinds();"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "False\n"
