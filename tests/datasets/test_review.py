"""Review: one verdict a sample, and every reviewed sample in exactly one dataset version."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.datasets.scene import (
    ACTOR,
    add,
    base64_of,
    distinct_words,
    png,
    sample,
    warehouse_in,
    words,
)

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.errors import Conflict, InvalidInput
from dizuo.core.ids import new_id
from dizuo.core.transitions import TransitionRefused
from dizuo.database.engine import Database
from dizuo.datasets import review, samples, service
from dizuo.datasets.errors import NothingReviewed, ReviewConflict, SampleMissing, SourceRefused
from dizuo.datasets.model import Addition, Draft, Sample
from dizuo.datasets.review import Collection, Verdict
from dizuo.datasets.samples import SampleFilter
from dizuo.datasets.table import read_rows, read_sources

COLLECTION = Collection("site3", "words", site="site3")


class Desk:
    """A reviewer at a hub."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database, self.home = database, home
        self.warehouse = warehouse_in(database, home)

    def receive(self, *rows: dict[str, Any], **changes: Any) -> list[str]:
        sent = [sample(row, **changes) for row in rows]
        assert not samples.receive(self.database, self.home, "site3", sent).refused
        return [one.digest for one in sent]

    def judge(self, key: str, label: Any, *, correct: bool = False, actor: str = ACTOR) -> Sample:
        with self.database.transaction() as session:
            return review.judge(session, self.home, key, Verdict(label, correct), actor)

    def collect(self, collection: Collection = COLLECTION) -> Addition:
        return review.collect(self.warehouse, self.home, collection, ACTOR)

    def sample(self, key: str) -> Sample:
        with self.database.reading() as session:
            return samples.find(session, key)

    def states(self) -> dict[str, int]:
        with self.database.reading() as session:
            return samples.count(session, SampleFilter())

    def actions(self) -> list[str]:
        with self.database.reading() as session:
            assert audit.verify(session).ok
            return [entry.action for entry in audit_store.stream(session)]


@pytest.fixture
def desk(database: Database, home: Path) -> Desk:
    return Desk(database, home)


@pytest.fixture
def any_desk(any_database: Database, home: Path) -> Desk:
    return Desk(any_database, home)


def test_a_verdict_is_kept_and_the_same_again_changes_nothing(any_desk: Desk) -> None:
    one, two = any_desk.receive({"text": "abc"}, {"text": "def"})
    judged = any_desk.judge(one, "x")
    assert (judged.state, judged.label, judged.reviewer) == ("reviewed", "x", ACTOR)
    assert judged.reviewed_ms is not None
    assert any_desk.judge(one, "x", actor="operator:bob") == judged
    unusable = any_desk.judge(two, None)
    assert (unusable.state, unusable.label) == ("unusable", None)
    assert any_desk.judge(two, None) == unusable
    assert any_desk.actions() == ["samples.returned", "sample.reviewed", "sample.unusable"]


def test_another_verdict_is_a_conflict_unless_it_corrects(desk: Desk) -> None:
    [key] = desk.receive({"text": "abc"})
    desk.judge(key, "x")
    for label in ("y", None):
        with pytest.raises(ReviewConflict, match=r"operator:ann has already said .* 'x'"):
            desk.judge(key, label)
    assert desk.judge(key, "y", correct=True).label == "y"
    assert desk.judge(key, None, correct=True).state == "unusable"
    with pytest.raises(ReviewConflict, match="has already said that this sample is unusable"):
        desk.judge(key, "y")
    assert desk.judge(key, "z", correct=True).state == "reviewed"


def test_of_reviewers_at_once_one_is_first(any_desk: Desk) -> None:
    [key] = any_desk.receive({"text": "abc"})
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def work(label: str) -> None:
        start.wait(30)
        try:
            outcomes.append(any_desk.judge(key, label, actor=f"operator:{label}").label)
        except ReviewConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=work, args=(label,)) for label in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes)[:3] == ["conflict"] * 3
    assert any_desk.sample(key).label == sorted(outcomes)[3]
    assert any_desk.actions().count("sample.reviewed") == 1


def test_labels_are_compared_as_json(desk: Desk) -> None:
    [key] = desk.receive({"text": "abc"})
    desk.judge(key, 1)
    for other in (True, "1", [1]):
        with pytest.raises(ReviewConflict):
            desk.judge(key, other)
    assert desk.judge(key, 1).label == 1


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("", "there is no label"),
        (float("nan"), "not finite"),
        ("0" * 9_000_000, "the field label holds 9,000,000 bytes"),
    ],
)
def test_a_label_that_the_family_does_not_take_is_refused(
    desk: Desk, label: Any, sentence: str
) -> None:
    [key] = desk.receive({"text": "abc"})
    with pytest.raises(InvalidInput, match=sentence):
        desk.judge(key, label)
    assert desk.states() == {"returned": 1}
    desk.judge(key, "x")
    with pytest.raises(InvalidInput, match="not"):
        desk.judge(key, float("nan"))


def test_a_sample_that_is_not_there_cannot_be_judged(desk: Desk) -> None:
    with pytest.raises(SampleMissing):
        desk.judge("sha256:" + "0" * 64, "x")


def test_a_picture_that_is_none_can_only_be_unusable(desk: Desk) -> None:
    [key] = desk.receive({"image": base64_of(b"no picture")}, family="vision")
    with pytest.raises(InvalidInput, match="the image cannot be read"):
        desk.judge(key, "7")
    assert desk.judge(key, None).state == "unusable"


def test_reviewed_samples_become_a_version_and_are_used_with_it(any_desk: Desk) -> None:
    keys = any_desk.receive(*({"text": text} for text in ("abc", "def", "ghi", "jkl")))
    for key, label in zip(keys[:3], ("x", "y", None), strict=True):
        any_desk.judge(key, label)
    addition = any_desk.collect()
    assert {row["text"]: row["label"] for row in read_rows(addition.version.pin)} == {
        "abc": "x",
        "def": "y",
    }
    assert sorted(read_sources(addition.version.pin)) == sorted(f"sample:{k}" for k in keys[:2])
    assert any_desk.states() == {"used": 2, "unusable": 1, "returned": 1}
    assert any_desk.sample(keys[0]).dataset_version_id == addition.version.id
    assert any_desk.actions()[-2:] == ["dataset.version_added", "samples.used"]
    with pytest.raises(TransitionRefused, match="This sample is used"):
        any_desk.judge(keys[0], "z", correct=True)
    assert any_desk.judge(keys[0], "x").state == "used"


def test_collecting_again_under_one_origin_finds_the_first(desk: Desk) -> None:
    [first, second] = desk.receive({"text": "abc"}, {"text": "def"})
    desk.judge(first, "x")
    collection = replace(COLLECTION, origin="improvement:1")
    one = desk.collect(collection)
    assert desk.collect(collection).version == one.version
    desk.judge(second, "x")
    assert desk.collect(collection).version == one.version
    assert desk.sample(second).state == "reviewed"
    two = desk.collect(replace(COLLECTION, origin="improvement:2"))
    assert (two.version.version, two.version.num_rows) == (2, 2)
    with pytest.raises(NothingReviewed, match="No reviewed sample is waiting"):
        desk.collect()


def test_filters_choose_which_samples_are_collected(desk: Desk) -> None:
    [uncertain] = desk.receive({"text": "abc"})
    [control] = desk.receive({"text": "def"}, reason="control", served_as="other")
    desk.judge(uncertain, "x")
    desk.judge(control, "x")
    with pytest.raises(NothingReviewed):
        desk.collect(replace(COLLECTION, site="site4"))
    with pytest.raises(NothingReviewed):
        desk.collect(replace(COLLECTION, family="vision"))
    desk.collect(replace(COLLECTION, reason="control"))
    assert (desk.sample(control).state, desk.sample(uncertain).state) == ("used", "reviewed")
    desk.collect(replace(COLLECTION, name="rest", served_as="reader"))
    assert desk.states() == {"used": 2}


def test_held_out_samples_are_used_with_the_test_version(desk: Desk) -> None:
    keys = desk.receive(*({"text": text} for text in distinct_words(30)))
    for key in keys:
        desk.judge(key, "x")
    addition = desk.collect(replace(COLLECTION, holdout=0.4))
    assert addition.held_out is not None
    used = {key: desk.sample(key).dataset_version_id for key in keys}
    for version in (addition.version, addition.held_out):
        mine = {f"sample:{key}" for key, where in used.items() if where == version.id}
        assert set(read_sources(version.pin)) == mine
    assert set(used.values()) == {addition.version.id, addition.held_out.id}
    with desk.database.reading() as session:
        learned_from = samples.used_in(session, addition.version.id)
    assert {one.digest for one in learned_from} == {
        key for key, where in used.items() if where == addition.version.id
    }


def test_a_sample_whose_row_is_there_already_is_used_with_what_is_there(desk: Desk) -> None:
    there = add(desk.warehouse, Draft("site3", "words", "first"), words("abc", label="x"))
    [key] = desk.receive({"text": "abc"})
    desk.judge(key, "x")
    addition = desk.collect()
    assert (addition.version, addition.made) == (there.version, ())
    assert desk.sample(key).dataset_version_id == there.version.id


def test_contradicting_and_damaged_samples_become_unusable(desk: Desk) -> None:
    [one] = desk.receive({"text": "abc"})
    [two] = desk.receive({"text": "abc"}, stack_digest="sha256:" + "6" * 64)
    [lost, good] = desk.receive({"text": "def"}, {"text": "ghi"})
    for key, label in ((one, "x"), (two, "y"), (lost, "x"), (good, "x")):
        desk.judge(key, label)
    samples.content_path(desk.home, lost).unlink()
    addition = desk.collect()
    assert (addition.num_accepted, addition.num_rejected) == (2, 2)
    assert desk.states() == {"used": 2, "unusable": 2}
    assert "samples.discarded" in desk.actions()
    assert sorted(desk.sample(key).state for key in (one, two)) == ["unusable", "used"]


def test_if_no_row_can_be_used_nothing_changes(desk: Desk) -> None:
    [key] = desk.receive({"text": "abc"})
    desk.judge(key, "x")
    samples.content_path(desk.home, key).unlink()
    with pytest.raises(SourceRefused, match="None of the 1 rows"):
        desk.collect()
    assert desk.states() == {"reviewed": 1}
    with desk.database.reading() as session:
        assert service.listing(session) == []


def test_a_sample_corrected_meanwhile_takes_the_whole_collection_back(desk: Desk) -> None:
    [one, two] = desk.receive({"text": "abc"}, {"text": "def"})
    desk.judge(one, "x")
    desk.judge(two, "x")

    def correct_while_it_runs(event: Any) -> None:
        if event.stage == "record":
            desk.judge(two, "y", correct=True)

    with pytest.raises(ReviewConflict, match="was reviewed anew meanwhile"):
        review.collect(desk.warehouse, desk.home, COLLECTION, ACTOR, report=correct_while_it_runs)
    assert desk.states() == {"reviewed": 2}
    addition = desk.collect()
    assert addition.version.version == 1
    labels = {row["text"]: row["label"] for row in read_rows(addition.version.pin)}
    assert labels == {"abc": "x", "def": "y"}


CALLS = Collection("calls", "text")


def calls(desk: Desk, *prompts: str, **changes: Any) -> list[str]:
    return desk.receive(*({"prompt": prompt} for prompt in prompts), family="text", **changes)


def rejected(addition: Addition) -> dict[str, Any]:
    return {row["prompt"]: row.get("rejected") for row in read_rows(addition.version.pin)}


@pytest.mark.parametrize(
    ("answer", "label", "kept"),
    [
        ("照明", "排水", "照明"),
        ({"类别": "照明"}, {"类别": "排水"}, {"类别": "照明"}),
        ("我不知道", {"类别": "排水"}, "我不知道"),
        ("排水", "排水", None),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, None),
        ({"类别": "排水"}, '{"类别": "排水"}', None),
        ("排水", " 排水 ", None),
        ("", "排水", None),
        (None, "排水", None),
    ],
)
def test_a_corrected_answer_is_kept_as_rejected(
    desk: Desk, answer: Any, label: Any, kept: Any
) -> None:
    [key] = calls(desk, "人民路积水", answer=answer)
    desk.judge(key, label)
    addition = desk.collect(CALLS)
    assert rejected(addition) == {"人民路积水": kept}
    assert desk.sample(key).state == "used"
    (row,) = read_rows(addition.version.pin)
    assert row["label"] == label


def test_of_one_input_answered_twice_the_newest_wrong_answer_is_kept(desk: Desk) -> None:
    keys = [
        calls(desk, "人民路积水", answer=answer, taken_ms=when, stack_digest=f"sha256:{when:064}")
        for answer, when in (("照明", 2), ("环境", 3), ("噪音", 1), ("排水", 4))
    ]
    for [key] in keys:
        desk.judge(key, "排水")
    addition = desk.collect(CALLS)
    assert rejected(addition) == {"人民路积水": "环境"}
    assert desk.states() == {"used": 4}
    assert {desk.sample(key).dataset_version_id for [key] in keys} == {addition.version.id}


def test_a_corrected_sample_replaces_the_row_of_its_input(desk: Desk) -> None:
    [first] = calls(desk, "人民路积水", answer="照明")
    desk.judge(first, "照明")
    desk.collect(CALLS)
    [second] = calls(desk, "人民路积水", answer="照明", stack_digest="sha256:" + "6" * 64)
    desk.judge(second, "排水")
    addition = desk.collect(CALLS)
    assert addition.version.version == 2
    assert [(row["label"], row["rejected"]) for row in read_rows(addition.version.pin)] == [
        ("排水", "照明")
    ]


def test_a_family_that_reads_no_rejected_answers_gets_none(desk: Desk) -> None:
    [key] = desk.receive({"text": "abc"}, answer="a")
    desk.judge(key, "x")
    (row,) = read_rows(desk.collect().version.pin)
    assert row == {"text": "abc", "label": "x"}


def test_pictures_go_the_same_way(desk: Desk) -> None:
    keys = desk.receive(*({"image": base64_of(png(seed))} for seed in range(3)), family="vision")
    for key in keys:
        desk.judge(key, "7")
    addition = desk.collect(Collection("site3", "vision"))
    rows = read_rows(addition.version.pin)
    assert sorted(row["image"] for row in rows) == sorted(png(seed) for seed in range(3))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["judge", "correct", "collect"]),
        st.integers(0, 2),
        st.sampled_from(["x", "y", None]),
    ),
    max_size=8,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_whatever_reviewers_do_each_label_is_in_at_most_one_version(
    desk: Desk, steps: list[tuple[str, int, str | None]]
) -> None:
    """Any order of verdicts and collections: what is used is in the dataset with its label, and
    what is not used is not there."""
    name = new_id()
    texts = [f"{name}{number}" for number in range(3)]
    keys = desk.receive(*({"text": text} for text in texts), served_as=name)
    collection = Collection(name, "words", served_as=name)
    for action, which, label in steps:
        with suppress(Conflict):
            if action == "collect":
                desk.collect(collection)
            else:
                desk.judge(keys[which], label, correct=action == "correct")
    found = {key: desk.sample(key) for key in keys}
    used = {texts[keys.index(key)]: s.label for key, s in found.items() if s.state == "used"}
    with desk.database.reading() as session:
        number = service.newest(session, name)
        pin = service.pin(session, f"{name}@{number}") if number else None
    rows = read_rows(pin) if pin else []
    assert {row["text"]: row["label"] for row in rows} == used
