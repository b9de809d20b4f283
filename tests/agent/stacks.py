"""Small real stacks of the test family, in a registry."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.artifacts.stacks import StackDraft, compose, unpack
from dizuo.edge.wire import Direction
from dizuo.families import registry
from dizuo.families.golden import ExpectedAnswer, write_golden

FAMILY = "scales"
TARGET = "plain"
BALLAST_BYTES = 300_000
GOLDEN_VALUES = (-3.0, -0.5, 0.25, 4.0)


@dataclass(frozen=True)
class Built:
    """A stack version in the registry."""

    name: str
    version: int
    digest: str
    level: Level
    size_bytes: int

    def direction(self, served_as: str, **changes: Any) -> Direction:
        fields = {
            "served_as": served_as,
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "family": FAMILY,
            "target": TARGET,
        }
        return Direction(**{**fields, **changes})


def build_base(layout: Layout, work: Path, *, name: str = "base", offset: float = 0.5) -> Built:
    """An L0 with some weight to it, so that fetching it takes more than one piece."""
    folder = work / f"{name}-files"
    folder.mkdir(parents=True)
    (folder / "base.json").write_text(json.dumps({"offset": offset}))
    (folder / "ballast.bin").write_bytes(random.Random(name).randbytes(BALLAST_BYTES))
    files = (
        LayerFile("base.json", folder / "base.json", FileRole.CONFIG),
        LayerFile("ballast.bin", folder / "ballast.bin", FileRole.WEIGHTS),
    )
    return _compose(layout, StackDraft("default", name, 1, Level.L0, FAMILY, None, {TARGET: files}))


def build(
    layout: Layout,
    work: Path,
    base: Built,
    *,
    name: str = "meter",
    version: int = 1,
    golden: str = "right",
    **layer: Any,
) -> Built:
    """An L1 on a base. `layer` is what its `scale.json` says; `golden` is `right`, `wrong`, or
    `missing`."""
    folder = work / f"{name}-{version}-files"
    folder.mkdir(parents=True)
    (folder / "scale.json").write_text(json.dumps({"scale": 1.0, **layer}))
    files = [LayerFile("scale.json", folder / "scale.json", FileRole.WEIGHTS)]
    if golden != "missing":
        expected = _expected(layout, work / f"{name}-{version}", base, layer, golden)
        write_golden(folder / "golden.json", expected)
        files.append(LayerFile("golden.json", folder / "golden.json", FileRole.GOLDEN))
    draft = StackDraft(
        "default", name, version, Level.L1, FAMILY, base.digest, {TARGET: tuple(files)}
    )
    return _compose(layout, draft)


def _expected(
    layout: Layout, work: Path, base: Built, layer: dict[str, Any], golden: str
) -> list[ExpectedAnswer]:
    """What the family itself says, in this process; `wrong` turns every answer round."""
    spec = registry.spec(FAMILY)
    files = unpack(layout, base.digest, TARGET, work / "base")
    engine = registry.runtime(FAMILY).open_engine({"x": files}, threads=1)
    found = []
    for value in GOLDEN_VALUES:
        scaled = spec.request([{"value": value * layer.get("scale", 1.0)}])
        (seen,) = engine.infer("x", scaled).observations
        turned = {"high": "low", "low": "high"}[seen.answer] if golden == "wrong" else seen.answer
        found.append(
            ExpectedAnswer(
                request=spec.request([{"value": value}]), answer=turned, confidence=seen.confidence
            )
        )
    return found


def _compose(layout: Layout, draft: StackDraft) -> Built:
    digest = compose(layout, draft)
    layout.tag(f"{draft.project}/{draft.name}", str(draft.version), digest)
    size_bytes = layout.path(digest).stat().st_size
    return Built(draft.name, draft.version, digest, draft.level, size_bytes)
