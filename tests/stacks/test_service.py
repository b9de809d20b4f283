"""Numbering, idempotence, lookup, incumbents and lineage, on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.gates.scene import OPERATOR
from tests.stacks.scene import Workshop

from dizuo.artifacts.errors import CannotCompose
from dizuo.artifacts.model import Level
from dizuo.artifacts.reference import Reference, parse_reference
from dizuo.artifacts.stacks import read_stack
from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.stacks import service
from dizuo.stacks.errors import RunReused, StackNotFound
from dizuo.stacks.model import DatasetUse, StackVersion, UsedDataset

USED = UsedDataset(DatasetUse.TRAIN, "default", "words", 3, "sha256:" + "cd" * 32)


def test_a_stack_is_in_the_database_and_in_the_registry(any_workshop: Workshop) -> None:
    base = any_workshop.build("run-0", name="alphabet")
    made = any_workshop.build("run-1", parent=base, datasets=(USED,))
    with any_workshop.database.reading() as session:
        assert service.get(session, Reference("default", "reader", 1)) == made
    assert (made.ref, made.level, made.parent_digest) == ("reader:1", Level.L1, base.digest)
    assert (made.targets, made.datasets) == (("safetensors", "table"), (USED,))
    assert any_workshop.layout.resolve("default/reader", "1") == made.digest
    index = read_stack(any_workshop.layout, made.digest)
    assert index.size_bytes == made.index_size_bytes
    assert made.bytes_total == base.bytes_total + made.bytes_added
    assert made.bytes_added == index.bytes_added > 0


def test_versions_grow_for_each_name_on_its_own(any_workshop: Workshop) -> None:
    built = [any_workshop.build(f"run-{i}", name=name) for i, name in enumerate("aabab")]
    assert [stack.ref for stack in built] == ["a:1", "a:2", "b:1", "a:3", "b:2"]
    with any_workshop.database.reading() as session:
        assert [stack.ref for stack in service.listing(session)] == ["a:3", "b:2"]
        assert [stack.ref for stack in service.log(session, "a")] == ["a:3", "a:2", "a:1"]
        assert service.listing(session, project_id="other") == []


def test_a_run_registers_once(any_workshop: Workshop) -> None:
    new = any_workshop.new("run-1")
    first, again = any_workshop.register(new), any_workshop.register(new)
    assert again == first
    with any_workshop.database.reading() as session:
        assert len(service.log(session, "reader")) == 1
        actions = [entry.action for entry in audit_store.stream(session)]
        assert actions == ["stack.registered"]
        assert audit.verify(session).ok


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"input_digest": "sha256:" + "00" * 32},
        {"project_id": "other"},
    ],
)
def test_a_run_cannot_register_something_else(workshop: Workshop, change: dict[str, str]) -> None:
    new = workshop.new("run-1")
    workshop.register(new)
    with pytest.raises(RunReused, match="registered reader:1 already"):
        workshop.register(replace(new, **change))  # type: ignore[arg-type]


def test_a_stack_that_cannot_be_composed_leaves_no_version(workshop: Workshop) -> None:
    with pytest.raises(CannotCompose):
        workshop.register(replace(workshop.new("run-1"), targets={}))
    assert workshop.build("run-2").version == 1


def test_a_registration_that_did_not_commit_leaves_its_number_free(workshop: Workshop) -> None:
    """A hub that dies after the tag was written and before the commit."""
    killed: list[StackVersion] = []
    with pytest.raises(KeyboardInterrupt):
        _register_and_die(workshop, killed)
    (lost,) = killed
    assert workshop.layout.resolve("default/reader", "1") == lost.digest
    made = workshop.build("run-2")
    assert made.version == 1
    assert workshop.layout.resolve("default/reader", "1") == made.digest != lost.digest


def _register_and_die(workshop: Workshop, killed: list[StackVersion]) -> None:
    with workshop.database.transaction() as session:
        new = workshop.new("run-1")
        killed.append(service.register(session, workshop.layout, OPERATOR, new))
        raise KeyboardInterrupt


def test_registering_at_the_same_time_gives_each_its_number(any_workshop: Workshop) -> None:
    news = [any_workshop.new(f"run-{i}") for i in range(6)]
    together = threading.Barrier(len(news))

    def register(index: int) -> StackVersion:
        together.wait(30)
        return any_workshop.register(news[index])

    with ThreadPoolExecutor(len(news)) as pool:
        made = list(pool.map(register, range(len(news))))
    assert sorted(stack.version for stack in made) == [1, 2, 3, 4, 5, 6]
    with any_workshop.database.reading() as session:
        assert audit.verify(session).ok


def test_a_reference_names_one_version(any_workshop: Workshop) -> None:
    first, second = any_workshop.build("run-1"), any_workshop.build("run-2")
    with any_workshop.database.reading() as session:
        for text, expected in [
            ("reader", second),
            ("reader:1", first),
            (f"reader@{first.digest}", first),
            (f"reader:2@{second.digest}", second),
            ("default/reader:2", second),
        ]:
            assert service.get(session, parse_reference(text)) == expected
        assert service.get_by_digest(session, first.digest) == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "There is no stack nobody. See `dizuo model ls`"),
        ("nobody:1", "There is no stack nobody:1."),
        ("reader:7", "There is no version reader:7 of reader. Its newest is reader:1."),
        ("other/reader:1", "There is no stack other/reader:1."),
        ("reader@sha256:" + "00" * 32, "Its newest is reader:1."),
    ],
)
def test_a_reference_to_nothing(workshop: Workshop, text: str, message: str) -> None:
    workshop.build("run-1")
    with workshop.database.reading() as session, pytest.raises(StackNotFound) as missing:
        service.get(session, parse_reference(text))
    assert message in str(missing.value)


def test_a_version_and_a_digest_must_be_of_one_stack(workshop: Workshop) -> None:
    first, _ = workshop.build("run-1"), workshop.build("run-2")
    with workshop.database.reading() as session, pytest.raises(StackNotFound):
        service.get(session, parse_reference(f"reader:2@{first.digest}"))


def test_nothing_is_found_by_what_was_never_built(workshop: Workshop) -> None:
    with workshop.database.reading() as session:
        with pytest.raises(StackNotFound):
            service.log(session, "nobody")
        with pytest.raises(StackNotFound):
            service.get_by_digest(session, "sha256:" + "00" * 32)
        assert service.incumbent(session, "nobody") is None
        assert service.find_by_inputs(session, "sha256:" + "00" * 32) is None


def test_the_newest_of_the_same_inputs_is_found(any_workshop: Workshop) -> None:
    inputs = "sha256:" + "11" * 32
    any_workshop.build("run-1", input_digest=inputs)
    again = any_workshop.build("run-2", input_digest=inputs)
    any_workshop.build("run-3")
    with any_workshop.database.reading() as session:
        assert service.find_by_inputs(session, inputs) == again
        assert service.find_by_inputs(session, inputs, project_id="other") is None


def test_the_incumbent_is_the_newest_released_version(any_workshop: Workshop) -> None:
    first, second, _ = [any_workshop.build(f"run-{i}") for i in range(3)]
    for stack in (second, first):  # an older version may be released later
        with any_workshop.database.transaction() as session:
            marked = service.mark_released(session, stack, "operator:rae")
        assert marked.released_ms is not None
    with any_workshop.database.reading() as session:
        found = service.incumbent(session, "reader")
    assert found is not None
    assert found.ref == "reader:2"


def test_a_version_is_released_once(any_workshop: Workshop) -> None:
    stack = any_workshop.build("run-1")
    with any_workshop.database.transaction() as session:
        first = service.mark_released(session, stack, "operator:rae")
    with any_workshop.database.transaction() as session:
        again = service.mark_released(session, stack, "operator:rae")
        actions = [entry.action for entry in audit_store.stream(session)]
    assert again == first
    assert actions == ["stack.registered", "stack.released"]


def test_what_is_not_registered_cannot_be_marked(workshop: Workshop) -> None:
    stranger = replace(workshop.build("run-1"), digest="sha256:" + "00" * 32)
    with workshop.database.transaction() as session, pytest.raises(StackNotFound):
        service.mark_released(session, stranger, "operator:rae")


def test_lineage_goes_both_ways(any_workshop: Workshop) -> None:
    base = any_workshop.build("run-0", name="alphabet")
    middle = any_workshop.build("run-1", parent=base)
    sibling = any_workshop.build("run-2", parent=base)
    top = any_workshop.build("run-3", name="site", parent=middle, level=Level.L2)
    with any_workshop.database.reading() as session:
        assert service.lineage(session, base).ancestors == ()
        assert service.lineage(session, base).children == (middle, sibling)
        assert service.lineage(session, middle).children == (top,)
        assert service.lineage(session, top).ancestors == (middle, base)
        lost = replace(top, parent_digest="sha256:" + "00" * 32)
        with pytest.raises(StackNotFound):
            service.lineage(session, lost)


def test_what_a_stack_of_a_level_can_stand_on_newest_first(any_workshop: Workshop) -> None:
    base = any_workshop.build("run-0", name="alphabet")
    any_workshop.build("run-1", parent=base)
    other = any_workshop.build("run-2", name="letters")
    with any_workshop.database.reading() as session:
        assert service.newest(session) == other
        assert service.newest(session, project_id="other") is None
        found = {
            level: service.newest_parents(session, base.family, level, limit=9) for level in Level
        }
        assert service.newest_parents(session, base.family, Level.L2, limit=1) == [other.ref]
        assert service.newest_parents(session, "other", Level.L2, limit=9) == []
        theirs = service.newest_parents(session, base.family, Level.L2, limit=9, project_id="other")
    assert theirs == []
    assert found == {
        Level.L0: [],
        Level.L1: ["letters:1", "alphabet:1"],
        Level.L2: ["letters:1", "reader:1", "alphabet:1"],
    }
