"""Pages of stacks out of the database: searched, filtered, with what each stands on."""

from __future__ import annotations

from tests.stacks.scene import Workshop

from dizuo.artifacts.model import Level
from dizuo.stacks import browsing
from dizuo.stacks.browsing import Branch, StackFilter


def fill(workshop: Workshop) -> None:
    """Two bases; on `qwen3` two industries, one of them in two versions, and three scenarios."""
    base = workshop.build("r1", name="qwen3")
    old = workshop.build("r2", name="government", parent=base)
    workshop.build("r3", name="government", parent=base)
    mining = workshop.build("r4", name="mining", parent=base)
    workshop.build("r5", name="harbin", parent=old, level=Level.L2)
    workshop.build("r6", name="mine_7", parent=mining, level=Level.L2)
    workshop.build("r7", name="direct", parent=base, level=Level.L2)
    workshop.build("r8", name="resnet")
    workshop.build("r9", name="qwen3", project_id="other")


def found(workshop: Workshop, **wanted: str) -> list[Branch]:
    with workshop.database.reading() as session:
        return browsing.branches(session, StackFilter(**wanted), limit=100)


def refs(branches: list[Branch]) -> list[list[str]]:
    return [[one.ref for one in (branch.top, *branch.below)] for branch in branches]


def test_each_name_once_after_what_it_stands_on(any_workshop: Workshop) -> None:
    fill(any_workshop)
    assert refs(found(any_workshop)) == [
        ["qwen3:1"],
        ["direct:1", "qwen3:1"],
        ["government:2", "qwen3:1"],
        ["harbin:1", "government:1", "qwen3:1"],
        ["mining:1", "qwen3:1"],
        ["mine_7:1", "mining:1", "qwen3:1"],
        ["resnet:1"],
    ]
    assert refs(found(any_workshop, project_id="other")) == [["qwen3:1"]]


def test_filters_count_what_they_let_through(any_workshop: Workshop) -> None:
    fill(any_workshop)
    asked: list[tuple[dict[str, str], list[str]]] = [
        ({"search": "MIN"}, ["mining:1", "mine_7:1"]),
        ({"search": "e_7"}, ["mine_7:1"]),
        ({"search": "%"}, []),
        ({"level": "L1"}, ["government:2", "mining:1"]),
        ({"family": "vision"}, []),
        ({"base": "resnet"}, ["resnet:1"]),
        ({"base": "qwen3", "level": "L2"}, ["direct:1", "harbin:1", "mine_7:1"]),
        ({"base": "government"}, []),
    ]
    for wanted, expected in asked:
        assert [branch.top.ref for branch in found(any_workshop, **wanted)] == expected
        with any_workshop.database.reading() as session:
            assert browsing.count_names(session, StackFilter(**wanted)) == len(expected)


def test_pages_follow_each_other(any_workshop: Workshop) -> None:
    fill(any_workshop)
    whole = found(any_workshop)
    with any_workshop.database.reading() as session:
        pages = [
            browsing.branches(session, StackFilter(), limit=3, offset=offset)
            for offset in (0, 3, 6, 9)
        ]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [one for page in pages for one in page] == whole


def test_what_there_is_to_choose_from(any_workshop: Workshop) -> None:
    fill(any_workshop)
    with any_workshop.database.reading() as session:
        assert browsing.bases(session, limit=10) == ["qwen3", "resnet"]
        assert browsing.bases(session, limit=1) == ["qwen3"]
        assert browsing.families(session) == ["tally"]
        assert browsing.families(session, project_id="nobody") == []


def test_versions_of_a_name_and_those_beside_one(any_workshop: Workshop) -> None:
    built = [any_workshop.build(f"run-{i}", name="a") for i in range(3)]
    any_workshop.build("run-o", name="a", project_id="other")
    with any_workshop.database.reading() as session:
        page = browsing.versions(session, "a", limit=2, offset=1)
        assert [one.ref for one in page] == ["a:2", "a:1"]
        assert browsing.count_versions(session, "a") == 3
        assert browsing.count_versions(session, "a", project_id="other") == 1
        beside = [browsing.neighbours(session, one) for one in built]
    names = [tuple(one and one.ref for one in pair) for pair in beside]
    assert names == [(None, "a:2"), ("a:1", "a:3"), ("a:2", None)]


def test_what_stands_on_a_version_and_what_digests_name(any_workshop: Workshop) -> None:
    base = any_workshop.build("r1", name="base")
    on = [any_workshop.build(f"r{i}", name=f"on-{i}", parent=base) for i in (2, 3)]
    with any_workshop.database.reading() as session:
        found = browsing.children(session, base.digest, limit=10)
        assert [one.ref for one in found] == ["on-3:1", "on-2:1"]
        assert browsing.children(session, base.digest, limit=10, project_id="other") == []
        cards = browsing.cards(session, [base.digest, on[0].digest, "sha256:" + "0" * 64])
        assert {one.ref for one in cards.values()} == {"base:1", "on-2:1"}
        assert browsing.cards(session, [base.digest], project_id="other") == {}
    assert browsing.StackCard.of(base) == cards[base.digest]
