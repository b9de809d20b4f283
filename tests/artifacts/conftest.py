"""Stacks of three levels, as a build would hand them over."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.artifacts.stacks import StackDraft, compose

TARGETS = ("onnx", "safetensors")
WEIGHT_BYTES = {Level.L0: 300_000, Level.L1: 20_000, Level.L2: 5_000}


def weights(level: Level, target: str) -> bytes:
    """Bytes that differ by level and target and in every block, so a swapped block shows."""
    seed = f"{level}/{target}/".encode()
    blocks = (seed + str(number).encode() for number in range(WEIGHT_BYTES[level]))
    return b"".join(blocks)[: WEIGHT_BYTES[level]]


def layer_files(folder: Path, level: Level, target: str) -> tuple[LayerFile, ...]:
    """The files of one layer in one target's form, written under `folder`."""
    root = folder / level / target
    root.mkdir(parents=True, exist_ok=True)
    contents = {
        "model.weights": (weights(level, target), FileRole.WEIGHTS),
        "config.json": (f'{{"level":"{level}"}}'.encode(), FileRole.CONFIG),
        "data/golden.json": (b'{"format":1,"rows":[]}', FileRole.GOLDEN),
    }
    for path, (data, _) in contents.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(data)
    return tuple(LayerFile(path, root / path, role) for path, (_, role) in contents.items())


def draft(
    folder: Path,
    level: Level,
    name: str,
    parent: str | None,
    *,
    targets: tuple[str, ...] = TARGETS,
    version: int = 1,
) -> StackDraft:
    """A draft whose files are written under `folder`."""
    return StackDraft(
        project="default",
        name=name,
        version=version,
        level=level,
        family="vision",
        parent_digest=parent,
        targets={target: layer_files(folder, level, target) for target in targets},
        annotations={"io.dizuo.run": "r-1"},
    )


@dataclass(frozen=True, slots=True)
class Family:
    """A layout with a base, an industry stack and a scenario stack, all tagged."""

    layout: Layout
    base: str
    industry: str
    scenario: str


def build_family(folder: Path) -> Family:
    """Compose and tag three stacks."""
    layout = Layout(folder / "layout")
    base = compose(layout, draft(folder / "files", Level.L0, "shapes", None))
    industry = compose(layout, draft(folder / "files", Level.L1, "meter-reading", base))
    scenario = compose(layout, draft(folder / "files", Level.L2, "site3", industry))
    layout.tag("default/shapes", "1", base)
    layout.tag("default/meter-reading", "1", industry)
    layout.tag("default/site3", "1", scenario)
    return Family(layout, base, industry, scenario)


@pytest.fixture(scope="session")
def shared_family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """One for the session, for tests that only read."""
    return build_family(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def family(shared_family: Family, tmp_path: Path) -> Family:
    """A copy of its own, for tests that change or damage it."""
    shutil.copytree(shared_family.layout.root, tmp_path / "hub")
    return replace(shared_family, layout=Layout(tmp_path / "hub"))
