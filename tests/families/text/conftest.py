"""A chain of tuned layers, built once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.families.text.tuning_factory import DPO, build, preferences, tickets

from dizuo.artifacts.model import StackFiles

NUM_ROWS = 60


@pytest.fixture(scope="session")
def chain_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chain")


@pytest.fixture(scope="session")
def base(chain_root: Path) -> StackFiles:
    """A base (L0)."""
    return build(chain_root, "base", tickets(NUM_ROWS), None)


@pytest.fixture(scope="session")
def industry(chain_root: Path, base: StackFiles) -> StackFiles:
    """LoRA on it (L1)."""
    return build(chain_root, "industry", tickets(NUM_ROWS, seed=1), base)


@pytest.fixture(scope="session")
def scenario(chain_root: Path, industry: StackFiles) -> StackFiles:
    """Preferences on that (L2)."""
    return build(chain_root, "scenario", preferences(NUM_ROWS, seed=2), industry, method=DPO)
