"""A real vision stack, trained and exported here, served by a real agent."""

from __future__ import annotations

from pathlib import Path

import httpx2
from tests.agent.agent_process import AgentProcess
from tests.agent.hub_simulator import HubSimulator
from tests.families.vision.factory import Built, build, first_labels, shapes

from dizuo.artifacts.model import FileRole, LayerFile
from dizuo.artifacts.stacks import StackDraft, compose
from dizuo.edge.wire import Direction
from dizuo.families import registry
from dizuo.releases.repository import StackTarget


def release(hub: HubSimulator, built: Built, parent_digest: str | None) -> Direction:
    """Compose a trained stack's own layer on its parent, sign it, and direct to it."""
    files = built.onnx
    layer = tuple(
        LayerFile(str(path.relative_to(files.top.directory)), path, FileRole.WEIGHTS)
        for path in sorted(files.top.directory.rglob("*"))
        if path.is_file()
    )
    draft = StackDraft(
        "default", files.name, 1, files.top.level, "vision", parent_digest, {files.target: layer}
    )
    digest = compose(hub.layout, draft)
    hub.layout.tag(f"default/{files.name}", "1", digest)
    size_bytes = hub.layout.path(digest).stat().st_size
    level = files.top.level.value
    hub.repository.add_target(
        StackTarget("default", files.name, 1, digest, size_bytes, "vision", level)
    )
    return Direction(
        served_as=files.name,
        name=files.name,
        version=1,
        digest=digest,
        family="vision",
        target=files.target,
    )


def test_a_vision_stack_answers_as_it_did_at_the_hub(
    agent: AgentProcess, hub: HubSimulator, tmp_path: Path
) -> None:
    agent.settings |= {"DIZUO_AGENT_EGRESS_POLICY": "raw", "DIZUO_AGENT_CONTROL_SHARE": "1"}
    rows = first_labels(90, 3, seed=1)
    base = build(tmp_path / "vision", "sight", shapes(200), None)
    meter = build(tmp_path / "vision", "meter", rows, base)
    directions = [release(hub, base, None)]
    directions.append(release(hub, meter, directions[0].digest))
    agent.start()
    hub.direct("site3", *directions)
    agent.wait_until_serves(1)
    assert len(agent.engine_pids()) == 1  # one session for both
    spec, asked = registry.spec("vision"), rows[:8]
    engine = registry.runtime("vision").open_engine({"meter": meter.onnx}, threads=1)
    expected = engine.infer("meter", spec.request(asked))
    engine.close()
    answer = httpx2.post(f"{agent.url}/v2/models/meter/infer", json=spec.request(asked)).json()
    assert answer["outputs"] == expected.response["outputs"]
    assert answer["parameters"]["stack_digest"] == directions[1].digest
    hub.wait_for_samples(8)
    returned = [sample.answer for sample in hub.samples.values()]
    assert sorted(map(str, returned)) == sorted(str(o.answer) for o in expected.observations)
    bad = httpx2.post(f"{agent.url}/v2/models/meter/infer", json={"inputs": []})
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_input")
