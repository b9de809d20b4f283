"""Sites of language models that are killed, cut off and damaged on disk: real engines, real files.

What `test_kills` and `test_faults` show of every family by one that answers at once, here with
llama.cpp, GGUF files and stacks that share a base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from tests.agent.agent_process import AgentProcess
from tests.agent.composing import release
from tests.agent.hub_simulator import HubSimulator
from tests.agent.test_faults import hub_gone
from tests.agent.test_kills import (
    DEATHS,
    DEATHS_ONCE_COMMITTED,
    engines_in,
    goes_on_until_it_dies,
    kill_and_come_back_without_the_hub,
    start_without_the_hub,
    wait_until,
)
from tests.families.text.served import PROMPTS, exported, train
from tests.families.text.slow_reader import LONG, SHORT, expect_what_it_says, slow_reader

from dizuo.agent import generations
from dizuo.artifacts.model import StackFiles
from dizuo.artifacts.stacks import read_stack
from dizuo.core.digests import sha256_file
from dizuo.edge.wire import Direction
from dizuo.families.text.layer import ADAPTER_GGUF_NAME, MODEL_GGUF_NAME
from dizuo.families.text.runtime import open_engine

MODEL = "hotline"
IN_TURN = ("scenario", "industry")
"""What generations of an even and of an odd number serve."""
READING_SECONDS = 0.5
"""Of processor time: far more than an engine takes that has nothing to do."""
Deaths = Sequence[tuple[str, str]]
SOME_DEATHS: Deaths = (
    ("probing", "dizuo.agent.probe:RemoteEngine.infer after 3"),
    ("switching", "dizuo.agent.slots:Slots.switch after 2"),
    ("serving", "dizuo.agent.home:AgentHome.write_active before 1"),
)
SOME_DEATHS_ONCE_COMMITTED: Deaths = (
    ("serving", "dizuo.agent.home:AgentHome.write_active after 1"),
)
"""While the new generation is asked its golden set, is switched to, and becomes the active one."""


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StackFiles]:
    """A base, an L1 and an L2 whose categories differ, as sites serve them."""
    trained, root = train(tmp_path_factory.mktemp("trained")), tmp_path_factory.mktemp("exported")
    return {name: exported(root, trained[name]) for name in ("qwen", *IN_TURN[::-1])}


@pytest.fixture(scope="module")
def answers(stacks: dict[str, StackFiles]) -> dict[str, list[str]]:
    """What each stack says of PROMPTS, asked in this process."""
    engine = open_engine({name: stacks[name] for name in IN_TURN}, threads=1)
    found = {
        name: [content(engine.infer(name, chat(prompt)).response) for prompt in PROMPTS]
        for name in IN_TURN
    }
    engine.close()
    assert found["industry"] != found["scenario"]
    return found


def chat(prompt: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], "temperature": 0}


def content(answer: Mapping[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


def ask(agent: AgentProcess, body: Mapping[str, Any], model: str = MODEL) -> httpx2.Response:
    url = f"{agent.url}/v1/chat/completions"
    return httpx2.post(url, json={**body, "model": model}, timeout=60)


@dataclass(frozen=True)
class TextSite:
    """A site that serves one name, by one stack and the other in turn."""

    agent: AgentProcess
    hub: HubSimulator
    directions: Mapping[str, Direction]
    answers: Mapping[str, Sequence[str]]

    def turn_round(self) -> int:
        """Direct the site to the other stack; returns the generation."""
        number = self.hub.sites["site3"].desired.generation + 1
        return self.hub.direct("site3", self.directions[IN_TURN[number % 2]]).generation

    def serves(self, generation: int) -> None:
        """One engine holds the generation's files, as they were signed, and it answers right."""
        stack = IN_TURN[generation % 2]
        assert self.agent.status()["running"]["generation"] == generation
        replies = [ask(self.agent, chat(prompt)).json() for prompt in PROMPTS]
        assert [content(reply) for reply in replies] == self.answers[stack]
        digest = self.directions[stack].digest
        assert {reply["stack_digest"] for reply in replies} == {digest}
        self._holds_only_signed_files(digest, self.agent.home.generations / str(generation))

    def _holds_only_signed_files(self, digest: str, folder: Path) -> None:
        target = read_stack(self.hub.layout, digest).targets[self.directions["industry"].target]
        signed = {file.path: file.blob.digest for layer in target.layers for file in layer.files}
        assert engines_in(self.agent.home) == self.agent.engine_pids()
        (engine,) = self.agent.engine_pids()
        opened = {Path(one.path) for one in psutil.Process(engine).memory_maps()}
        (model,) = [path for path in opened if path.suffix == ".gguf"]
        assert model.is_relative_to(folder)
        assert sha256_file(model) == signed[MODEL_GGUF_NAME]
        generations.verify(generations.load(folder.parent, int(folder.name)))


@pytest.fixture
def site(
    agent: AgentProcess,
    hub: HubSimulator,
    stacks: dict[str, StackFiles],
    answers: dict[str, list[str]],
) -> TextSite:
    """Generation 1 serves."""
    directions: dict[str, Direction] = {}
    for name, below in (("qwen", None), ("industry", "qwen"), ("scenario", "industry")):
        parent = directions[below].digest if below else None
        signed = release(hub, stacks[name], "text", parent)
        directions[name] = signed.model_copy(update={"served_as": MODEL})
    site = TextSite(agent, hub, directions, answers)
    agent.start()
    agent.wait_until_serves(site.turn_round())
    return site


@pytest.mark.parametrize(
    ("deaths", "once_committed"),
    [
        pytest.param(SOME_DEATHS, SOME_DEATHS_ONCE_COMMITTED, id="some"),
        pytest.param(
            DEATHS,
            DEATHS_ONCE_COMMITTED,
            id="all",
            marks=[pytest.mark.slow, pytest.mark.timeout(900)],
        ),
    ],
)
def test_killed_on_the_way_to_another_generation(
    site: TextSite, deaths: Deaths, once_committed: Deaths
) -> None:
    agent, hub = site.agent, site.hub
    agent.kill()
    site.turn_round()
    for step, place in deaths:
        dies(site, step, place)
        assert agent.home.read_active().generation == 1, place
    for step, place in once_committed:
        dies(site, step, place)
        assert agent.home.read_active().generation == hub.sites["site3"].desired.generation, place
        site.turn_round()
    site.serves(start_without_the_hub(agent, hub))
    hub.start()
    desired = hub.sites["site3"].desired.generation
    agent.wait_until_serves(desired)
    wait_until(lambda: len(agent.engine_pids()) == 1)  # the old one's has ended
    site.serves(desired)
    assert hub.wait_for("site3", lambda said: said.state == "serving").error is None


def dies(site: TextSite, step: str, place: str) -> None:
    """Without the hub it answers as before; with it, it goes on until it dies at `place`."""
    site.serves(start_without_the_hub(site.agent, site.hub, place))
    goes_on_until_it_dies(site.agent, site.hub, step, place)


def halve(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def damage(agent: AgentProcess, file: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of generation 2's top layer that has it, and the blob that it is a link to."""
    path = sorted((agent.home.generations / "2").rglob(file))[-1]
    path.chmod(0o644)
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [pytest.param(halve, id="cut"), pytest.param(flip, marks=pytest.mark.slow, id="flipped")],
)
def test_a_damaged_adapter_is_never_opened(
    site: TextSite, change: Callable[[bytes], bytes]
) -> None:
    """The generation before, which does without it, serves until the hub is back."""
    agent = site.agent
    agent.wait_until_serves(site.turn_round())
    agent.terminate()
    damage(agent, ADAPTER_GGUF_NAME, change)
    with hub_gone(site.hub):
        agent.start()
        agent.wait(lambda status: status["step"] == "serving")
        assert agent.status()["error"]["code"] == "generation_damaged"
        site.serves(1)
    agent.wait_until_serves(2)
    wait_until(lambda: len(agent.engine_pids()) == 1)
    site.serves(2)


@pytest.mark.parametrize(
    "change",
    [pytest.param(flip, id="flipped"), pytest.param(halve, marks=pytest.mark.slow, id="cut")],
)
def test_a_damaged_base_is_never_opened(site: TextSite, change: Callable[[bytes], bytes]) -> None:
    """Both generations lie on it, so nothing serves until the hub is back."""
    agent = site.agent
    agent.wait_until_serves(site.turn_round())
    agent.terminate()
    damage(agent, MODEL_GGUF_NAME, change)
    with hub_gone(site.hub):
        agent.start()
        agent.wait(lambda status: bool(status.get("error")) and status["step"] == "empty")
        assert ask(agent, chat(PROMPTS[0])).status_code == 503
        assert agent.engine_pids() == []
    agent.wait_until_serves(2)
    site.serves(2)


def test_a_cut_transfer_goes_on_where_it_stopped(
    agent: AgentProcess,
    hub: HubSimulator,
    stacks: dict[str, StackFiles],
    answers: dict[str, list[str]],
) -> None:
    base = release(hub, stacks["qwen"], "text", None)
    signed = release(hub, stacks["industry"], "text", base.digest)
    direction = signed.model_copy(update={"served_as": MODEL})
    weights = stacks["qwen"].base.directory / MODEL_GGUF_NAME
    hub.faults.cuts["/v2/.*/blobs/"] = weights.stat().st_size // 3
    agent.start()
    hub.direct("site3", direction)
    heard = hub.wait_for("site3", lambda said: said.state == "serving")
    held = generations.load(agent.home.generations, 1).size_bytes
    assert held < heard.bytes_first_install < held * 1.2
    TextSite(agent, hub, {"industry": direction}, answers).serves(1)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> StackFiles:
    stack = slow_reader(tmp_path_factory.mktemp("reading") / "slow")
    expect_what_it_says(stack)
    return stack


def test_killed_while_an_engine_reads_a_long_prompt(
    agent: AgentProcess, hub: HubSimulator, slow: StackFiles
) -> None:
    agent.start()
    hub.direct("site3", release(hub, slow, "text", None))
    agent.wait_until_serves(1)
    before = content(ask(agent, SHORT, "slow").json())
    with asked(agent, LONG) as answer:
        kill_and_come_back_without_the_hub(agent, hub)
        with pytest.raises(httpx2.TransportError):
            answer()
    assert len(engines_in(agent.home)) == 1
    assert content(ask(agent, SHORT, "slow").json()) == before


@contextmanager
def asked(agent: AgentProcess, body: Mapping[str, Any]) -> Iterator[Callable[[], httpx2.Response]]:
    """A request that the engine has begun to work on and has not answered."""
    (pid,) = agent.engine_pids()
    engine = psutil.Process(pid)
    taken = engine.cpu_times().user
    with ThreadPoolExecutor(1) as caller:
        reply = caller.submit(ask, agent, body, "slow")
        wait_until(lambda: engine.cpu_times().user > taken + READING_SECONDS)
        assert not reply.done()
        yield reply.result
