"""The README's first command, run as it is: the whole loop with real parts; and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from tests.improvements.conftest import until

from dizuo.client.hub import HubClient
from dizuo.demo.hotline.story import RANDOM
from dizuo.demo.hotline.story import SMALL as SMALL_SIZES
from dizuo.demo.story import trace_of

ROOT = Path(__file__).parents[2]
DIZUO = (sys.executable, "-m", "dizuo.cli.main")


def environment() -> dict[str, str]:
    """Without settings of the person who runs the tests, and of the `make` that may run them."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("DIZUO_", "MAKE"))}


def run(folder: Path, *command: str) -> str:
    """What a command that ended well said."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


SITES = ("site1", "site2", "site3")


def report_of(folder: Path, seed: int, *, sites: Sequence[str] = SITES) -> dict[str, Any]:
    """The report of a demo that ended well; it holds itself to what it promises."""
    report: dict[str, Any] = json.loads((folder / "demo-report.json").read_text(encoding="utf-8"))
    assert (report["format"], report["seed"]) == (1, seed)
    found = [(site["name"], site["state"]) for site in report["sites"]]
    assert found == [(name, "serving") for name in sites]
    traces = [trace for name in ("trace", "text_trace") if (trace := report[name])]
    stories = [report[name] for name in ("vision", "text") if report[name]]
    assert len(traces) == len(stories)
    assert all(story["data"] for story in stories)
    for trace in traces:
        kinds = [step["kind"] for step in trace]
        assert kinds[:3] == ["site", "release", "stack"]
        assert "sample" in kinds
        assert all({"kind", "id", "digest"} <= set(step) for step in trace)
    return report


def make_demo(folder: Path, *more: str) -> str:
    """`make demo` in a folder with what its rule looks at, in an environment that is installed
    already: the one that runs this test."""
    for name in ("requirements.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "venv").mkdir()
    (folder / "venv" / "bin").symlink_to(Path(sys.executable).parent)
    (folder / "venv" / ".installed").touch()
    return run(folder, "make", "--file", str(ROOT / "Makefile"), "demo", "VENV=venv", *more)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def ended(pids: list[int]) -> Iterator[None]:
    """End these processes when the block ends, whatever it came to."""
    try:
        yield
    finally:
        for pid in pids:
            if is_running(pid):
                os.kill(pid, signal.SIGTERM)
        until(lambda: not any(map(is_running, pids)))


@pytest.mark.timeout(3000)
def test_a_story_and_a_second_run_that_builds_nothing_again_and_is_kept(tmp_path: Path) -> None:
    said = make_demo(tmp_path, "STORY=meter")
    first = report_of(tmp_path, 1)
    assert not any(first["cached"].values())
    assert "Installing" not in said
    assert "[13/13]" in said

    said = run(tmp_path, *DIZUO, "demo", "--story", "meter", "--keep")
    (line,) = re.findall(r"End them with: kill ([\d ]+)", said)
    pids = [int(pid) for pid in line.split()]
    with ended(pids):
        second = report_of(tmp_path, 1)
        assert all(second["cached"].values())
        assert second["stacks"] == first["stacks"]
        assert_kept(said, pids)
    refused = [pid for pid in pids if is_running(pid)]
    assert refused == []


SMALL = ("demo", "--story", "hotline", "--small")
FOUND_AGAIN = ("hotline-base", "government", "harbin-hotline", "shenzhen-hotline")


@pytest.mark.timeout(900)
def test_the_hotline_with_few_tickets(tmp_path: Path) -> None:
    said, pids = told_in_the_small(tmp_path)
    with ended(pids):
        report = report_of(tmp_path, 1, sites=["hotline"])
        assert_told_in_the_small(said, report)
        assert not any(report["cached"].values())
        assert_kept(said, pids, ["hotline"])
        assert_updates_came_alone(small_hub(tmp_path), num_tellings=1)
        assert_both_learned_from_as_many(small_hub(tmp_path), report["text"]["num_labels"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_hotline_with_few_tickets_again_builds_little_again(tmp_path: Path) -> None:
    run(tmp_path, *DIZUO, *SMALL)
    first = report_of(tmp_path, 1, sites=["hotline"])
    said, pids = told_in_the_small(tmp_path)
    with ended(pids):
        second = report_of(tmp_path, 1, sites=["hotline"])
        assert_told_in_the_small(said, second)
        # The site may return a sample more than before, which the layers of the winter learn then.
        assert all(second["cached"][name] for name in FOUND_AGAIN)
        assert [one for one in second["stacks"] if one["name"] in FOUND_AGAIN] == [
            one for one in first["stacks"] if one["name"] in FOUND_AGAIN
        ]
        assert_updates_came_alone(small_hub(tmp_path), num_tellings=2)
        assert_both_learned_from_as_many(small_hub(tmp_path), second["text"]["num_labels"])


def told_in_the_small(folder: Path) -> tuple[str, list[int]]:
    """What the demo said, and the processes that it was to leave."""
    said = run(folder, *DIZUO, *SMALL, "--keep")
    (line,) = re.findall(r"End them with: kill ([\d ]+)", said)
    return said, [int(pid) for pid in line.split()]


def small_hub(folder: Path) -> Path:
    """The hub's home of a demo in the small."""
    return folder / ".dizuo-demo" / "seed-1-small" / "hub"


def assert_told_in_the_small(said: str, report: dict[str, Any]) -> None:
    """Each step was told once, though fewer samples came back than could have been labelled."""
    numbers = re.findall(r"^✓ \[(\d+)/(\d+)\]", said, re.MULTILINE)
    assert numbers == [(str(number), "17") for number in range(1, 18)]
    shares = [step for step in said.splitlines() if re.search(r"% of \d+ ", step)]
    assert len(shares) == 5
    assert all("made-up tickets" in step for step in shares)
    text = report["text"]
    assert report["small"]
    assert text["data"] == "synthetic"
    assert text["num_returned"] <= text["num_labels"] < SMALL_SIZES.labels
    assert text["num_test"] == SMALL_SIZES.test


def assert_updates_came_alone(home: Path, *, num_tellings: int) -> None:
    """No other rollout was on its way from the beginning of a loop until it was done."""
    known = json.loads((home / "credentials.json").read_bytes())
    with HubClient(known["url"], known["token"]) as hub:
        log = hub.audit(after=0, limit=1000)
    told = {
        "rollout.started": "begin",
        "rollout.finished": "arrive",
        "improvement.started": "loop",
        "improvement.finish": "done",
    }
    said = [told[entry["action"]] for entry in log if entry["action"] in told]
    two_cities_and_the_comparison = ["begin", "arrive"] * 3
    assert said == [*two_cities_and_the_comparison, "loop", "begin", "arrive", "done"] * (
        num_tellings
    )


def assert_both_learned_from_as_many(home: Path, num_labels: int) -> None:
    """What is served as the comparison has learned from as many random labels as the loop had."""
    known = json.loads((home / "credentials.json").read_bytes())
    with HubClient(known["url"], known["token"]) as hub:
        steps = trace_of(hub, "hotline", RANDOM)
    learned = [step["id"] for step in steps if step["kind"] == "dataset-version"]
    assert f"harbin-calls-random-{num_labels}@1" in learned


def assert_kept(said: str, pids: list[int], sites: Sequence[str] = SITES) -> None:
    """Everything that a kept demo names answers where it says, as the process it says."""
    told = re.findall(r"^  (\w+) +(http://\S+)  \(process (\d+)\)$", said, re.MULTILINE)
    assert [name for name, _, _ in told] == ["hub", *sites]
    assert [int(pid) for _, _, pid in told] == pids
    for name, address, _ in told:
        path = "api/v1/health" if name == "hub" else "v2/health/ready"
        assert httpx2.get(f"{address.rstrip('/')}/{path}", timeout=60).status_code == 200, name
    command = re.search(r"^  dizuo (--home \S+) account create NAME", said, re.MULTILINE)
    assert command, said
    run(Path.cwd(), *DIZUO, *command[1].split(), "account", "ls")


@contextmanager
def demo_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo whose words go to the file `said`; killed at the end if the test has not ended it."""
    command, path = [*DIZUO, "demo", "--story", "meter"], folder / "said"
    with path.open("wb") as said:
        popen = subprocess.Popen(command, cwd=folder, env=environment(), stdout=said, stderr=said)
    try:
        yield popen
    finally:
        popen.kill()
        popen.wait()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("event", ["hub/credentials.json", "hub/runs/*/attempt-1/lease"])
def test_a_demo_that_is_told_to_end_ends_all_that_it_started(tmp_path: Path, event: str) -> None:
    """Once when the hub comes up, once with three sites and a trainer at work."""
    home = tmp_path / ".dizuo-demo" / "seed-1"
    with demo_process(tmp_path) as demo:
        until(lambda: demo.poll() is not None or any(home.glob(event)), 300)
        started = psutil.Process(demo.pid).children(recursive=True)
        with ended([process.pid for process in started]):
            demo.send_signal(signal.SIGTERM)
            demo.send_signal(signal.SIGTERM)  # somebody who cannot wait
            assert demo.wait(120) == 1, (tmp_path / "said").read_text()
            assert started
            assert [one.pid for one in started if is_running(one.pid)] == []


@pytest.mark.slow
@pytest.mark.timeout(6000)
def test_both_stories_and_a_second_run_that_builds_nothing_again(tmp_path: Path) -> None:
    sites = (*SITES, "hotline")
    assert "[29/29]" in make_demo(tmp_path)
    first = report_of(tmp_path, 1, sites=sites)
    assert not any(first["cached"].values())
    make_demo(tmp_path)
    second = report_of(tmp_path, 1, sites=sites)
    assert all(second["cached"].values())
    assert second["stacks"] == first["stacks"]


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("seed", [2, 3])
def test_other_seeds(tmp_path: Path, seed: int) -> None:
    run(tmp_path, *DIZUO, "demo", "--seed", str(seed))
    report_of(tmp_path, seed, sites=(*SITES, "hotline"))
