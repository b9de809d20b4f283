"""From an answer at a site to a sample at the hub, with a real agent process."""

from __future__ import annotations

import json
import re

import httpx2
import pytest
from tests.agent.agent_process import AgentProcess, request
from tests.agent.hub_simulator import HubSimulator
from tests.agent.test_cli import dizuo


def serve(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.start()
    hub.direct("site3", hub.build(scale=1.0).direction("meter"))
    agent.wait_until_serves(1)


def test_unsure_rows_reach_the_hub(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.settings |= {"DIZUO_AGENT_EGRESS_POLICY": "raw", "DIZUO_AGENT_CONTROL_SHARE": "0"}
    serve(agent, hub)
    agent.sides(-0.5, 7.0, 99.0)  # at the threshold, dull, and far out
    hub.wait_for_samples(2)
    found = {(s.row["value"], s.reason) for s in hub.samples.values()}
    assert found == {(-0.5, "uncertain"), (99.0, "novel")}
    agent.wait(lambda status: status["samples_waiting"] == 0 and status["answers"] == 1)
    lines = [json.loads(line) for line in agent.home.egress_log.read_text().splitlines()]
    assert [line["what"] for line in lines] == ["allowed", "allowed", "accepted", "accepted"]


@pytest.mark.slow
def test_measurements_that_say_so_are_not_sampled(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.settings |= {"DIZUO_AGENT_EGRESS_POLICY": "raw", "DIZUO_AGENT_CONTROL_SHARE": "1"}
    serve(agent, hub)
    url = f"{agent.url}/v2/models/meter/infer"
    httpx2.post(url, json=request(1.0), headers={"Dizuo-Sample": "no"})
    agent.sides(2.0)
    hub.wait_for_samples(1)
    assert agent.terminate() == 0
    assert {s.row["value"] for s in hub.samples.values()} == {2.0}


def test_policy_none_lets_nothing_out(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.settings |= {"DIZUO_AGENT_CONTROL_SHARE": "1"}
    serve(agent, hub)
    agent.sides(-0.5, 7.0, 99.0)
    assert agent.terminate() == 0  # after which everything that was answered has been looked at
    assert not agent.home.outbox.exists()
    assert not any("samples" in line for line in hub.requests)
    lines = [json.loads(line) for line in agent.home.egress_log.read_text().splitlines()]
    assert {line["what"] for line in lines} == {"denied"}
    assert sum(line["num_rows"] for line in lines) == 3


def test_rows_that_are_lost_are_counted(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.settings |= {"DIZUO_AGENT_EGRESS_POLICY": "raw", "DIZUO_AGENT_CONTROL_SHARE": "1"}
    serve(agent, hub)
    agent.home.outbox.write_bytes(b"in the way")
    agent.sides(1.0, 2.0)
    agent.wait(lambda status: status["samples_dropped"] == 2)
    agent.home.outbox.unlink()
    agent.sides(3.0)
    hub.wait_for_samples(1)
    shown = dizuo("agent", "status", "--home", str(agent.home.root)).stdout
    assert re.search(r"samples dropped\s+2", shown)


def test_a_strangers_policy_decides_what_leaves(agent: AgentProcess, hub: HubSimulator) -> None:
    agent.settings |= {
        "DIZUO_AGENT_EGRESS_POLICY": "without-photos",
        "DIZUO_AGENT_CONTROL_SHARE": "1",
    }
    serve(agent, hub)
    agent.sides(7.0)
    hub.wait_for_samples(1)
    assert [sample.row for sample in hub.samples.values()] == [{"value": 7.0}]
    assert hub.wait_for("site3", lambda _said: True).egress_policy == "without-photos"


def test_the_outbox_survives_a_kill_and_a_hub_that_is_gone(
    agent: AgentProcess, hub: HubSimulator
) -> None:
    agent.settings |= {"DIZUO_AGENT_EGRESS_POLICY": "raw", "DIZUO_AGENT_CONTROL_SHARE": "1"}
    serve(agent, hub)
    hub.stop()
    agent.sides(*range(20))
    agent.wait(lambda _status: len(list(agent.home.outbox.glob("*.json"))) == 20)
    agent.kill()
    agent.start()
    agent.wait(lambda status: status["state"] == "serving")
    agent.sides(*range(10, 30))  # half of them wait already
    agent.wait(lambda _status: len(list(agent.home.outbox.glob("*.json"))) == 30)
    hub.start()
    hub.wait_for_samples(30)
    agent.wait(lambda _status: not list(agent.home.outbox.glob("*.json")))
    assert sum(hub.uploads) == len(hub.samples) == 30
