"""A hub that has signed one stack, and a site that has seen it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.edge.directions import DIGEST, PATH, direction, pinned
from tests.edge.simulator import Simulator

from dizuo.edge.trust import (
    TrustStore,
)


@pytest.fixture
def hub() -> Simulator:
    """A hub that has signed `meter-reading:1`."""
    simulator = Simulator()
    simulator.sign("default", PATH, DIGEST, size_bytes=1234)
    simulator.publish()
    return simulator


@pytest.fixture
def site(hub: Simulator, tmp_path: Path) -> TrustStore:
    """A site that trusts the hub's first root and has seen its metadata."""
    store = pinned(hub, tmp_path / "trust")
    store.refresh(hub)
    store.verify(direction(), "default")
    return store
