"""Recipes for the family `tally`, and stacks registered without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.gates.scene import OPERATOR, Shelf

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import FileRole, LayerFile, Level
from dizuo.core.digests import sha256_bytes
from dizuo.stacks import service
from dizuo.stacks.model import NewStack, StackVersion

BASE_RECIPE = """\
name: alphabet
level: L0
family: tally
from: scratch
data:
  train: letters@1
method: {kind: memorise}
targets: [safetensors, table]
"""

RECIPE = """\
# What sites read with.
name: reader
level: L1
family: tally
from: alphabet:1
data:
  train: words@1
method: {kind: memorise}
task: {kind: read}
gates:
  - {suite: words-test@1, metric: exact_match, at_least: 0.9}
  - {suite: words-test@1, metric: exact_match, not_worse_than: incumbent}
  - {suite: letters-test@1, metric: exact_match, drop_at_most: 0.02}
  - {target: table, agreement_with_trained_at_least: 0.98}
targets: [safetensors, table]
seed: 7
description: Reads words.
"""


@dataclass
class Workshop(Shelf):
    """A shelf with a registry."""

    layout: Layout

    def new(
        self,
        run_id: str,
        *,
        name: str = "reader",
        parent: StackVersion | None = None,
        targets: Sequence[str] = ("safetensors", "table"),
        **more: Any,
    ) -> NewStack:
        """What a run that built a layer asks to register."""
        directory = self.root / "built" / run_id
        directory.mkdir(parents=True, exist_ok=True)
        files = {}
        for target in targets:
            source = directory / f"{target}.json"
            source.write_text(json.dumps({"answers": {run_id: target}}))
            files[target] = (LayerFile("model.json", source, FileRole.WEIGHTS),)
        given: dict[str, Any] = {
            "level": Level.L1 if parent else Level.L0,
            "family": "tally",
            "parent_digest": parent.digest if parent else None,
            "input_digest": sha256_bytes(run_id.encode()),
            "project_id": "default",
            "recipe": f"name: {name}\n",
            **more,
        }
        return NewStack(run_id=run_id, name=name, targets=files, **given)

    def register(self, new: NewStack) -> StackVersion:
        """The version, in a transaction of its own."""
        with self.database.transaction() as session:
            return service.register(session, self.layout, OPERATOR, new)

    def build(self, run_id: str, **more: Any) -> StackVersion:
        """A registered version."""
        return self.register(self.new(run_id, **more))
