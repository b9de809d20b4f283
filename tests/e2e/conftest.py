"""One real hub and one real site for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.cli.door import ok
from tests.e2e import language
from tests.e2e.pictures import write_folder
from tests.e2e.refusals import RunningHub
from tests.e2e.site import RunningSite, run_site

from dizuo.client.credentials import ClientSettings, find_credentials
from dizuo.client.hub import HubClient
from dizuo.demo.processes import Fleet, free_port, wait_until_answers

READER = """
name: reader
level: L0
family: vision
from: scratch
seed: {seed}
data: {{train: bars@1}}
method:
  kind: pretrain
  epochs: 4
  learning_rate: 0.01
  batch_size: 16
  architecture: {{type: resnet, embedding_size: 4, hidden_sizes: [4, 8], depths: [1, 1],
                 image: {{height: 8, width: 8, channels: 1}}}}
task: {{kind: classify}}
gates:
  - {{suite: bars-test@1, metric: accuracy, at_least: 0.1}}
targets: [safetensors, onnx]
"""


@pytest.fixture(scope="package", autouse=True)
def _nothing_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the person who runs the tests gets in."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith("DIZUO_"):
                environment.delenv(name)
        environment.setenv("DIZUO_HOME", str(tmp_path_factory.mktemp("nobody") / "home"))
        yield


@pytest.fixture(scope="package")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub that was set up as a person does it, with one dataset and its suite."""
    folder = tmp_path_factory.mktemp("hub")
    home, port = folder / "home", free_port()
    ok("--home", str(home), "keys", "init")
    first_timestamp = (home / "tuf" / "timestamp.json").read_bytes()
    with Fleet(folder / "logs") as fleet:
        arguments = ["up", "--home", str(home), "--port", str(port)]
        process = fleet.start("hub", arguments, {"DIZUO_POLL_SECONDS": "0.2"})
        wait_until_answers(process, f"http://127.0.0.1:{port}/api/v1/health")
        bars = write_folder(folder / "bars", 160, seed=1)
        ok(
            "--home",
            str(home),
            "data",
            "add",
            "bars",
            str(bars),
            "--family",
            "vision",
            "--holdout",
            "0.3",
        )
        known = find_credentials(ClientSettings.load(home=home))
        with HubClient(known.url, known.token) as client:
            yield RunningHub(home, client, known.token, first_timestamp)


@pytest.fixture
def at_hub(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> RunningHub:
    """The hub, which commands of this process find by themselves."""
    monkeypatch.setenv("DIZUO_HOME", str(hub.home))
    return hub


@pytest.fixture(scope="package")
def released(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> RunningHub:
    """The hub with two small real stacks, `reader:1` and `reader:2`, gated and signed."""
    for seed in (1, 2):
        recipe = tmp_path_factory.mktemp("recipe") / "reader.yaml"
        recipe.write_text(READER.format(seed=seed))
        ok("--home", str(hub.home), "tune", str(recipe))
        ok("--home", str(hub.home), "release", f"reader:{seed}")
    return hub


@pytest.fixture(scope="package")
def site(released: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site of that hub, which serves `reader:1` as `reader`."""
    with run_site(released, tmp_path_factory.mktemp("site"), "counter") as running:
        running.direct_to("reader:1")
        running.wait_until_serves("reader:1")
        yield running


@pytest.fixture(scope="package")
def speaking(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> RunningHub:
    """The hub with a small language model, `tongue:1`, the same from a GGUF file, and tickets."""
    language.bring_in(hub.home, tmp_path_factory.mktemp("language"))
    return hub


@pytest.fixture(scope="package")
def talker(speaking: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site of that hub, which serves both language models under their names."""
    home = ("--home", str(speaking.home))
    names = (language.MODEL, language.GGUF_MODEL)
    for name in names:
        assert "passed" in ok(*home, "gate", f"{name}:1").out
        ok(*home, "release", f"{name}:1")
    with run_site(speaking, tmp_path_factory.mktemp("talker"), "talker") as running:
        for name in names:
            ok(*home, "rollout", "start", f"{name}:1", "--site", "talker", "--as", name)
        running.wait(
            lambda shown: shown["state"] == "serving" and len(shown["stacks"]) == len(names)
        )
        yield running
