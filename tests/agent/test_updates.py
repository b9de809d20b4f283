"""Updates of a real agent process by a simulated hub."""

from __future__ import annotations

from tests.agent.agent_process import AgentProcess
from tests.agent.hub_simulator import HubSimulator


def test_first_install_serves_the_signed_stack(agent: AgentProcess, hub: HubSimulator) -> None:
    built = hub.build(scale=-1.0)
    agent.start()
    hub.direct("site3", built.direction("meter"))
    agent.wait_until_serves(1)
    response = agent.ask(3.0, -3.0).json()
    assert response["outputs"][0]["data"] == ["low", "high"]
    assert response["model_name"] == "meter"
    assert response["model_version"] == "1"
    assert response["parameters"] == {"stack_digest": built.digest}
    heard = hub.wait_for("site3", lambda said: said.state == "serving")
    assert heard.running == hub.sites["site3"].desired
    assert heard.bytes_first_install > 300_000
    assert agent.terminate() == 0
