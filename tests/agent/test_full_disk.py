"""A disk with no byte left, in the middle of an update: a file system of its own that is filled."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.agent_process import AgentProcess, install
from tests.agent.hub_simulator import PATIENCE_SECONDS, HubSimulator
from tests.agent.stacks import BALLAST_BYTES, build_base
from tests.agent.test_kills import Arrange, held, staging
from tests.agent.test_updates import fell_back
from tests.conftest import lacking

DISK_BYTES = 16 * BALLAST_BYTES
PAGE_BYTES = 4096


@contextlib.contextmanager
def mounted(directory: Path) -> Iterator[None]:
    """A file system of `DISK_BYTES` on this folder."""
    directory.mkdir()
    options = f"size={DISK_BYTES},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        lacking(f"no file system can be mounted here ({done.stderr.strip()}); run as root")
    try:
        yield
    finally:  # lazily: an engine whose agent was killed may take a moment to leave its log
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.fixture
def agent(tmp_path: Path, hub: HubSimulator) -> Iterator[AgentProcess]:
    """A site whose folder is on a small disk of its own."""
    with mounted(tmp_path / "agent"):
        process = AgentProcess(tmp_path / "agent", hub)
        process.join()
        yield process
        process.kill()


@contextlib.contextmanager
def full_disk(agent: AgentProcess) -> Iterator[None]:
    """Not a page is left, and the agent has met that, before the block begins; then there is room
    again."""
    filler = agent.home.root / "filler"
    deadline = time.monotonic() + PATIENCE_SECONDS
    with filler.open("wb", buffering=0) as stream:
        while "status.json cannot be written: [Errno 28]" not in agent.log():
            assert time.monotonic() < deadline, agent.log()
            with contextlib.suppress(OSError):
                while stream.write(b"x" * PAGE_BYTES):
                    pass
            time.sleep(0.002)  # what the agent gives back meanwhile is taken in the next round
    yield
    filler.unlink()


@pytest.mark.parametrize(
    ("step", "arrange"),
    [("fetching", held("/v2/.*/blobs/")), ("staging", staging)],
    ids=["fetching", "staging"],
)
def test_a_disk_that_is_full(
    agent: AgentProcess, hub: HubSimulator, step: str, arrange: Arrange
) -> None:
    install(agent, hub)
    hub.base = build_base(hub.layout, hub.home / "work", name="other")
    with contextlib.ExitStack() as until_told:
        with arrange(agent, hub, -1.0):
            until_told.enter_context(full_disk(agent))
        heard = hub.wait_for("site3", fell_back)
        assert heard.error is not None
        assert (heard.error.step, heard.error.code) == (step, "disk_full")
        assert agent.sides(3.0) == ["high"]
        assert agent.home.read_active().generation == 1
    agent.wait_until_serves(2)
    assert agent.sides(3.0) == ["low"]
