"""The test families, a simulated hub, and agents: in this process and as processes of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agent.agent_process import AgentProcess, install
from tests.agent.hub_simulator import HubSimulator

from dizuo.families import registry

PLUGINS = Path(__file__).parent / "plugins"


@pytest.fixture(scope="package", autouse=True)
def scales_family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the test families as a stranger's package would be: on the path, with entry points.

    Engine processes and agent processes find it through PYTHONPATH. They are gone again when tests
    of other rooms run: the console asks every installed family whether it can use a file.
    """
    site = tmp_path_factory.mktemp("site-packages")
    metadata = site / "scales_family-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: scales-family\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[dizuo.families]\nscales = scales_family\ncounting = counting_family\n"
        "[dizuo.egress]\nwithout-photos = blunt_policy:WithoutPhotos\n"
    )
    patch = pytest.MonkeyPatch()
    for folder in (str(PLUGINS), str(site)):
        patch.syspath_prepend(folder)
    paths = (str(PLUGINS), str(site), os.environ.get("PYTHONPATH", ""))
    patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    registry.family_packages.cache_clear()
    yield
    patch.undo()
    registry.family_packages.cache_clear()
    for name in [name for name in sys.modules if name.startswith(("scales_f", "counting_f"))]:
        del sys.modules[name]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubSimulator]:
    """A running simulated hub."""
    simulator = HubSimulator(tmp_path / "hub")
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture
def agent(tmp_path: Path, hub: HubSimulator) -> Iterator[AgentProcess]:
    """A site that has joined the simulated hub; its process is not started yet."""
    process = AgentProcess(tmp_path / "agent", hub)
    process.join()
    yield process
    process.kill()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AgentProcess, HubSimulator]]:
    """A site that serves, for the tests of one module to share."""
    folder = tmp_path_factory.mktemp("site")
    hub = HubSimulator(folder / "hub")
    hub.start()
    agent = AgentProcess(folder / "agent", hub)
    agent.join()
    install(agent, hub)
    yield agent, hub
    agent.kill()
    hub.stop()
