"""The agent must run where PyTorch, a database, FastAPI, Lance and the hub are absent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BLOCKER = """
import importlib.abc, sys

ABSENT = {
    "torch", "transformers", "peft", "accelerate", "sqlalchemy", "alembic", "fastapi", "lance",
    "pyarrow", "polars", "onnx", "onnxscript", "dbos", "ruamel", "sklearn", "scipy", "psycopg",
    "trl", "datasets", "gguf", "tokenizers", "llguidance", "huggingface_hub",
}
HUB = {
    "hub", "improvements", "sites", "releases", "runs", "stacks", "gates", "datasets", "access",
    "audit", "database", "demo", "console", "gateway",
}

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        parts = name.split(".")
        if parts[0] in ABSENT or (parts[0] == "dizuo" and len(parts) > 1 and parts[1] in HUB):
            raise ModuleNotFoundError(f"{name} is not installed here", name=name)
        return None

sys.meta_path.insert(0, Blocker())
"""
EVERYTHING = """
import importlib, pkgutil
import dizuo.agent
for module in pkgutil.iter_modules(dizuo.agent.__path__, "dizuo.agent."):
    importlib.import_module(module.name)
"""
FAMILY = """
from dizuo.families import registry
for part in (registry.spec, registry.scorer, registry.runtime, registry.footprint):
    part({name!r})
"""
HELP = """
from dizuo.cli.main import main
main(["agent", "run", "--help"])
"""


CODE = {
    "modules": EVERYTHING,
    "text": FAMILY.format(name="text"),
    "vision": FAMILY.format(name="vision"),
    "command": HELP,
}


@pytest.mark.parametrize("code", CODE.values(), ids=list(CODE))
def test_the_agent_needs_none_of_the_hub(code: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", BLOCKER + code],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_the_blocker_blocks() -> None:
    result = subprocess.run(
        [sys.executable, "-c", BLOCKER + "import dizuo.database.engine"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "is not installed here" in result.stderr
