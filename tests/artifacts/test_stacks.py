"""Composing stacks and reading them back."""

from __future__ import annotations

import dataclasses
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.artifacts.conftest import TARGETS, WEIGHT_BYTES, Family, draft, layer_files

from dizuo.artifacts.errors import BlobMissing, CannotCompose, StackRefused, TargetMissing
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.manifests import Manifest, decode
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.artifacts.stacks import StackDraft, compose, read_stack


def blob_names(layout: Layout) -> set[str]:
    return {path.name for path in layout.blob_directory.iterdir()}


def manifest_of(layout: Layout, digest: str, target: str) -> Manifest:
    stack = read_stack(layout, digest)
    return decode(Manifest, layout.read(stack.targets[target].manifest.digest))


def test_a_stack_reads_back_as_it_was_drafted(family: Family) -> None:
    stack = read_stack(family.layout, family.scenario)

    assert (stack.project, stack.name, stack.version) == ("default", "site3", 1)
    assert (stack.level, stack.family) == (Level.L2, "vision")
    assert stack.parent_digest == family.industry
    assert stack.annotations == {"io.dizuo.run": "r-1"}
    assert stack.size_bytes == family.layout.path(family.scenario).stat().st_size
    assert set(stack.targets) == set(TARGETS)
    layers = stack.targets["onnx"].layers
    assert [(layer.level, layer.name) for layer in layers] == [
        (Level.L0, "shapes"),
        (Level.L1, "meter-reading"),
        (Level.L2, "site3"),
    ]
    assert [(file.path, file.role) for file in layers[2].files] == [
        ("config.json", FileRole.CONFIG),
        ("data/golden.json", FileRole.GOLDEN),
        ("model.weights", FileRole.WEIGHTS),
    ]


def test_a_child_begins_with_exactly_its_parents_blobs(family: Family) -> None:
    for target in TARGETS:
        base = manifest_of(family.layout, family.base, target).layers
        industry = manifest_of(family.layout, family.industry, target).layers
        scenario = manifest_of(family.layout, family.scenario, target).layers
        assert industry[: len(base)] == base
        assert scenario[: len(industry)] == industry
        assert len(scenario) == len(industry) + 3


def test_sizes_count_each_blob_once_and_the_own_layer_apart(family: Family) -> None:
    stack = read_stack(family.layout, family.scenario)
    small_files = 3 * len('{"level":"L0"}') + len('{"format":1,"rows":[]}')

    onnx = stack.targets["onnx"]
    assert onnx.bytes_total == sum(WEIGHT_BYTES.values()) + small_files
    # The golden set of this layer is the same blob as the parent's, so it adds nothing.
    assert onnx.bytes_added == WEIGHT_BYTES[Level.L2] + len('{"level":"L2"}')
    assert stack.bytes_total == 2 * sum(WEIGHT_BYTES.values()) + small_files
    assert stack.bytes_added == 2 * WEIGHT_BYTES[Level.L2] + len('{"level":"L2"}')


def test_the_same_draft_has_the_same_digest_anywhere_and_at_any_time(tmp_path: Path) -> None:
    first = Layout(tmp_path / "one")
    digest = compose(first, draft(tmp_path / "here", Level.L0, "shapes", None))
    before = blob_names(first)
    for path in (tmp_path / "here").rglob("*"):
        os.utime(path, (1, 1))
    later = draft(tmp_path / "there", Level.L0, "shapes", None, targets=("safetensors", "onnx"))
    shuffled = {name: tuple(reversed(files)) for name, files in later.targets.items()}

    assert compose(first, replace(later, targets=shuffled)) == digest
    assert blob_names(first) == before
    assert compose(Layout(tmp_path / "two"), later) == digest


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"name": "forms"},
        {"project": "city"},
        {"family": "text"},
        {"annotations": {"io.dizuo.run": "r-2"}},
    ],
)
def test_whatever_changes_in_a_draft_changes_the_digest(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    layout = Layout(tmp_path / "layout")
    first = draft(tmp_path, Level.L0, "shapes", None)
    assert compose(layout, first) != compose(layout, replace(first, **change))


def test_a_child_may_offer_fewer_targets_than_its_parent(family: Family, tmp_path: Path) -> None:
    only = draft(tmp_path, Level.L2, "site4", family.industry, targets=("onnx",))
    assert set(read_stack(family.layout, compose(family.layout, only)).targets) == {"onnx"}


def test_a_scenario_may_stand_on_a_base(family: Family, tmp_path: Path) -> None:
    stack = read_stack(
        family.layout, compose(family.layout, draft(tmp_path, Level.L2, "direct", family.base))
    )
    assert [layer.level for layer in stack.targets["onnx"].layers] == [Level.L0, Level.L2]


def test_the_configuration_names_format_and_quantization(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    digest = compose(
        layout, draft(tmp_path, Level.L0, "qwen3", None, targets=("gguf-q4_0", "onnx"), version=2)
    )
    stack = read_stack(layout, digest)
    gguf = layout.read(stack.targets["gguf-q4_0"].config.digest).decode()
    onnx = layout.read(stack.targets["onnx"].config.digest).decode()
    assert '"config":{"format":"gguf","quantization":"q4_0"}' in gguf
    assert '"config":{"format":"onnx"}' in onnx
    assert '"descriptor":{"family":"vision","name":"qwen3","version":"2"}' in gguf


def with_files(base: StackDraft, files: tuple[LayerFile, ...]) -> StackDraft:
    return replace(base, targets={"onnx": files})


def wrong_drafts(family: Family, folder: Path) -> dict[str, tuple[StackDraft, str]]:
    good = draft(folder, Level.L1, "other", family.base)
    files = layer_files(folder, Level.L1, "onnx")
    moved = {
        path: replace(files[0], path=path) for path in ("../x", "/x", "a//b", ".x", "a\\b", "")
    }
    traversals = {
        f"path {path!r}": (with_files(good, (file,)), "not a file path")
        for path, file in moved.items()
    }
    return traversals | {
        "name": (replace(good, name="Other Name"), "not a name"),
        "project": (replace(good, project="a/b"), "not a name"),
        "version": (replace(good, version=0), "versions start at 1"),
        "family": (replace(good, family="Vision!"), "not a name"),
        "another family": (replace(good, family="text"), "cannot stand on a vision one"),
        "no targets": (replace(good, targets={}), "1 to 64 targets"),
        "target name": (replace(good, targets={"../x": files}), "name of a target"),
        "target not of the parent": (replace(good, targets={"gguf": files}), "no target gguf"),
        "no files": (with_files(good, ()), "1 to"),
        "too many files": (with_files(good, files * 1000), "1 to"),
        "twice the same path": (with_files(good, (files[0], files[0])), "same path"),
        "a file where a folder is": (
            with_files(good, (files[0], replace(files[1], path=f"{files[0].path}/x"))),
            "same path",
        ),
        "file gone": (with_files(good, (replace(files[0], source=folder / "no"),)), "not there"),
        "a folder as file": (with_files(good, (replace(files[0], source=folder),)), "not there"),
        "orphan": (replace(good, parent_digest=None), "every other has one"),
        "base with a parent": (replace(good, level=Level.L0), "no parent"),
        "on its own level": (
            replace(good, parent_digest=family.industry),
            "level L1 cannot stand on one of L1",
        ),
        "reserved annotation": (
            replace(good, annotations={"io.dizuo.version": "7"}),
            "set by the stack itself",
        ),
        "target annotation": (
            replace(good, annotations={"io.dizuo.target": "x"}),
            "set by the stack itself",
        ),
        "long annotation": (replace(good, annotations={"a": "b" * 5000}), "takes 32 annotations"),
        "empty annotation key": (replace(good, annotations={"": "b"}), "takes 32 annotations"),
        "many annotations": (
            replace(good, annotations={f"k{n}": "v" for n in range(33)}),
            "takes 32 annotations",
        ),
    }


def test_a_wrong_draft_is_refused_with_a_sentence_and_writes_nothing(
    family: Family, tmp_path: Path
) -> None:
    before = blob_names(family.layout)
    cases = wrong_drafts(family, tmp_path)
    for case, (wrong, sentence) in cases.items():
        with pytest.raises(CannotCompose, match=sentence):
            compose(family.layout, wrong)
        assert blob_names(family.layout) == before, case


def test_a_parent_that_is_not_here(tmp_path: Path) -> None:
    orphan = draft(tmp_path, Level.L1, "other", "sha256:" + 64 * "0")
    layout = Layout(tmp_path / "layout")
    with pytest.raises(BlobMissing):
        compose(layout, orphan)
    assert blob_names(layout) == set()


def test_reading_some_targets_needs_only_their_manifests(family: Family, tmp_path: Path) -> None:
    stack = read_stack(family.layout, family.scenario)
    site = Layout(tmp_path / "site")
    onnx = stack.targets["onnx"]
    for digest in (family.scenario, onnx.manifest.digest, onnx.config.digest):
        shutil.copy(family.layout.path(digest), site.path(digest))

    assert set(read_stack(site, family.scenario, only=("onnx",)).targets) == {"onnx"}
    with pytest.raises(BlobMissing):
        read_stack(site, family.scenario)
    with pytest.raises(TargetMissing, match="onnx, safetensors"):
        read_stack(site, family.scenario, only=("gguf-q4_0",))


def test_what_is_not_a_stack_cannot_be_read(family: Family) -> None:
    blob = family.layout.put_bytes(b"weights")
    with pytest.raises(StackRefused):
        read_stack(family.layout, blob.digest)


def test_drafts_are_frozen(tmp_path: Path) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        draft(tmp_path, Level.L0, "shapes", None).version = 3  # type: ignore[misc]
