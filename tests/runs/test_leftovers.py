"""What ended runs and killed hubs left goes; what is still somebody's stays."""

from __future__ import annotations

import os
from pathlib import Path

from tests.runs.conftest import WAIT_SECONDS, Bench

from dizuo.core.ids import new_id
from dizuo.runs import leftovers, service
from dizuo.runs.folder import RunFolder
from dizuo.runs.model import Run


def leave_work(folder: RunFolder) -> list[Path]:
    """Checkpoints and scratch, as a worker has them."""
    places = [folder.checkpoints, folder.path / "attempt-1" / "scratch"]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        (place / "weights").write_bytes(b"0" * 100)
    (folder.path / "attempt-1" / "log.txt").write_text("a worker's words")
    return places


def discard(bench: Bench) -> list[str]:
    with bench.context.database.reading() as session:
        return leftovers.discard_ended(session, bench.home)


def begun(bench: Bench) -> Run:
    """A run that is under way, as far as the database knows."""
    run = bench.submit()
    with bench.context.database.transaction() as session:
        return service.start(session, run.id, 0)


def test_work_of_an_ended_run_goes_and_its_log_stays(bench: Bench) -> None:
    run = bench.submit()
    bench.supervise().wait(run.id, WAIT_SECONDS)
    places = leave_work(bench.folder(run))
    assert discard(bench) == [run.id]
    assert not any(place.exists() for place in places)
    assert (bench.folder(run).path / "attempt-1" / "log.txt").exists()
    assert discard(bench) == []


def test_work_of_runs_that_have_not_ended_stays(bench: Bench) -> None:
    running, waiting = begun(bench), bench.submit()
    places = [*leave_work(bench.folder(running)), *leave_work(bench.folder(waiting))]
    assert discard(bench) == []
    assert all(place.exists() for place in places)


def test_work_of_an_ended_run_stays_while_a_process_holds_its_lock(bench: Bench) -> None:
    run = bench.submit()
    bench.cancel(run)
    places = leave_work(bench.folder(run))
    lock = bench.folder(run).acquire()
    assert lock is not None
    assert discard(bench) == []
    assert all(place.exists() for place in places)
    os.close(lock)
    assert discard(bench) == [run.id]


def test_a_folder_of_which_nobody_knows_stays(bench: Bench) -> None:
    places = leave_work(RunFolder(bench.home / "runs" / new_id()))
    assert discard(bench) == []
    assert all(place.exists() for place in places)


def test_half_unpacked_models_go_and_runs_stay(bench: Bench) -> None:
    run = begun(bench)
    places = leave_work(bench.folder(run))
    model = bench.home / "runs" / ".inspect-abc" / "model"
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"0" * 100)
    assert leftovers.clear_inspections(bench.home) == 1
    assert not model.parent.exists()
    assert all(place.exists() for place in places)
    assert leftovers.clear_inspections(bench.home) == 0


def test_the_first_start_counts_and_waiting_runs_have_none(bench: Bench) -> None:
    bench.submit()
    with bench.context.database.reading() as session:
        assert leftovers.started_ms(service.unfinished(session)) is None
    first, second = begun(bench), begun(bench)
    assert first.started_ms is not None
    with bench.context.database.transaction() as session:
        service.fail(session, second.id, 1, {"code": "x", "message": "y"})
        service.requeue(session, first.id, 1, lost=True, reason="gone")
        assert leftovers.started_ms(service.unfinished(session)) == first.started_ms
