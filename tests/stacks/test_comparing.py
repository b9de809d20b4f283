"""What is told to be different between two versions."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.stacks.scene import Workshop

from dizuo.gates import service as gates
from dizuo.gates.report import GateReport, RuleResult, Verdict
from dizuo.stacks.comparing import Change, compare, lines_of
from dizuo.stacks.model import DatasetUse, StackVersion, UsedDataset

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=30).map("\n".join)
OLD = "\n".join("abcdefghijklmnop")


def used(name: str, version: int, use: DatasetUse = DatasetUse.TRAIN) -> UsedDataset:
    return UsedDataset(use, "default", name, version, "sha256:" + "cd" * 32)


def result(measured: float | None, **rule: Any) -> RuleResult:
    verdict = Verdict.CANNOT_TELL if measured is None else Verdict.PASS
    return RuleResult(rule, "It holds.", verdict, "It does.", "table", measured)


def gate(workshop: Workshop, stack: StackVersion, *rules: RuleResult) -> None:
    report = GateReport(stack.ref, stack.digest, "tally", 0, 1000, {}, rules)
    with workshop.database.transaction() as session:
        gates.save_report(session, stack.digest, report)


def test_one_changed_line_with_its_neighbours() -> None:
    lines = lines_of(OLD, OLD.replace("h", "H"))
    told = [(line.change.value, line.text, line.number_before, line.number_after) for line in lines]
    assert told == [
        ("skipped", "", None, None),
        ("same", "e", 5, 5),
        ("same", "f", 6, 6),
        ("same", "g", 7, 7),
        ("removed", "h", 8, None),
        ("added", "H", None, 8),
        ("same", "i", 9, 9),
        ("same", "j", 10, 10),
        ("same", "k", 11, 11),
        ("skipped", "", None, None),
    ]


def test_nothing_is_told_of_equal_texts_and_all_of_a_new_one() -> None:
    assert lines_of(OLD, OLD) == ()
    told = [(line.change, line.text) for line in lines_of("", "x\ny\n")]
    assert told == [(Change.ADDED, "x"), (Change.ADDED, "y")]


@given(TEXTS, TEXTS)
def test_both_texts_can_be_read_from_the_lines(before: str, after: str) -> None:
    """Each line has its place in the texts, and what is left out is equal in both."""
    old, new = before.splitlines(), after.splitlines()
    lines = lines_of(before, after)
    gone, come = dict(enumerate(old, 1)), dict(enumerate(new, 1))
    for line in lines:
        if line.number_before is not None:
            assert gone.pop(line.number_before) == line.text
        if line.number_after is not None:
            assert come.pop(line.number_after) == line.text
    assert list(gone.values()) == list(come.values())
    assert any(line.change is Change.SKIPPED for line in lines) == (bool(gone) and before != after)


def test_data_forms_and_recipes(workshop: Workshop) -> None:
    first = workshop.build(
        "r1",
        targets=("safetensors", "table"),
        datasets=(used("words", 1), used("old", 2), used("words", 5, DatasetUse.REPLAY)),
    )
    second = workshop.build(
        "r2",
        targets=("safetensors", "table-b"),
        recipe="name: other\n",
        datasets=(used("words", 3), used("new", 1), used("words", 5, DatasetUse.REPLAY)),
    )
    with workshop.database.reading() as session:
        found = compare(session, first, second)
    assert [(one.use, one.name, one.before, one.after) for one in found.datasets] == [
        ("train", "words", 1, 3),
        ("train", "old", 2, None),
        ("replay", "words", 5, 5),
        ("train", "new", None, 1),
    ]
    assert found.targets == (
        ("safetensors", Change.SAME),
        ("table", Change.REMOVED),
        ("table-b", Change.ADDED),
    )
    changes = [(line.change, line.text) for line in found.recipe]
    assert changes == [(Change.REMOVED, "name: reader"), (Change.ADDED, "name: other")]
    assert found.figures == ()


def test_figures_meet_where_they_measure_the_same(workshop: Workshop) -> None:
    first, second = workshop.build("r1"), workshop.build("r2")
    words = {"suite": "words@1", "metric": "exact_match"}
    gate(
        workshop,
        first,
        result(0.5, **words, at_least=0.4),
        result(0.0, **words, drop_at_most=0.02),
        result(12.0, target="table", p95_latency_ms_at_most=40.0),
    )
    gate(
        workshop,
        second,
        result(0.75, **words, at_least=0.7),
        result(None, **words, drop_at_most=0.02),
        result(0.9, suite="other@1", metric="exact_match", at_least=0.5),
    )
    with workshop.database.reading() as session:
        found = compare(session, first, second).figures
        back = compare(session, second, first).figures
    differences = [one.difference for one in found]
    assert differences == [0.25, None, None, None]
    assert found[0].rule["at_least"] == 0.7
    assert (found[2].before, found[2].after is None) == (None, False)
    assert (found[3].before is None, found[3].after) == (False, None)
    assert back[0].difference == -0.25
