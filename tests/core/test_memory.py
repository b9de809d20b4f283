"""What is free is what the machine and the container leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from dizuo.core.memory import free_bytes


def group(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")
    return folder


def test_a_container_bounds_what_is_free_but_for_its_page_cache(tmp_path: Path) -> None:
    cached = "anon 5\ninactive_file 300000\nactive_file 7"
    assert free_bytes(group(tmp_path, max="1000000", current="400000")) == 600_000
    assert free_bytes(group(tmp_path, stat=cached)) == 900_000
    assert free_bytes(group(tmp_path, current="2000000", stat="anon 5")) == 0


@pytest.mark.parametrize("limit", ["max", "", "none"])
def test_without_a_bound_the_machine_decides(tmp_path: Path, limit: str) -> None:
    assert free_bytes(tmp_path) > 10**8
    assert free_bytes(group(tmp_path, max=limit, current="1")) > 10**8
