"""Stacks of one, two, three and four layers, built once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.families.vision.factory import Built, build, first_labels, inverted, shapes
from tests.families.vision.foreign import save_model

from dizuo.artifacts.model import LayerDirectory, StackFiles

Copier = Callable[[StackFiles], StackFiles]


@pytest.fixture(scope="session")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """`base` (L0), `meter` on it with labels of its own, `site` on that with the same labels, and
    `deep`, one more."""
    root = tmp_path_factory.mktemp("stacks")
    rows = first_labels(90, 3, seed=1)
    base = build(root, "base", shapes(400), None)
    meter = build(root, "meter", rows, base)
    site = build(root, "site", inverted(rows), meter)
    deep = build(root, "deep", first_labels(60, 3, seed=5), site)
    return {"base": base, "meter": meter, "site": site, "deep": deep}


@pytest.fixture
def copied(tmp_path: Path) -> Copier:
    """Copies a stack, so that a test may spoil it."""

    def copy(stack: StackFiles) -> StackFiles:
        layers = tuple(
            LayerDirectory(
                layer.level,
                layer.name,
                Path(shutil.copytree(layer.directory, tmp_path / f"{depth}-{layer.name}")),
            )
            for depth, layer in enumerate(stack.layers)
        )
        return StackFiles(stack.name, stack.version, stack.digest, stack.target, layers)

    return copy


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("vit"), "vit")


@pytest.fixture
def model(vit: Path, tmp_path: Path) -> Path:
    """A directory that a test may spoil."""
    return Path(shutil.copytree(vit, tmp_path / "model"))
