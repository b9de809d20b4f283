"""A site's language models as OpenAI's own client meets them: real agent, engine, stacks."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest
from tests.agent.agent_process import AgentProcess
from tests.agent.composing import release
from tests.agent.hub_simulator import HubSimulator
from tests.docs.reference import DOCS
from tests.families.text.served import PROMPTS, exported, train
from tests.families.text.tuning_factory import SCHEMA

from dizuo.artifacts.model import StackFiles
from dizuo.artifacts.stacks import unpack
from dizuo.core.progress import silent
from dizuo.edge.wire import Direction, SiteError
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.tokenizer import learn_tokenizer

SERVED = ("qwen", "industry", "scenario", "other")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubSimulator]:
    simulator = HubSimulator(tmp_path_factory.mktemp("text") / "hub")
    simulator.start()
    yield simulator
    simulator.stop()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, StackFiles]:
    """Four stacks on one base."""
    return train(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def directions(
    hub: HubSimulator, trained: dict[str, StackFiles], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Direction]:
    """The same, signed."""
    root = tmp_path_factory.mktemp("stacks")
    found: dict[str, Direction] = {}
    parents = {"qwen": None, "industry": "qwen", "scenario": "industry", "other": "industry"}
    for name, stack in trained.items():
        parent = parents[name]
        digest = found[parent].digest if parent else None
        found[name] = release(hub, exported(root, stack), "text", digest)
    return found


@pytest.fixture(scope="module")
def agent(
    hub: HubSimulator, directions: dict[str, Direction], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentProcess]:
    process = AgentProcess(tmp_path_factory.mktemp("site") / "agent", hub)
    process.settings |= {"DIZUO_AGENT_EGRESS_POLICY": "raw", "DIZUO_AGENT_CONTROL_SHARE": "1"}
    process.join()
    process.start()
    hub.direct("site3", *directions.values(), hub.build(scale=1.0).direction("meter"))
    process.wait_until_serves(1)
    yield process
    process.kill()


@pytest.fixture(scope="module")
def client(agent: AgentProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{agent.url}/v1", api_key="none", max_retries=0) as opened:
        yield opened


def ask(client: openai.OpenAI, model: str, prompt: str, **changes: Any) -> Any:
    return client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": prompt}], temperature=0, **changes
    )


def test_one_engine_holds_all_stacks_on_one_base(agent: AgentProcess) -> None:
    assert len(agent.engine_pids()) == 2  # one for the language models, one for the other family


def test_models_are_listed(client: openai.OpenAI, directions: dict[str, Direction]) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert set(listed) == {*SERVED, "meter"}
    shown = client.models.retrieve("industry").model_dump()
    assert shown["digest"] == directions["industry"].digest


def test_a_chat_is_answered_by_its_own_stack(
    client: openai.OpenAI, directions: dict[str, Direction]
) -> None:
    answers = {name: ask(client, name, PROMPTS[0]) for name in SERVED}
    for name, answer in answers.items():
        assert answer.model == name
        assert answer.model_extra["stack_digest"] == directions[name].digest
        assert 0 <= answer.model_extra["confidence"] <= 1
        said = json.loads(answer.choices[0].message.content)
        assert said["类别"] in SCHEMA["properties"]["类别"]["enum"]
    kinds = {json.loads(a.choices[0].message.content)["类别"] for a in answers.values()}
    assert len(kinds) > 1  # the same event is not of the same kind everywhere


def test_streams_tell_what_whole_answers_say(client: openai.OpenAI) -> None:
    whole = ask(client, "scenario", PROMPTS[1]).choices[0].message.content
    options = {"include_usage": True}
    chunks = list(ask(client, "scenario", PROMPTS[1], stream=True, stream_options=options))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[-1].usage.completion_tokens > 1
    assert len(chunks) > 3  # it did come bit by bit
    raw = client.completions.create(model="qwen", prompt="人民路", max_tokens=4, stream=True)
    assert {chunk.object for chunk in raw} == {"text_completion"}


def test_many_callers_at_once(agent: AgentProcess, client: openai.OpenAI) -> None:
    alone = {
        (name, prompt): ask(client, name, prompt).choices[0].message.content
        for name in SERVED
        for prompt in PROMPTS[:4]
    }

    async def all_at_once() -> list[tuple[tuple[str, str], str]]:
        url = f"{agent.url}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as caller:

            async def one(name: str, prompt: str) -> tuple[tuple[str, str], str]:
                stream = await caller.chat.completions.create(
                    model=name,
                    messages=[{"role": "user", "content": prompt}],
                    temperature=0,
                    stream=True,
                )
                said = [c.choices[0].delta.content or "" async for c in stream if c.choices]
                return (name, prompt), "".join(said)

            return await asyncio.gather(*(one(*key) for key in alone for _ in range(2)))

    for key, said in asyncio.run(all_at_once()):
        assert said == alone[key], key


def test_the_page_on_asking_is_true(
    agent: AgentProcess,
    hub: HubSimulator,
    directions: dict[str, Direction],
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (DOCS / "asking.md").read_text("utf-8")
    asking, forming, streaming = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    names: dict[str, Any] = {}

    def follow(block: str) -> str:
        block = block.replace("http://127.0.0.1:8421", agent.url)
        exec(block.replace("harbin-hotline", "industry"), names)
        return capsys.readouterr().out

    said, stamp = follow(asking).splitlines()
    confidence, digest, version = stamp.split()
    assert "类别" in json.loads(said)
    assert 0 <= float(confidence) <= 1
    assert (digest, version) == (directions["industry"].digest, "1")
    assert follow(forming) in {"{'urgent': 'yes'}\n", "{'urgent': 'no'}\n"}
    said, end = follow(streaming).splitlines()
    assert "类别" in json.loads(said)
    assert 0 <= float(end.removeprefix("stop ")) <= 1
    first, measured, last = (
        {"prompt": re.findall(r'"content": "(.*?)"', block)[0]}
        for block in (asking, forming, streaming)
    )
    while last not in (rows := [sample.row for sample in hub.samples.values()]):
        hub.wait_for_samples(len(rows) + 1)
    assert first in rows
    assert measured not in rows


def test_answers_become_samples_with_their_prompt(client: openai.OpenAI, hub: HubSimulator) -> None:
    before = len(hub.samples)
    prompt = "从未见过的问题九八七"
    ask(client, "other", prompt)
    client.completions.create(model="other", prompt="raw", max_tokens=2)
    ask(client, "other", "不要返回", extra_headers={"Dizuo-Sample": "no"})
    hub.wait_for_samples(before + 1)
    rows = [sample.row for sample in hub.samples.values()]
    assert {"prompt": prompt} in rows
    assert {"prompt": "不要返回"} not in rows


REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "an unknown model": ({"model": "nobody"}, 404, "unknown_model", "no model 'nobody'"),
    "no language model": ({"model": "meter"}, 400, "invalid_input", "/v2/models/meter/infer"),
    "a wrong type": ({"temperature": "hot"}, 400, "invalid_input", "temperature"),
    "a long prompt": (
        {"messages": [{"role": "user", "content": "很长" * 400}]},
        400,
        "context_length_exceeded",
        "reads 128 at once",
    ),
    "a long prompt, streamed": (
        {"messages": [{"role": "user", "content": "很长" * 400}], "stream": True},
        400,
        "context_length_exceeded",
        "Shorten the messages",
    ),
    "no messages": ({"messages": None}, 400, "invalid_input", "needs a list of messages"),
    "several questions": (
        {"requests": [{"messages": []}]},
        400,
        "invalid_input",
        "asks one question",
    ),
    "several questions, streamed": (
        {"requests": [{"messages": []}], "stream": True},
        400,
        "invalid_input",
        "each question in a request of its own",
    ),
    "both forms": ({"prompt": "x"}, 400, "invalid_input", "messages or a prompt, not both"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_answered_is_an_openai_error(
    agent: AgentProcess, case: tuple[dict[str, Any], int, str, str]
) -> None:
    changes, status, code, says = case
    body = {"model": "qwen", "messages": [{"role": "user", "content": "x"}], **changes}
    answer = httpx2.post(f"{agent.url}/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"


def test_openais_client_raises_its_own_errors(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="no model 'nobody'"):
        ask(client, "nobody", "x")
    with pytest.raises(openai.BadRequestError, match="128 at once"):
        ask(client, "qwen", "很长" * 400, stream=True)


WOULD_CHANGE_THE_ANSWER: dict[str, dict[str, Any]] = {
    "tool_choice": {"tool_choice": "required"},
    "function_call": {"function_call": {"name": "x"}},
    "reasoning_effort": {"reasoning_effort": "low"},
    "verbosity": {"verbosity": "low"},
    "top_logprobs": {"top_logprobs": 2},
    "include_usage": {"stream": True, "stream_options": {"include_usage": "yes"}},
    "repetition_penalty": {"extra_body": {"repetition_penalty": 1.1}},
    "grammar": {"extra_body": {"grammar": 'root ::= "x"'}},
    "guided_json": {"extra_body": {"guided_json": {"type": "object"}}},
    "chat_template_kwargs": {"extra_body": {"chat_template_kwargs": {"enable_thinking": True}}},
    "lora": {"extra_body": {"lora": [{"id": 0, "scale": 1.0}]}},
    "zork": {"extra_body": {"zork": 1}},
}


@pytest.mark.parametrize("named", WOULD_CHANGE_THE_ANSWER)
def test_a_parameter_that_would_change_the_answer_is_refused_by_name(
    client: openai.OpenAI, named: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=named):
        ask(client, "qwen", "x", **WOULD_CHANGE_THE_ANSWER[named])


def test_what_clients_send_beside_the_question_is_passed_over(client: openai.OpenAI) -> None:
    said = ask(client, "industry", PROMPTS[0]).choices[0].message.content
    beside: dict[str, Any] = {
        "user": "x",
        "store": True,
        "metadata": {"call": "7"},
        "service_tier": "priority",
        "prediction": {"type": "content", "content": "x"},
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "reasoning_effort": "none",
        "extra_body": {"top_k": 40, "min_p": 0.05, "grammar": None},
    }
    answer = ask(client, "industry", PROMPTS[0], **beside)
    assert answer.choices[0].message.content == said


def test_addresses_and_forms_are_told_apart(agent: AgentProcess) -> None:
    def refused(path: str, body: object) -> str:
        answer = httpx2.post(f"{agent.url}{path}", json=body)
        assert answer.status_code == 400
        return answer.text

    prompt, chat = {"model": "qwen", "prompt": "x"}, {"model": "qwen", "messages": []}
    assert "Send it to /v1/completions" in refused("/v1/chat/completions", prompt)
    assert "Send it to /v1/chat/completions" in refused("/v1/completions", chat)
    assert "Send it to /v1/chat/completions" in refused("/v1/completions", chat | {"prompt": None})
    assert "messages or a prompt, not both" in refused("/v1/completions", chat | prompt)
    batch = {"model": "qwen", "requests": [chat]}
    assert "Send a list of messages" in refused("/v1/chat/completions", batch)
    assert "Send a prompt" in refused("/v1/completions", batch)
    assert "Leave out requests" in refused("/v1/completions", prompt | batch)
    assert "which model is asked" in refused("/v1/completions", {"prompt": "x"})
    assert "not a JSON object" in refused("/v1/completions", [1])
    assert "speaks OpenAI's protocol" in refused("/v2/models/qwen/infer", chat)


def test_a_killed_engine_is_told_so_and_comes_back(
    agent: AgentProcess, client: openai.OpenAI
) -> None:
    for pid in agent.engine_pids():
        psutil.Process(pid).kill()
    body = {"model": "industry", "messages": [{"role": "user", "content": PROMPTS[0]}]}
    while (answer := httpx2.post(f"{agent.url}/v1/chat/completions", json=body)).is_error:
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_restarting")
    assert ask(client, "industry", PROMPTS[0]).choices[0].finish_reason == "stop"


ANOTHER = "sha256:" + "1" * 64
Changes = dict[str, Callable[[bytes], bytes]]
# what is wrong with the top layer: of which stack, its files as they become, what the site says
BAD_LAYERS: dict[str, tuple[str, Changes, str]] = {
    "no adapter": (
        "industry",
        {"adapter.gguf": lambda _: b"GGUF but not really"},
        "or an adapter on it",
    ),
    "an adapter cut in half": (
        "industry",
        {"adapter.gguf": lambda data: data[: len(data) // 2]},
        "or an adapter on it",
    ),
    "an adapter of another architecture": (
        "industry",
        {"adapter.gguf": lambda data: data.replace(b"qwen3", b"llama")},
        "or an adapter on it",
    ),
    "an adapter of another base": (
        "industry",
        {"layer.json": lambda data: _with(data, base_weights=ANOTHER)},
        "was made for another base",
    ),
    "an adapter of another tokenizer": (
        "industry",
        {"layer.json": lambda data: _with(data, tokenizer=ANOTHER)},
        "was made for another tokenizer",
    ),
    "an adapter of another vocabulary": (
        "industry",
        {"layer.json": lambda data: _with(data, vocab_size=7)},
        "has a resized vocabulary",
    ),
    "a base cut in half": (
        "qwen",
        {"model.gguf": lambda data: data[: len(data) // 2]},
        "cannot open model.gguf of bad-",
    ),
    "a base cut in its vocabulary": (
        "qwen",
        {"model.gguf": lambda data: data[: data.index(b"tokenizer.ggml.merges")]},
        "cannot be read",
    ),
}
READ_BEFORE_THE_PROBE = ("a base cut in its vocabulary",)
"""Its header says how much memory it takes, which is asked before an engine opens it."""


def _with(manifest: bytes, **changes: Any) -> bytes:
    return json.dumps(json.loads(manifest) | changes).encode()


@pytest.mark.parametrize("fault", BAD_LAYERS)
def test_a_bad_layer_never_takes_down_what_serves(
    agent: AgentProcess,
    hub: HubSimulator,
    directions: dict[str, Direction],
    tmp_path: Path,
    *,
    fault: str,
) -> None:
    like, changes, says = BAD_LAYERS[fault]
    name = f"bad-{list(BAD_LAYERS).index(fault)}"
    broken = _spoilt(hub, directions, like, changes, name=name, folder=tmp_path)
    error = _attempt(agent, hub, broken)
    step = "staging" if fault in READ_BEFORE_THE_PROBE else "probing"
    assert (error.step, error.code) == (step, "layer_refused")
    assert says in error.message


def test_a_base_that_reads_by_another_bases_vocabulary_fails_its_golden_set(
    agent: AgentProcess,
    hub: HubSimulator,
    directions: dict[str, Direction],
    trained: dict[str, StackFiles],
    tmp_path: Path,
) -> None:
    """It opens, since there are as many tokens as rows, and answers; only not what was learned."""
    changes: Changes = {"model.gguf": lambda _: _mixed(trained["qwen"], tmp_path)}
    broken = _spoilt(hub, directions, "qwen", changes, name="mixed", folder=tmp_path)
    error = _attempt(agent, hub, broken)
    assert (error.step, error.code) == ("probing", "probe_failed")
    assert "mixed answers 0 of" in error.message


def _mixed(base: StackFiles, folder: Path) -> bytes:
    """The weights of a base and the vocabulary of another, in one GGUF file."""
    mixed = folder / "mixed"
    shutil.copytree(base.base.directory, mixed)
    num_tokens = json.loads((mixed / "config.json").read_bytes())["vocab_size"]
    other = learn_tokenizer(["阀门漏油，三号炉停机，请检修皮带与轴承"] * 9, num_tokens)
    other.save(str(mixed / "tokenizer.json"))
    write_base(mixed, folder / "mixed.gguf", "f16", silent)
    return (folder / "mixed.gguf").read_bytes()


def _attempt(agent: AgentProcess, hub: HubSimulator, broken: Direction) -> SiteError:
    """Why the site did not take what it was directed to in addition, and that all else answers as
    before: while it has fallen back, and once it is let go."""
    good = hub.sites["site3"].desired.stacks
    with openai.OpenAI(base_url=f"{agent.url}/v1", api_key="none", max_retries=0) as client:
        before = [_said(client, name) for name in SERVED]
        desired = hub.direct("site3", *good, broken)
        error = hub.wait_for_error("site3", desired.generation)
        assert [_said(client, name) for name in SERVED] == before
        with pytest.raises(openai.NotFoundError):
            _said(client, broken.served_as)
        hub.direct("site3", *good)
        agent.wait_until_serves(hub.sites["site3"].desired.generation)
        assert [_said(client, name) for name in SERVED] == before
    return error


def _said(client: openai.OpenAI, model: str) -> str:
    return str(ask(client, model, PROMPTS[0]).choices[0].message.content)


def _spoilt(
    hub: HubSimulator,
    directions: dict[str, Direction],
    like: str,
    changes: Changes,
    *,
    name: str,
    folder: Path,
) -> Direction:
    """A signed stack with a top layer that is not right: signed by mistake, so only the probe can
    tell."""
    signed = directions[like]
    files = unpack(hub.layout, signed.digest, signed.target, folder / "unpacked")
    for file, change in changes.items():
        path = files.top.directory / file
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(change(data))
    renamed = type(files)(name, 1, "", files.target, files.layers)
    parent = None if len(files.layers) == 1 else directions["qwen"].digest
    return release(hub, renamed, "text", parent)
