"""The demo's processes are found dead when they are, and ended when the block ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from dizuo.demo.processes import Fleet, ProcessFailed, free_port, wait_until_answers


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_process_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    with Fleet(tmp_path) as fleet:
        process = fleet.start("broken", ["no-such-command"], {})
        with pytest.raises(ProcessFailed) as failed:
            wait_until_answers(process, f"http://127.0.0.1:{free_port()}/")
    assert "broken ended with status 2" in failed.value.message
    assert str(process.log) in failed.value.next_step


def test_leaving_ends_what_was_started(tmp_path: Path) -> None:
    home = tmp_path / "hub"
    with Fleet(tmp_path / "logs") as fleet:
        port = free_port()
        process = fleet.start("hub", ["up", "--home", str(home), "--port", str(port)], {})
        wait_until_answers(process, f"http://127.0.0.1:{port}/api/v1/health")
        assert is_alive(process.popen.pid)
    assert process.popen.returncode in (0, -signal.SIGTERM)
    assert not is_alive(process.popen.pid)


def test_keeping_leaves_it_running(tmp_path: Path) -> None:
    with Fleet(tmp_path / "logs") as fleet:
        port = free_port()
        arguments = ["up", "--home", str(tmp_path / "hub"), "--port", str(port)]
        process = fleet.start("hub", arguments, {})
        wait_until_answers(process, f"http://127.0.0.1:{port}/api/v1/health")
        fleet.keep = True
    assert is_alive(process.popen.pid)
    process.stop()
    assert not is_alive(process.popen.pid)
