"""A site runs the family where PyTorch is not installed."""

from __future__ import annotations

from pathlib import Path

from tests.families.light import light, probed
from tests.families.vision.factory import Built

INSPECT = """
from pathlib import Path
from dizuo.core.errors import InvalidInput
from dizuo.families import registry

try:
    registry.importer("vision").inspect(Path(sys.argv[1]))
except InvalidInput as error:
    print(error)
"""


def test_spec_score_footprint_and_runtime_need_nothing_heavy(stacks: dict[str, Built]) -> None:
    assert probed("vision", stacks["site"].onnx) == "16 16 True there is no image"


def test_inspect_needs_nothing_heavy(tmp_path: Path) -> None:
    assert "config.json" in light(INSPECT, str(tmp_path))
