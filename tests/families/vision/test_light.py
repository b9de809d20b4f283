"""A site runs the family where PyTorch is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.families.vision.factory import Built

SCRIPT = """
import sys
from pathlib import Path

HEAVY = {"torch", "transformers", "peft", "accelerate", "onnx", "onnxscript", "sqlalchemy",
         "fastapi", "lance", "polars", "pyarrow", "sklearn", "scipy"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"{name} is not installed here")
        return None

sys.meta_path.insert(0, Blocker())

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.errors import InvalidInput
from dizuo.families import checkpoints, registry
from dizuo.families.golden import probe, read_golden

layers = tuple(LayerDirectory(Level.L1, "x", Path(path)) for path in sys.argv[2:])
stack = StackFiles("site", 1, "sha256:" + "0" * 64, "onnx", layers)
engine = registry.runtime("vision").open_engine({"site": stack}, threads=1)
found = probe(engine, "site", read_golden(layers[-1].directory), registry.scorer("vision"))
assert registry.spec("vision").check_row({}) == "there is no image"
try:
    registry.importer("vision").inspect(Path(sys.argv[1]))
except InvalidInput as error:
    assert "config.json" in str(error)
print(found.num_agree, found.num_rows, sorted(HEAVY & set(sys.modules)))
"""


def test_spec_score_runtime_and_inspect_need_nothing_heavy(
    stacks: dict[str, Built], tmp_path: Path
) -> None:
    paths = [str(layer.directory) for layer in stacks["site"].onnx.layers]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), *paths],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=2) == ["16", "16", "[]\n"]
