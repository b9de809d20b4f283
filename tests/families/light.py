"""A family's light half as a site runs it: in a process where the hub's packages are absent."""

from __future__ import annotations

import subprocess
import sys

from dizuo.artifacts.model import StackFiles

_HEAVY = """
import sys

HEAVY = {"torch", "transformers", "peft", "accelerate", "onnx", "onnxscript", "sqlalchemy",
         "fastapi", "lance", "polars", "pyarrow", "sklearn", "scipy", "trl", "datasets", "gguf",
         "tokenizers", "llguidance", "huggingface_hub"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in HEAVY:
            raise ImportError(f"{name} is not installed here")
        return None

sys.meta_path.insert(0, Blocker())
"""
_PROBED = """
from pathlib import Path

from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.families import registry
from dizuo.families.golden import probe, read_golden

family, target, *paths = sys.argv[1:]
levels = (Level.L0, Level.L1, Level.L2, Level.L2)
layers = tuple(LayerDirectory(level, "x", Path(path)) for level, path in zip(levels, paths))
stack = StackFiles("site", 1, "sha256:" + "0" * 64, target, layers)
footprint = registry.footprint(family).engine_bytes({"site": stack}, file_bytes=1_000_000)
engine = registry.runtime(family).open_engine({"site": stack}, threads=1)
found = probe(engine, "site", read_golden(layers[-1].directory), registry.scorer(family))
print(found.num_agree, found.num_rows, footprint > 1_000_000, registry.spec(family).check_row({}))
"""


def light(code: str, *arguments: str) -> str:
    """What code prints where nothing heavy is installed."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{_HEAVY}{code}\nprint(sorted(HEAVY & set(sys.modules)))",
            *arguments,
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, imported = done.stdout.rstrip("\n").rsplit("\n", 1)
    assert imported == "[]"
    return said


def probed(family: str, files: StackFiles) -> str:
    """What a site finds out about a stack: how many rows of its golden set agree, of how many,
    whether its engine is said to take more than its files, and why a row of nothing is refused."""
    paths = [str(layer.directory) for layer in files.layers]
    return light(_PROBED, family, files.target, *paths)
