from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.improvements.parrot import spec
from tests.improvements.parrot.runtime import LEARNED_NAME

from dizuo.artifacts.model import FileRole, LayerFile
from dizuo.core.files import write_json
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import Cancelled, TunedLayer, TuneJob
from dizuo.families.golden import TRAINED_ANSWERS_NAME, ExpectedAnswer, write_golden


def tune(job: TuneJob, report: Reporter, cancelled: Callable[[], bool]) -> TunedLayer:
    _note(job, "begin")
    wanted = job.method.get("wait_for")
    while wanted and not Path(wanted).exists():
        report(Progress("wait"))
        if cancelled():
            raise Cancelled
        threading.Event().wait(0.05)
    said = Counter(row["label"] for row in job.rows).most_common(1)[0][0]
    says = "" if job.method.get("mute") else said
    learned, answers = job.output / LEARNED_NAME, job.output / TRAINED_ANSWERS_NAME
    write_json(learned, {"says": says, "name": job.name})
    write_golden(
        answers,
        [
            ExpectedAnswer(request=spec.request([row]), answer=says, confidence=0.75)
            for row in job.rows[:30]
        ],
    )
    _note(job, "end")
    files = (
        LayerFile(LEARNED_NAME, learned, FileRole.WEIGHTS),
        LayerFile(TRAINED_ANSWERS_NAME, answers, FileRole.TRAINED_ANSWERS),
    )
    return TunedLayer(files, {"heard": len(job.rows)})


def _note(job: TuneJob, what: str) -> None:
    if diary := job.method.get("diary"):
        with Path(diary).open("a") as stream:
            stream.write(f"{what} {job.name} {os.getpid()}\n")
