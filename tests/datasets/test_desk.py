"""The labelling desk: no sample before two people, second opinions given blind, undo."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event
from tests.datasets.scene import sample, warehouse_in

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.errors import InvalidInput
from dizuo.core.transitions import TransitionRefused
from dizuo.database.engine import Database
from dizuo.datasets import desk, opinions, review, samples
from dizuo.datasets.desk import CLAIM_MS, SECOND_WITHIN_MS, SKIP_MS, Held, Look, Reviewer
from dizuo.datasets.errors import ClaimLost, NothingToUndo, ReviewConflict
from dizuo.datasets.model import Sample
from dizuo.datasets.review import Collection, Verdict
from dizuo.datasets.samples import SampleFilter, Tally

ANN, BO, MEI = (Reviewer(f"person:{name}") for name in ("ann", "bo", "mei"))


class Room:
    """A hub with a desk, and a clock that is set by hand."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database, self.home = database, home
        self.now_ms = 1_800_000_000_000

    def receive(self, number: int, **changes: Any) -> list[str]:
        start = self.count()
        sent = [sample({"text": f"call {start + one}"}, **changes) for one in range(number)]
        samples.receive(self.database, self.home, "site3", sent)
        return sorted(one.digest for one in sent)

    def count(self) -> int:
        with self.database.reading() as session:
            return sum(samples.count(session, SampleFilter()).values())

    def take(self, who: Reviewer, wanted: SampleFilter | None = None, **more: Any) -> Held | None:
        with self.database.transaction() as session:
            return desk.take(session, wanted or SampleFilter(), who, **more)

    def held(self, who: Reviewer, **more: Any) -> Held:
        found = self.take(who, **more)
        assert found is not None
        return found

    def decide(self, held: Held, label: Any) -> Look:
        with self.database.transaction() as session:
            return desk.decide(session, self.home, held.token, label)

    def label(self, who: Reviewer, label: Any) -> str:
        held = self.held(who)
        self.decide(held, label)
        return held.sample.digest

    def skip(self, held: Held) -> None:
        with self.database.transaction() as session:
            desk.skip(session, held.token)

    def undo(self, who: Reviewer) -> tuple[Held, Any]:
        with self.database.transaction() as session:
            return desk.undo(session, who)

    def sample(self, key: str) -> Sample:
        with self.database.reading() as session:
            return samples.find(session, key)

    def actions(self) -> list[str]:
        with self.database.reading() as session:
            assert audit.verify(session).ok
            return [entry.action for entry in audit_store.stream(session)]


@pytest.fixture
def room(any_database: Database, home: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    opened = Room(any_database, home)
    for module in (desk, opinions, review):
        monkeypatch.setattr(module, "now_ms", lambda: opened.now_ms)
    return opened


def always(who: Reviewer) -> Reviewer:
    """The same person where every verdict gets a second opinion."""
    return Reviewer(who.name, second_share=1)


def test_of_many_who_ask_at_once_each_gets_another_sample(room: Room) -> None:
    room.receive(12)
    start, taken = threading.Barrier(8), []
    none = SampleFilter()

    def work(number: int) -> None:
        start.wait(30)
        held = room.take(Reviewer(f"person:{number}"), none)
        assert held is not None
        taken.append(held.sample.digest)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(taken) == len(set(taken)) == 8
    with room.database.reading() as session:
        assert desk.num_held(session, "default") == 8
        assert desk.num_held(session, "other") == 0


def test_many_who_label_a_whole_queue_at_once_label_each_sample_once(room: Room) -> None:
    room.receive(40)
    start, labelled = threading.Barrier(4), []

    def work(who: Reviewer) -> None:
        start.wait(30)
        while (held := room.take(who)) is not None:
            room.decide(held, "x")
            labelled.append(held.sample.digest)

    people = [Reviewer(f"person:{number}", second_share=0) for number in range(4)]
    threads = [threading.Thread(target=work, args=(who,)) for who in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(labelled) == len(set(labelled)) == 40
    assert room.actions().count("sample.reviewed") == 40


def test_the_queue_is_in_its_order_and_filtered(room: Room) -> None:
    chosen, chance = room.receive(2), room.receive(2, reason="control", served_as="other")
    assert [room.label(ANN, "x") for _ in range(4)] == [*chosen, *chance]
    assert room.take(ANN) is None
    [other] = room.receive(1, served_as="other")
    assert room.take(ANN, SampleFilter(served_as="reader")) is None
    held = room.take(ANN, SampleFilter(served_as="other"))
    assert held is not None
    assert held.sample.digest == other


def test_what_somebody_has_before_them_comes_again_and_belongs_to_the_newer_page(
    room: Room,
) -> None:
    room.receive(2)
    first, again = room.held(ANN), room.held(ANN)
    assert again.sample == first.sample
    with pytest.raises(ClaimLost), room.database.transaction() as session:
        desk.renew(session, first.token)
    with pytest.raises(ClaimLost):
        room.decide(first, "x")
    with room.database.transaction() as session:
        desk.release(session, first.token)  # the old page closes
    assert room.held(BO).sample != first.sample
    room.decide(again, "x")


def test_a_claim_runs_out_unless_it_is_renewed(room: Room) -> None:
    room.receive(1)
    held = room.held(ANN)
    assert room.take(BO) is None
    room.now_ms += CLAIM_MS - 1
    with room.database.transaction() as session:
        desk.renew(session, held.token)
    room.now_ms += CLAIM_MS - 1
    assert room.take(BO) is None
    room.now_ms += 1
    taken = room.held(BO)
    assert taken.sample == held.sample
    with pytest.raises(ClaimLost):
        room.decide(held, "x")
    room.now_ms += CLAIM_MS  # nobody else has taken it: who still has it may go on
    assert room.decide(taken, "y") is Look.FIRST


def test_a_released_sample_is_there_for_others(room: Room) -> None:
    room.receive(1)
    held = room.held(ANN)
    with room.database.transaction() as session:
        desk.release(session, held.token)
    assert room.held(BO).sample == held.sample


def test_a_skipped_sample_comes_back_to_the_same_person_only_later(room: Room) -> None:
    room.receive(2)
    first = room.held(ANN)
    with room.database.transaction() as session:
        desk.skip(session, first.token)
    with pytest.raises(ClaimLost), room.database.transaction() as session:
        desk.skip(session, first.token)
    second = room.held(ANN)
    assert second.sample != first.sample
    assert room.held(BO).sample == first.sample
    with room.database.transaction() as session:
        desk.skip(session, second.token)
    assert room.take(ANN) is None
    room.now_ms += SKIP_MS
    room.decide(room.held(BO), "x")
    assert room.held(ANN).sample == second.sample


def test_what_is_hidden_from_somebody_hides_nothing_behind_it(room: Room) -> None:
    digests = room.receive(7)
    for _ in range(3):
        room.skip(room.held(ANN))
    assert [room.held(who).sample.digest for who in (BO, MEI)] == digests[:2]
    seen = []
    while (held := room.take(ANN)) is not None:
        seen.append(held.sample.digest)
        room.skip(held)
    assert seen == digests[3:]


def test_of_those_that_wait_only_the_first_are_read(database: Database, home: Path) -> None:
    room = Room(database, home)
    room.receive(3)
    asked: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, given, *_more: asked.append((statement, given)),
    )
    room.held(ANN, looks=(Look.FIRST,))
    [(chosen, given)] = [one for one in asked if one[0].count("FROM samples") > 1]
    with database.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {chosen}", given).all()
    assert "ix_samples_queue (project_id=? AND state=?)" in str(plan)
    assert "samples_2 (project_id=? AND digest=?)" in str(plan)


def test_a_label_that_the_family_does_not_take_changes_nothing(room: Room) -> None:
    room.receive(1)
    held = room.held(ANN)
    with pytest.raises(InvalidInput):
        room.decide(held, "")
    assert room.held(ANN).sample == held.sample
    assert room.sample(held.sample.digest).state == "returned"


def test_the_last_verdict_can_be_taken_back(room: Room) -> None:
    one, two = room.receive(2)
    assert room.label(ANN, "x") == one
    room.now_ms += 1
    room.label(ANN, None)
    held, said = room.undo(ANN)
    assert (held.sample.digest, held.look, said) == (two, Look.FIRST, None)
    assert room.sample(two).state == "returned"
    held, said = room.undo(ANN)
    assert (held.sample.digest, said) == (one, "x")
    undone = room.sample(one)
    assert (undone.state, undone.label, undone.reviewer) == ("returned", None, "")
    assert undone.reviewed_ms is None
    with pytest.raises(NothingToUndo):
        room.undo(ANN)
    assert room.actions()[-2:] == ["sample.undone"] * 2
    assert room.decide(held, "y") is Look.FIRST


def test_what_others_said_and_what_is_used_is_not_taken_back(room: Room) -> None:
    [key] = room.receive(1)
    room.label(ANN, "x")
    with pytest.raises(NothingToUndo):
        room.undo(BO)
    with pytest.raises(ReviewConflict, match="person:ann"), room.database.transaction() as session:
        review.undo(session, key, BO.name)
    collection = Collection("calls", "words")
    review.collect(warehouse_in(room.database, room.home), room.home, collection, "operator:ann")
    with pytest.raises(NothingToUndo, match="into a dataset"):
        room.undo(ANN)
    with pytest.raises(TransitionRefused), room.database.transaction() as session:
        review.undo(session, key, ANN.name)


def test_a_second_opinion_is_given_blind_and_the_first_verdict_counts(room: Room) -> None:
    [key] = room.receive(1)
    room.label(ANN, "x")
    assert room.take(always(ANN)) is None
    held = room.held(always(BO))
    assert (held.look, held.sample.digest) == (Look.SECOND, key)
    assert (held.sample.label, held.sample.reviewer, held.sample.reviewed_ms) == (None, "", None)
    assert held.said == ()
    assert room.decide(held, "y") is Look.SECOND
    assert room.sample(key).label == "x"
    assert room.take(always(MEI)) is None  # two opinions are enough
    with pytest.raises(ReviewConflict, match="second reviewer has looked"):
        room.undo(ANN)


def test_a_second_opinion_can_be_taken_back_until_it_is_settled(room: Room) -> None:
    room.receive(1)
    room.label(ANN, "x")
    room.now_ms += 1
    room.decide(room.held(always(BO)), "y")
    held, said = room.undo(always(BO))
    assert (held.look, said) == (Look.SECOND, "y")
    with pytest.raises(ReviewConflict, match="looks at that sample now"):
        room.undo(ANN)
    room.decide(held, "z")
    room.decide(room.held(MEI, looks=[Look.THIRD]), "x")
    with pytest.raises(NothingToUndo, match="settled"):
        room.undo(BO)


def test_a_disagreement_waits_for_somebody_else(room: Room) -> None:
    [key] = room.receive(1)
    room.label(ANN, "x")
    room.decide(room.held(always(BO)), None)
    with room.database.reading() as session:
        assert opinions.num_open(session, "default") == 1
    for who in (ANN, BO):
        assert room.take(who, looks=[Look.THIRD]) is None
        with pytest.raises(ReviewConflict), room.database.transaction() as session:
            opinions.settle(session, room.home, key, "z", who.name, project_id="default")
    held = room.held(MEI, looks=[Look.THIRD])
    assert sorted(held.said, key=str) == [None, "x"]
    assert room.decide(held, "z") is Look.THIRD
    settled = room.sample(key)
    assert (settled.label, settled.reviewer) == ("z", MEI.name)
    with room.database.reading() as session:
        assert opinions.num_open(session, "default") == 0
    assert room.take(MEI, looks=[Look.THIRD]) is None
    assert room.actions()[-3:] == ["sample.second_opinion", "sample.reviewed", "sample.settled"]
    with pytest.raises(ReviewConflict):
        room.undo(MEI)


def test_who_agrees_settles_nothing(room: Room) -> None:
    [key] = room.receive(1)
    room.label(ANN, 7)
    room.decide(room.held(always(BO)), "7")  # as classes they are one
    with room.database.reading() as session:
        assert opinions.num_open(session, "default") == 0
    with pytest.raises(ReviewConflict), room.database.transaction() as session:
        opinions.settle(session, room.home, key, "z", MEI.name, project_id="default")
    with pytest.raises(ReviewConflict, match="already"), room.database.transaction() as session:
        opinions.give(session, room.home, key, "z", MEI.name, project_id="default")


def test_the_share_of_second_opinions_is_that_of_the_samples_and_of_new_verdicts(
    room: Room,
) -> None:
    keys = room.receive(200)
    with room.database.transaction() as session:
        for key in keys:
            review.judge(session, room.home, key, Verdict("x"), ANN.name)
    half = Reviewer(BO.name, second_share=0.5)
    given = []
    while (held := room.take(half)) is not None:
        room.decide(held, "x")
        given.append(held.sample.digest)
    assert given == [key for key in keys if int(key[-8:], 16) < 2**31]
    assert 70 <= len(given) <= 130
    assert room.take(Reviewer(MEI.name, second_share=0)) is None
    assert room.take(always(MEI)) is not None
    room.now_ms += SECOND_WITHIN_MS
    assert room.take(always(MEI)) is None


def test_agreement_is_told_for_each_stack(room: Room) -> None:
    said: dict[str, list[tuple[Any, Any]]] = {
        "yes": [("x", "x")] * 20 + [("x", "y")] * 5 + [("y", "x")] * 10 + [("y", "y")] * 15
    }
    said["form"] = [({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"a": 1}, {"a": 2})]
    for name, pairs in said.items():
        keys = room.receive(len(pairs), served_as=name)
        with room.database.transaction() as session:
            for key, (one, other) in zip(keys, pairs, strict=True):
                review.judge(session, room.home, key, Verdict(one), ANN.name)
                opinions.give(session, room.home, key, other, BO.name, project_id="default")
    with room.database.reading() as session:
        first, second = opinions.agreement(session, "default", limit=10)
        assert opinions.agreement(session, "other", limit=10) == []
        assert len(opinions.agreement(session, "default", limit=1)) == 1
    assert (first.served_as, first.num_pairs, first.num_agreeing) == ("yes", 50, 35)
    assert first.kappa == pytest.approx(0.4)  # the worked example of many textbooks
    assert (second.num_pairs, second.num_agreeing) == (2, 1)
    assert (second.num_class_pairs, second.kappa) == (0, None)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), st.integers(1, 50), max_size=9
    )
)
def test_kappa_is_one_only_where_all_agree(pairs: dict[tuple[str, str], int]) -> None:
    found = opinions.kappa(Counter(pairs))
    if found is None:
        assert len({word for pair in pairs for word in pair}) <= 1
    else:
        assert -1 <= found <= 1
        assert (found == pytest.approx(1)) == all(one == other for one, other in pairs)


def test_the_hub_knows_how_often_a_label_was_new(room: Room) -> None:
    room.receive(3, answer="7")
    room.receive(2, reason="control", answer={"a": 1, "b": [1]})
    for label in ("7", 7, "8"):
        room.label(ANN, label)
    room.label(ANN, {"b": [1], "a": 1})
    with room.database.reading() as session:
        found = samples.tallies(session, SampleFilter(state="used"))
        assert samples.tallies(session, SampleFilter(project_id="other")) == []
    assert found == [Tally("control", 1, 1, 0), Tally("uncertain", 0, 3, 1)]


def test_samples_are_counted_by_the_name_they_came_under(room: Room) -> None:
    room.receive(3, served_as="meter")
    room.receive(2, served_as="night")
    room.receive(1, served_as="other")
    with room.database.reading() as session:
        found = samples.count_by_name(session, ["meter", "night", "nothing"])
        assert samples.count_by_name(session, ["meter"], project_id="other") == {}
    assert found == {"meter": {"returned": 3}, "night": {"returned": 2}}


def test_known_values_are_those_of_the_project(room: Room) -> None:
    room.receive(1, served_as="b")
    room.receive(1, served_as="a")
    with room.database.reading() as session:
        assert samples.known(session, "served_as", "default", 10) == ["a", "b"]
        assert samples.known(session, "served_as", "default", 1) == ["a"]
        assert samples.known(session, "site", "default", 10) == ["site3"]
        assert samples.known(session, "site", "other", 10) == []
        assert samples.known(session, "reason", "default", 10) == ["uncertain"]
        assert samples.known(session, "reason", "other", 10) == []


@pytest.mark.parametrize("column", ["site", "served_as", "reason"])
def test_known_values_are_found_without_reading_every_sample(
    database: Database, column: Literal["site", "served_as", "reason"]
) -> None:
    """Each step is a search in an index, never a scan."""
    asked: list[tuple[str, Any]] = []
    event.listen(
        database.engine, "before_cursor_execute", lambda *told: asked.append((told[2], told[3]))
    )
    with database.reading() as session:
        samples.known(session, column, "default", 10)
        for statement, values in [told for told in asked if told[0] != "BEGIN DEFERRED"]:
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            steps = [row.detail for row in plan if "samples" in row.detail]
            assert steps
            assert all(step.startswith("SEARCH samples USING COVERING INDEX") for step in steps)
