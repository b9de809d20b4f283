"""What waits for the sampler: bounds, and the places of the control share."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.agent.test_sampler import DIRECTION, DULL

from dizuo.agent import sampler_queue
from dizuo.agent.sampler import SCORED_SHARE, Chosen, Reason
from dizuo.agent.sampler_queue import BATCH_LENGTH, QUEUE_LENGTH, Dropped, SamplerQueue

SCORED_PLACES = int(QUEUE_LENGTH * SCORED_SHARE) + 1


def chosen(*reasons: Reason, body: bytes = b"") -> Chosen:
    return Chosen(DIRECTION, body, tuple((i, reason, DULL) for i, reason in enumerate(reasons)))


def reasons(batch: list[Chosen]) -> list[tuple[Reason, ...]]:
    return [tuple(reason for _, reason, _ in one.rows) for one in batch]


def test_the_control_share_is_taken_first_and_the_rest_in_order() -> None:
    queue = SamplerQueue()
    for one in (("novel",), ("uncertain",), ("uncertain", "control"), ("control",)):
        assert not queue.put(chosen(*one))
    assert queue.backlog == 4
    batch = queue.take()
    assert reasons(batch) == [("uncertain", "control"), ("control",), ("novel",), ("uncertain",)]
    assert queue.backlog == 4
    queue.done(batch)
    assert queue.backlog == 0


def test_scored_rows_leave_places_to_the_control_share() -> None:
    queue = SamplerQueue()
    dropped = Dropped()
    for _ in range(QUEUE_LENGTH):
        dropped += queue.put(chosen("uncertain"))
    assert queue.backlog == SCORED_PLACES
    assert dropped == {("meter", "uncertain"): QUEUE_LENGTH - SCORED_PLACES}
    mixed = queue.put(chosen("uncertain", "control", "novel"))
    assert mixed == {("meter", "uncertain"): 1, ("meter", "novel"): 1}
    while not queue.put(chosen("control")):
        pass
    assert queue.backlog == QUEUE_LENGTH
    assert reasons(queue.take())[0] == ("control",)


def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_queue, "QUEUE_BYTES", 1000)
    queue = SamplerQueue()
    assert not queue.put(chosen("uncertain", body=b" " * 5000))  # alone, however large
    assert queue.put(chosen("control", body=b" "))
    queue.done(queue.take())
    assert queue.size_bytes == 0
    assert not queue.put(chosen("uncertain", body=b" " * 800))
    assert queue.put(chosen("uncertain", body=b" "))
    assert queue.put(chosen("control", body=b" " * 201))
    assert not queue.put(chosen("control", body=b" " * 200))
    assert (queue.backlog, queue.size_bytes) == (2, 1000)


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler_queue, "BATCH_BYTES", 1000)
    queue = SamplerQueue()
    for size in (5000, 600, 400, 1):
        queue.put(chosen("novel", body=b" " * size))
    assert [len(queue.take()) for _ in range(3)] == [1, 2, 1]
    for _ in range(BATCH_LENGTH + 1):
        queue.put(chosen("novel"))
    assert [len(queue.take()) for _ in range(2)] == [BATCH_LENGTH, 1]


def test_whoever_takes_waits_until_there_is_something_or_it_is_closed() -> None:
    queue, taken = SamplerQueue(), []

    def take_all() -> None:
        while batch := queue.take():
            taken.extend(batch)
            queue.done(batch)

    thread = threading.Thread(target=take_all)
    thread.start()
    for _ in range(100):
        queue.put(chosen("control"))
    queue.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(taken) == 100


@given(
    st.lists(
        st.one_of(
            st.lists(st.sampled_from(["uncertain", "novel", "control"]), min_size=1, max_size=3),
            st.just(None),
        ),
        max_size=500,
    )
)
def test_every_row_is_kept_or_told_of(steps: list[list[Reason] | None]) -> None:
    queue = SamplerQueue()
    put, dropped, kept = Dropped(), Dropped(), Dropped()
    for step in [*steps, None, None, None, None]:
        if step is not None:
            put += chosen(*step).count()
            dropped += queue.put(chosen(*step, body=b"x"))
        elif queue.backlog:
            batch = queue.take()
            for one in batch:
                kept += one.count()
            queue.done(batch)
        assert queue.backlog == queue.size_bytes <= QUEUE_LENGTH
    assert queue.backlog == 0
    assert put == kept + dropped
