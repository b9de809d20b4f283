"""Work behind pages: done once, looked at by many, stopped."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dizuo.console.messages import Language, Words
from dizuo.console.sentences import error_sentence
from dizuo.console.work import NUM_LOOKS_EACH, Standing, Work, Works
from dizuo.core.errors import Conflict, Unavailable
from dizuo.core.progress import Progress

PATIENCE_SECONDS = 30


@pytest.fixture
def works() -> Iterator[Works]:
    opened = Works()
    yield opened
    opened.close()


def ended(work: Work) -> Standing:
    work.wait(PATIENCE_SECONDS)
    assert work.standing.has_ended
    return work.standing


def until_stopped(work: Work) -> bool:
    while work.wanted():
        threading.Event().wait(0.001)
    return True


def test_a_result_is_kept_and_nothing_is_done_twice(works: Works) -> None:
    work = works.start("a", "look", lambda _work: 7)
    assert ended(work).result == 7
    assert works.start("a", "look", lambda _work: 8) is work
    assert works.start("b", "look", lambda _work: 8) is not work
    assert works.find("a", work.id) is work
    assert works.find("b", work.id) is None
    assert works.find("a", "none") is None


def test_progress_is_seen_while_it_goes_on(works: Works) -> None:
    told, seen = threading.Event(), threading.Event()

    def do(work: Work) -> str:
        work.report(Progress("read", 5))
        told.set()
        assert seen.wait(PATIENCE_SECONDS)
        return "done"

    work = works.start("a", "look", do)
    assert told.wait(PATIENCE_SECONDS)
    assert work.standing == Standing(Progress("read", 5))
    assert works.start("a", "look", do) is work
    seen.set()
    assert ended(work).result == "done"


def test_what_failed_is_told_and_may_be_done_again(
    works: Works, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_work: Work) -> None:
        raise Conflict("It cannot be.")

    def fail(_work: Work) -> None:
        raise ZeroDivisionError("a fault of ours")

    refused = works.start("a", "refuse", refuse)
    assert str(ended(refused).error) == "It cannot be."
    assert works.start("a", "refuse", lambda _work: 1) is not refused
    failed = ended(works.start("a", "fail", fail))
    assert (failed.result, failed.error) == (None, None)
    assert "a fault of ours" in caplog.text


def test_what_was_stopped_is_begun_anew(works: Works) -> None:
    begun = threading.Event()

    def do(work: Work) -> bool:
        begun.set()
        while work.wanted():
            threading.Event().wait(0.001)
        return True

    work = works.start("a", "look", do)
    assert begun.wait(PATIENCE_SECONDS)
    work.stop()
    ended(work)
    again = works.start("a", "look", lambda _work: "new")
    assert ended(again).result == "new"


def test_it_goes_on_until_the_last_who_looks_has_left(works: Works) -> None:
    work = works.start("a", "look", until_stopped)
    work.enter()
    assert works.start("a", "look", until_stopped) is work
    work.enter()
    work.leave()
    assert work.wanted()
    work.leave()
    assert not work.wanted()
    ended(work)


def test_a_result_that_nobody_looks_at_any_more_is_kept(works: Works) -> None:
    work = works.start("a", "look", lambda _work: 7)
    work.enter()
    ended(work)
    work.leave()
    assert works.start("a", "look", lambda _work: 8) is work


def test_looks_keep_no_import_waiting_and_nobody_has_too_many(works: Works) -> None:
    for person in ("ann", "bo"):
        own = [
            works.look("a", f"{person} {number}", until_stopped, person)
            for number in range(NUM_LOOKS_EACH)
        ]
        assert works.look("a", f"{person} 0", until_stopped, person) is own[0]
        with pytest.raises(Unavailable) as refused:
            works.look("a", "one more", until_stopped, person)
        told = error_sentence(Words(Language.CHINESE), refused.value)
        assert told.startswith(f"您发起的 {NUM_LOOKS_EACH} 个比较或预览仍在进行。请关闭")
    assert works.look("a", "ann 0", until_stopped, "bo").looker == "ann"
    assert ended(works.start("a", "add", lambda _work: 7)).result == 7
    own[0].stop()
    ended(own[0])
    assert works.look("a", "one more", until_stopped, "bo").looker == "bo"


def test_what_waits_for_a_thread_says_so(works: Works) -> None:
    under_way = [works.start("a", str(number), until_stopped) for number in range(2)]
    waiting = works.start("a", "later", lambda _work: 7)
    assert waiting.standing == Standing(is_waiting=True)
    under_way[0].stop()
    assert ended(waiting) == Standing(has_ended=True, result=7)


def test_what_has_not_begun_when_the_hub_ends_never_does() -> None:
    works, begun = Works(), threading.Event()
    under_way = [works.start("a", str(number), until_stopped) for number in range(2)]
    waiting = works.start("a", "later", lambda _work: begun.set())
    works.close()
    for work in under_way:
        ended(work)
    assert not begun.is_set()
    assert not waiting.standing.has_ended


def test_only_so_much_is_kept(works: Works) -> None:
    first = works.start("a", "0", lambda _work: 1)
    ended(first)
    for number in range(1, 70):
        ended(works.start("a", str(number), lambda _work: 1))
    assert works.find("a", first.id) is None
