"""Real stacks of real families in the simulated hub's registry."""

from __future__ import annotations

from tests.agent.hub_simulator import HubSimulator

from dizuo.artifacts.model import FileRole, LayerFile, StackFiles
from dizuo.artifacts.stacks import StackDraft, compose
from dizuo.edge.wire import Direction
from dizuo.releases.repository import StackTarget


def release(
    hub: HubSimulator, files: StackFiles, family: str, parent_digest: str | None
) -> Direction:
    """Compose a stack's own layer on its parent, sign it, and direct to it."""
    layer = tuple(
        LayerFile(str(path.relative_to(files.top.directory)), path, FileRole.WEIGHTS)
        for path in sorted(files.top.directory.rglob("*"))
        if path.is_file()
    )
    draft = StackDraft(
        "default", files.name, 1, files.top.level, family, parent_digest, {files.target: layer}
    )
    digest = compose(hub.layout, draft)
    hub.layout.tag(f"default/{files.name}", "1", digest)
    size_bytes = hub.layout.path(digest).stat().st_size
    level = files.top.level.value
    hub.repository.add_target(
        StackTarget("default", files.name, 1, digest, size_bytes, family, level)
    )
    return Direction(
        served_as=files.name,
        name=files.name,
        version=1,
        digest=digest,
        family=family,
        target=files.target,
    )
