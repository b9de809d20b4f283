"""UUIDv7: its form, its order, its uniqueness."""

from __future__ import annotations

import threading
import uuid

from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id


def test_is_a_uuid_of_version_7_and_the_rfc_variant() -> None:
    for _ in range(200):
        value = uuid.UUID(new_id())
        assert value.version == 7
        assert value.variant == uuid.RFC_4122


def test_carries_the_time_it_was_made() -> None:
    before = now_ms()
    value = uuid.UUID(new_id())
    assert before <= value.int >> 80 <= now_ms()


def test_ids_made_one_after_the_other_sort_in_that_order() -> None:
    made = [new_id() for _ in range(2000)]
    assert made == sorted(made)


def test_no_two_are_alike_across_threads() -> None:
    made: list[str] = []

    def make() -> None:
        made.extend(new_id() for _ in range(2000))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 8000
