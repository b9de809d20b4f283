"""Generations on disk: whole or not there, and checked before they are believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.agent.stacks import Built, build, build_base

from dizuo.agent import generations
from dizuo.agent.errors import GenerationDamaged
from dizuo.agent.fleet import plan_engines
from dizuo.artifacts.errors import BlobCorrupt, BlobMissing
from dizuo.artifacts.layout import Layout
from dizuo.edge.wire import DesiredState


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "generations"


@pytest.fixture
def built(layout: Layout, tmp_path: Path) -> list[Built]:
    """Two stacks on one base, one on another."""
    base = build_base(layout, tmp_path / "work")
    other = build_base(layout, tmp_path / "work", name="other")
    return [
        build(layout, tmp_path / "work", base, name="one"),
        build(layout, tmp_path / "work", base, name="two", scale=2.0),
        build(layout, tmp_path / "work", other, name="three"),
    ]


def desired(built: list[Built], generation: int = 1) -> DesiredState:
    return DesiredState(
        generation=generation, stacks=tuple(one.direction(f"as-{one.name}") for one in built)
    )


def spoil(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"!" + path.read_bytes()[1:])


def test_what_is_staged_can_be_loaded_and_verified(
    layout: Layout, root: Path, built: list[Built]
) -> None:
    staged = generations.stage(layout, root, desired(built))
    assert generations.load(root, 1) == staged
    assert staged.state == desired(built)
    assert [stack.files.layers[-1].name for stack in staged.stacks] == ["one", "two", "three"]
    generations.verify(staged)
    assert 600_000 < staged.size_bytes < 700_000  # two bases, each counted once


def test_staging_again_uses_what_is_there(layout: Layout, root: Path, built: list[Built]) -> None:
    first = generations.stage(layout, root, desired(built))
    record = (root / "1" / "generation.json").stat().st_ino
    assert generations.stage(layout, root, desired(built)) == first
    assert (root / "1" / "generation.json").stat().st_ino == record


def test_another_set_under_the_number_is_staged_anew(
    layout: Layout, root: Path, built: list[Built]
) -> None:
    generations.stage(layout, root, desired(built))
    staged = generations.stage(layout, root, desired(built[:1]))
    assert generations.load(root, 1) == staged
    assert not (root / "1" / "as-two").exists()


def test_an_unfinished_folder_is_staged_anew(
    layout: Layout, root: Path, built: list[Built]
) -> None:
    generations.stage(layout, root, desired(built))
    (root / "1" / "generation.json").unlink()
    with pytest.raises(GenerationDamaged, match="not whole"):
        generations.load(root, 1)
    generations.verify(generations.stage(layout, root, desired(built)))


def test_stacks_on_one_base_share_an_engine(layout: Layout, root: Path, built: list[Built]) -> None:
    plans = plan_engines(generations.stage(layout, root, desired(built)), threads=3)
    assert sorted(sorted(plan.stacks) for plan in plans) == [["as-one", "as-two"], ["as-three"]]
    assert {plan.threads for plan in plans} == {3}


@pytest.mark.parametrize("how", ["changed", "missing", "a folder"])
def test_damage_is_found_and_repaired(
    layout: Layout, root: Path, built: list[Built], how: str
) -> None:
    staged = generations.stage(layout, root, desired(built))
    victim = staged.stacks[0].staged[-1]
    path = staged.directory / victim.path
    if how == "changed":
        spoil(path)
    else:
        path.unlink()
    if how == "a folder":
        path.mkdir()
    with pytest.raises(GenerationDamaged, match="is not what was signed"):
        generations.verify(staged)
    generations.repair(layout, staged)
    assert not staged.directory.exists()
    assert layout.has(victim.digest) == (how != "changed")  # its link was damaged with it


def test_a_damaged_blob_is_not_staged(layout: Layout, root: Path, built: list[Built]) -> None:
    staged = generations.stage(layout, root, desired(built[:1]))
    digest = staged.stacks[0].staged[-1].digest
    spoil(layout.path(digest))
    with pytest.raises(BlobCorrupt):
        generations.stage(layout, root, desired(built[:1], 2))
    assert not layout.has(digest)  # so that the next fetch brings it
    with pytest.raises(BlobMissing):
        generations.stage(layout, root, desired(built[:1], 2))
    with pytest.raises(GenerationDamaged):
        generations.load(root, 2)


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"format": 2}',
        b'{"format": 1}',
        b'{"format": 1, "generation": 1, "stacks": [{}]}',
        b'{"format": 1, "generation": 1, "stacks": 3}',
    ],
)
def test_a_record_that_cannot_be_read(root: Path, record: bytes) -> None:
    (root / "1").mkdir(parents=True)
    (root / "1" / "generation.json").write_bytes(record)
    with pytest.raises(GenerationDamaged):
        generations.load(root, 1)


def test_the_record_is_of_format_1(layout: Layout, root: Path, built: list[Built]) -> None:
    generations.stage(layout, root, desired(built[:1]))
    record = json.loads((root / "1" / "generation.json").read_bytes())
    assert record.keys() == {"format", "generation", "stacks"}
    assert record["format"] == 1
    (stack,) = record["stacks"]
    assert stack.keys() == {"direction", "base", "layers", "files"}


def test_collecting_keeps_what_is_wanted(layout: Layout, root: Path, built: list[Built]) -> None:
    for tag in ("one", "two", "three", "base", "other"):
        layout.untag(f"default/{tag}", "1")
    for number, one in enumerate(built, start=1):
        generations.stage(layout, root, desired([one], number))
    (root / "4").mkdir()
    (root / "scrap").mkdir()
    generations.collect(root, layout, keep={2, 9})
    assert {path.name for path in root.iterdir()} == {"2"}
    assert layout.has(built[1].digest)
    assert not layout.has(built[0].digest)
    assert not layout.has(built[2].digest)
    kept = generations.load(root, 2)
    generations.verify(kept)
    generations.verify(generations.stage(layout, root, desired([built[1]], 5)))
