"""What the pages of runs are looked at with: pictures, and a recipe that trains in seconds."""

from __future__ import annotations

from pathlib import Path

from tests.cli.door import ok
from tests.e2e.pictures import write_folder

RECIPE = """\
# how we read bars
name: {name}
level: L0
family: vision
from: scratch
data: {{train: bars@1}}
method:
  kind: pretrain
  epochs: {epochs}
  learning_rate: 0.01
  batch_size: 16
  architecture: {{type: resnet, embedding_size: 4, hidden_sizes: [4, 8], depths: [1, 1],
                 image: {{height: 8, width: 8, channels: 1}}}}
task: {{kind: classify}}
gates:
  - {{suite: bars-test@1, metric: accuracy, at_least: 0.1}}
targets: [safetensors, onnx]
"""


def add_bars(home: Path, folder: Path) -> None:
    """Let a hub have the datasets `bars@1` and `bars-test@1`."""
    pictures = write_folder(folder, 160, seed=1)
    arguments = ("bars", str(pictures), "--family", "vision", "--holdout", "0.3")
    ok("--home", str(home), "data", "add", *arguments)


def recipe(name: str = "bars", epochs: int = 4) -> str:
    """A recipe on `bars@1`."""
    return RECIPE.format(name=name, epochs=epochs)
