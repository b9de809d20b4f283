from __future__ import annotations

import shutil
from pathlib import Path

from tests.improvements.parrot.runtime import LEARNED_NAME

from dizuo.artifacts.model import FileRole, LayerFile, StackFiles
from dizuo.core.progress import Reporter


def export(stack: StackFiles, target: str, output: Path, report: Reporter) -> tuple[LayerFile, ...]:
    path = output / LEARNED_NAME
    shutil.copyfile(stack.top.directory / LEARNED_NAME, path)
    return (LayerFile(LEARNED_NAME, path, FileRole.WEIGHTS),)
