"""Samples on disk: once each, oldest first, gone only when the hub has answered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dizuo.agent.outbox import Leaving, Outbox, encode_sample
from dizuo.core.digests import sha256_bytes
from dizuo.edge.wire import Sample, sample_digest


def sample(number: int, *, at: int = 1000, size: int = 0) -> Sample:
    row = {"value": number, "photo": "x" * size}
    stack = sha256_bytes(b"stack")
    return Sample(
        digest=sample_digest(row, stack),
        family="scales",
        served_as="meter",
        stack_digest=stack,
        row=row,
        answer="high",
        confidence=0.5,
        reason="control",
        taken_ms=at,
    )


def put(outbox: Outbox, *samples: Sample) -> None:
    outbox.put([Leaving(one, encode_sample(one), "It may.") for one in samples])


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


def test_an_empty_outbox_needs_no_folder(outbox: Outbox, tmp_path: Path) -> None:
    assert (outbox.waiting(), outbox.count(), outbox.size_bytes()) == ([], 0, 0)
    assert not (tmp_path / "outbox").exists()


def test_oldest_first_and_back_as_it_was(outbox: Outbox) -> None:
    late, early = sample(1, at=99_999_999_999), sample(2, at=5)
    put(outbox, late, early)
    waiting = outbox.waiting()
    assert [outbox.read(item) for item in waiting] == [early, late]
    assert outbox.size_bytes() == sum(len(encode_sample(one)) for one in (late, early))
    assert outbox.holds(late.digest)
    outbox.remove(waiting[:1])
    assert outbox.count() == 1
    assert not outbox.holds(early.digest)
    outbox.remove(waiting)  # again is harmless
    assert (outbox.count(), outbox.size_bytes()) == (0, 0)


def test_it_knows_after_a_start_what_waits(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox, sample(1), sample(2))
    (tmp_path / "outbox" / "notes.json").write_text("{}")  # not ours: left alone
    again = Outbox(tmp_path / "outbox")
    assert again.waiting() == outbox.waiting()
    assert again.size_bytes() == outbox.size_bytes()


def test_queueing_again_is_queueing_once(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox, sample(1), sample(1, at=2000))
    put(outbox, sample(1, at=3000))
    assert outbox.count() == len(list(tmp_path.rglob("*.json"))) == 1
    assert outbox.size_bytes() == len(encode_sample(sample(1)))


def test_a_file_that_is_no_sample_is_dropped(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox, sample(1))
    (path,) = (tmp_path / "outbox").iterdir()
    path.write_bytes(b'{"digest": 3}')
    (item,) = outbox.waiting()
    assert outbox.read(item) is None
    assert outbox.count() == 0


def test_samples_are_closed_to_others(outbox: Outbox, tmp_path: Path) -> None:
    put(outbox, sample(1))
    (path,) = (tmp_path / "outbox").iterdir()
    assert path.stat().st_mode & 0o077 == 0


WRITER = """
import sys
from pathlib import Path
from tests.agent.test_outbox import Outbox, put, sample
outbox = Outbox(Path(sys.argv[1]))
for number in range(100000):
    put(outbox, sample(number, at=number, size=20000))
    print(number, flush=True)
"""


def test_a_kill_leaves_whole_samples_only(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path / "outbox")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{Path.cwd()}:{os.environ['PYTHONPATH']}"},
    )
    assert writer.stdout is not None
    for _ in range(20):
        last = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    outbox = Outbox(tmp_path / "outbox")
    found = [outbox.read(item) for item in outbox.waiting()]
    assert None not in found
    assert len(found) > last
    assert found[: last + 1] == [sample(n, at=n, size=20000) for n in range(last + 1)]
    assert not list((tmp_path / "outbox").glob(".*.tmp"))
