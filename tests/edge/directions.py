"""Directions, and sites that trust a simulated hub."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.edge.simulator import Simulator

from dizuo.core.digests import sha256_bytes
from dizuo.edge.trust import (
    SignedStack,
    TrustStore,
)
from dizuo.edge.wire import Direction

DIGEST = "sha256:" + "a" * 64
OTHER_DIGEST = "sha256:" + "b" * 64
PATH = "default/meter-reading/1.json"


def direction(**changes: object) -> Direction:
    fields = {
        "served_as": "meters",
        "name": "meter-reading",
        "version": 1,
        "digest": DIGEST,
        "family": "vision",
        "target": "onnx",
    }
    return Direction.model_validate({**fields, **changes})


def pinned(hub: Simulator, directory: Path) -> TrustStore:
    root = hub.files["/1.root.json"]
    store = TrustStore(directory)
    store.pin_root(root, sha256_bytes(root))
    return store


def update_to_version_2(store: TrustStore, hub: Simulator) -> SignedStack:
    store.refresh(hub)
    return store.verify(direction(version=2, digest=OTHER_DIGEST), "default")


def keep_by_hand(hub: Simulator, metadata: Path) -> None:
    """Put the hub's newest files where a site keeps them, as if time had passed since."""
    shutil.rmtree(metadata)
    (metadata / "root_history").mkdir(parents=True)
    for role in ("timestamp", "snapshot", "targets", "project-default"):
        (metadata / f"{role}.json").write_bytes(hub.files[hub.newest(role)])
