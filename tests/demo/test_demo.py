"""The README's first command, run as it is: the whole loop with real parts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run_demo(folder: Path, *arguments: str) -> dict[str, Any]:
    """The report of a demo that ended well; it holds itself to what it promises."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DIZUO_")}
    done = subprocess.run(
        [sys.executable, "-m", "dizuo.cli.main", "demo", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, Any] = json.loads((folder / "demo-report.json").read_text(encoding="utf-8"))
    return report


def check(report: dict[str, Any], seed: int) -> None:
    assert (report["format"], report["seed"]) == (1, seed)
    assert [site["state"] for site in report["sites"]] == ["serving"] * 3
    kinds = [step["kind"] for step in report["trace"]]
    assert kinds[:3] == ["site", "release", "stack"]
    assert "sample" in kinds
    assert all({"kind", "id", "digest"} <= set(step) for step in report["trace"])


@pytest.mark.timeout(900)
def test_the_demo_and_a_second_run_that_builds_nothing_again(tmp_path: Path) -> None:
    first = run_demo(tmp_path)
    check(first, 1)
    assert not any(first["cached"].values())
    second = run_demo(tmp_path)
    check(second, 1)
    assert all(second["cached"].values())
    assert second["stacks"] == first["stacks"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [2, 3])
def test_other_seeds(tmp_path: Path, seed: int) -> None:
    check(run_demo(tmp_path, "--seed", str(seed)), seed)
