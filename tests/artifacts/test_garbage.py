"""Garbage collection: what is wanted stays, what is not goes, and not too soon."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.artifacts.conftest import Family, draft
from tests.artifacts.test_layout import put_index

from dizuo.artifacts.errors import BlobCorrupt, BlobMissing, StackRefused
from dizuo.artifacts.garbage import Collected, collect_garbage
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.artifacts.stacks import compose, read_stack
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json

HOUR_MS = 3_600_000


def in_two_hours() -> int:
    return now_ms() + 2 * HOUR_MS


def collect(layout: Layout, *, keep: tuple[str, ...] = ()) -> Collected:
    """As it would run two hours from now with an hour of grace."""
    return collect_garbage(layout, grace_seconds=3600, keep=keep, clock=in_two_hours)


def test_everything_a_tag_leads_to_stays(family: Family) -> None:
    assert collect(family.layout) == Collected(0, 0)
    for digest in (family.base, family.industry, family.scenario):
        for blob in read_stack(family.layout, digest).targets["onnx"].blobs:
            assert family.layout.has(blob.digest)


def test_an_untagged_version_goes_but_not_what_others_share(family: Family) -> None:
    onnx = read_stack(family.layout, family.scenario).targets["onnx"]
    family.layout.untag("default/site3", "1")

    collected = collect(family.layout)

    assert collected.num_files == 8  # index, two manifests, two configurations, own three files
    assert collected.num_bytes > 2 * 5000
    assert not family.layout.has(family.scenario)
    assert not any(family.layout.has(blob.digest) for blob in onnx.blobs_added)
    assert all(family.layout.has(blob.digest) for blob in onnx.blobs - onnx.blobs_added)
    read_stack(family.layout, family.industry)


def test_what_is_young_stays(family: Family, tmp_path: Path) -> None:
    fresh = compose(family.layout, draft(tmp_path, Level.L2, "site4", family.industry))
    assert collect_garbage(family.layout, grace_seconds=3600) == Collected(0, 0)
    read_stack(family.layout, fresh)


def test_a_blob_that_is_used_again_becomes_young(family: Family) -> None:
    blob = family.layout.put_bytes(b"old")
    os.utime(family.layout.path(blob.digest), (1, 1))
    family.layout.put_bytes(b"old")
    collect_garbage(family.layout, grace_seconds=3600)
    assert family.layout.has(blob.digest)


def test_what_is_asked_to_be_kept_stays(family: Family) -> None:
    family.layout.untag("default/site3", "1")
    assert collect(family.layout, keep=(family.scenario,)) == Collected(0, 0)
    read_stack(family.layout, family.scenario)


def test_what_killed_processes_left_goes(family: Family) -> None:
    layout = family.layout
    for folder in (layout.blob_directory, layout.partial_directory, layout.corrupt_directory):
        folder.mkdir(exist_ok=True)
        (folder / ".abc.tmp").write_bytes(b"left")
    assert collect(layout) == Collected(3, 12)
    read_stack(layout, family.scenario)


def test_a_site_that_holds_one_target_keeps_it(family: Family) -> None:
    stack = read_stack(family.layout, family.scenario)
    family.layout.path(stack.targets["safetensors"].manifest.digest).unlink()

    collect(family.layout)

    assert read_stack(family.layout, family.scenario, only=("onnx",)).name == "site3"
    with pytest.raises(BlobMissing):
        read_stack(family.layout, family.scenario)


def test_a_hub_that_lacks_a_document_removes_nothing(family: Family) -> None:
    garbage = family.layout.put_bytes(b"garbage")
    manifest = read_stack(family.layout, family.scenario).targets["safetensors"].manifest
    family.layout.path(manifest.digest).unlink()

    with pytest.raises(BlobMissing, match=manifest.digest):
        collect_garbage(family.layout, grace_seconds=3600, whole=True, clock=in_two_hours)

    assert family.layout.has(garbage.digest)


@pytest.mark.parametrize("damage", ["corrupt", "not a document"])
def test_with_a_damaged_document_nothing_is_removed(family: Family, damage: str) -> None:
    layout = family.layout
    garbage = layout.put_bytes(b"garbage")
    if damage == "corrupt":
        path = layout.path(family.scenario)
        data = path.read_bytes()
        path.chmod(0o644)
        path.write_bytes(data[:-1] + b" ")
        expected: type[Exception] = BlobCorrupt
    else:
        nonsense = layout.put_bytes(
            canonical_json(
                {
                    "mediaType": "application/vnd.oci.image.index.v1+json",
                    "manifests": [{"digest": garbage.digest}],
                }
            )
        )
        layout.tag("default/odd", "1", nonsense.digest)
        expected = StackRefused
    with pytest.raises(expected):
        collect(layout)
    assert layout.has(garbage.digest)


class LayoutMachine(RuleBasedStateMachine):
    """Any order of storing, tagging, untagging and collecting: what is tagged can be read."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.layout = Layout(Path(self.folder.name))
        self.tagged: dict[str, str] = {}

    @rule(number=st.integers(0, 5), tag=st.sampled_from("abc"))
    def tag(self, number: int, tag: str) -> None:
        digest = put_index(self.layout, str(number))
        self.layout.tag("default/a", tag, digest, replace=True)
        self.tagged[tag] = digest

    @rule(tag=st.sampled_from("abc"))
    def untag(self, tag: str) -> None:
        self.layout.untag("default/a", tag)
        self.tagged.pop(tag, None)

    @rule(number=st.integers(0, 5))
    def put(self, number: int) -> None:
        put_index(self.layout, str(number))

    @rule()
    def collect(self) -> None:
        collect(self.layout)
        assert len(list(self.layout.blob_directory.iterdir())) == len(set(self.tagged.values()))

    @invariant()
    def what_is_tagged_can_be_read(self) -> None:
        assert self.layout.tags("default/a") == self.tagged
        for digest in self.tagged.values():
            self.layout.read(digest)

    def teardown(self) -> None:
        self.folder.cleanup()


TestLayoutMachine = LayoutMachine.TestCase
TestLayoutMachine.settings = settings(deadline=None, max_examples=25, stateful_step_count=20)
