"""What is free is what the machine and the container leave."""

from __future__ import annotations

from pathlib import Path

import pytest

from dizuo.core.memory import free_bytes


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"max": "1000", "current": "300"}, 700),
        ({"max": "1000", "current": "3000"}, 0),
        ({"max": "max", "current": "300"}, None),
        ({"max": "1000"}, None),
        ({}, None),
        ({"max": "1000", "current": "many"}, None),
        (
            {
                "max": "1000",
                "current": "900",
                "stat": "anon 100\ninactive_file 700\nactive_file 100",
            },
            800,  # what a large fetch left in the page cache is not taken
        ),
        ({"max": "1000", "current": "300", "stat": "inactive_file 900"}, 1000),
        ({"max": "1000", "current": "300", "stat": "anon 100"}, 700),
        ({"max": "1000", "current": "300", "stat": "odd"}, 700),
        ({"max": "1000", "current": "300", "stat": "inactive_file some"}, 700),
    ],
)
def test_a_container_may_have_less_than_its_machine(
    tmp_path: Path, files: dict[str, str], expected: int | None
) -> None:
    for name, content in files.items():
        (tmp_path / f"memory.{name}").write_text(f"{content}\n")
    if expected is None:
        assert free_bytes(tmp_path) > 10**8
    else:
        assert free_bytes(tmp_path) == expected
