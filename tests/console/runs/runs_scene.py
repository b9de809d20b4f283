"""What the pages of runs are looked at with: pictures, and a recipe that trains in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cli.door import ok
from tests.console.conftest import Place
from tests.e2e.pictures import write_folder

from dizuo.core.ids import new_id
from dizuo.core.progress import Progress
from dizuo.runs import service
from dizuo.runs.events import EventWriter
from dizuo.runs.folder import AttemptPlan, run_folder

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


def add_run(
    place: Place,
    kind: str,
    spec: dict[str, Any],
    losses: Sequence[float],
    ended: dict[str, Any],
    *,
    project: str = "default",
) -> str:
    """An ended run that has told these losses; `ended` is its outcome, or its error with a code."""
    with place.database.transaction() as session:
        run = service.submit(session, kind, spec, new_id(), "account:bo", project_id=project)
        service.start(session, run.id, 0)
        if "code" in ended:
            service.fail(session, run.id, 1, ended)
        else:
            service.succeed(session, run.id, 1, ended)
    attempt = run_folder(place.home, run.id).attempt(1)
    attempt.open(AttemptPlan(1, 1, 1, 1))
    attempt.log_path.write_text("reading\ntraining\n")
    tell = EventWriter(attempt.events_path)
    tell(Progress("read", 112, 112, "row", "bars@1"))
    for step, loss in enumerate(losses, start=1):
        metrics = {"loss": loss, "learning_rate": 0.01 * (1 - step / (len(losses) + 1))}
        tell(Progress("train", step, len(losses), metrics=metrics))
    tell.close()
    return run.id
