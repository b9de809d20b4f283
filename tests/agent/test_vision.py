"""A real vision stack, trained and exported here, served by a real agent."""

from __future__ import annotations

from pathlib import Path

import httpx2
from tests.agent.agent_process import AgentProcess
from tests.agent.composing import release
from tests.agent.hub_simulator import HubSimulator
from tests.families.vision.factory import build, first_labels, shapes

from dizuo.families import registry


def test_a_vision_stack_answers_as_it_did_at_the_hub(
    agent: AgentProcess, hub: HubSimulator, tmp_path: Path
) -> None:
    agent.settings |= {"DIZUO_AGENT_EGRESS_POLICY": "raw", "DIZUO_AGENT_CONTROL_SHARE": "1"}
    rows = first_labels(90, 3, seed=1)
    base = build(tmp_path / "vision", "sight", shapes(200), None)
    meter = build(tmp_path / "vision", "meter", rows, base)
    directions = [release(hub, base.onnx, "vision", None)]
    directions.append(release(hub, meter.onnx, "vision", directions[0].digest))
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
