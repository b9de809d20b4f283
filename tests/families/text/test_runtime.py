"""Text stacks as they are served: exported, on a pristine base, several at once."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.families.text.served import PROMPTS, exported, train
from tests.families.text.tuning_factory import PRETRAIN, SCHEMA, build, tickets

from dizuo.artifacts.model import StackFiles
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import InvalidInput
from dizuo.families import registry
from dizuo.families.base import Answer
from dizuo.families.errors import (
    ContextOverflow,
    GenerationFailed,
    LayerRefused,
    UnknownStack,
)
from dizuo.families.golden import probe, read_golden, read_trained_answers
from dizuo.families.text import llama, spec
from dizuo.families.text.excerpts import is_excerpt
from dizuo.families.text.layer import read_manifest
from dizuo.families.text.llama import CALLS_PER_TURN, EMBEDDED_WHEN_BUSY
from dizuo.families.text.parameters import NEUTRAL, PASSED_OVER, REFUSED, TAKEN
from dizuo.families.text.runtime import LlamaEngine, open_engine
from dizuo.families.text.slots import SLOTS
from dizuo.families.text.turns import Turns

NUM_MIXED = 300
PATIENCE_SECONDS = 60
NAMES = ("qwen", "industry", "scenario", "other")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def trained(root: Path) -> dict[str, StackFiles]:
    return train(root)


@pytest.fixture(scope="module")
def stacks(root: Path, trained: dict[str, StackFiles]) -> dict[str, StackFiles]:
    """The same in GGUF."""
    return {name: exported(root, stack) for name, stack in trained.items()}


@pytest.fixture(scope="module")
def engine(stacks: dict[str, StackFiles]) -> LlamaEngine:
    return open_engine(stacks, threads=1)


def chat(prompt: str, **changes: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], "temperature": 0, **changes}


def content(answer: Answer) -> str:
    """What a chat was answered."""
    return str(answer.response["choices"][0]["message"]["content"])


def tokens(engine: LlamaEngine, name: str, prompt: str) -> list[tuple[str, float]]:
    """The answer's pieces with their log-probabilities."""
    asked = chat(prompt, logprobs=True, top_logprobs=0)
    (choice,) = engine.infer(name, asked).response["choices"]
    return [(one["token"], one["logprob"]) for one in choice["logprobs"]["content"]]


def test_mixed_requests_equal_a_fresh_engine_for_each_stack_token_by_token(
    stacks: dict[str, StackFiles], engine: LlamaEngine
) -> None:
    alone = {}
    for name, files in stacks.items():
        fresh = open_engine({name: files}, threads=1)
        alone.update({(name, prompt): tokens(fresh, name, prompt) for prompt in PROMPTS})
        fresh.close()
    draw = random.Random(1)
    asked = [(draw.choice(NAMES), draw.choice(PROMPTS)) for _ in range(NUM_MIXED)]
    with ThreadPoolExecutor(16) as callers:
        answered = list(callers.map(lambda one: tokens(engine, *one), asked))
    for one, found in zip(asked, answered, strict=True):
        assert [token for token, _ in found] == [token for token, _ in alone[one]], one
        for (_, mixed), (_, single) in zip(found, alone[one], strict=True):
            assert mixed == pytest.approx(single, abs=0.02)
    # The stacks do answer differently, or the above would say nothing.
    assert len({str(alone[name, PROMPTS[0]]) for name in NAMES}) == len(NAMES)


def test_a_stack_that_is_asked_without_end_leaves_the_others_their_turn(
    engine: LlamaEngine,
) -> None:
    enough = threading.Event()
    answers: list[str] = []

    def ask_on() -> None:
        while not enough.is_set():
            engine.infer("industry", chat(PROMPTS[0]))
            answers.append("industry")

    with ThreadPoolExecutor(3 * SLOTS) as callers:
        busy = [callers.submit(ask_on) for _ in range(3 * SLOTS)]
        try:
            for name in ("scenario", "other", "qwen"):
                before = len(answers)
                engine.infer(name, chat(PROMPTS[0]))
                # What was being answered, and what its turn let in beside it.
                assert len(answers) - before <= 2 * (CALLS_PER_TURN + SLOTS)
        finally:
            enough.set()
    assert all(one.exception() is None for one in busy)
    assert answers


def test_an_answer_that_nobody_waits_for_any_more_is_not_begun(engine: LlamaEngine) -> None:
    writing, told = threading.Event(), []
    left = threading.Event()

    def hold(_chunk: Mapping[str, Any] | None) -> bool:
        writing.set()
        return not left.wait(timeout=PATIENCE_SECONDS)

    def leave(chunk: Mapping[str, Any] | None) -> bool:
        told.append(chunk)
        left.set()
        return False

    free = {"response_format": {"type": "text"}, "max_tokens": 90}
    with ThreadPoolExecutor(1) as callers:
        held = callers.submit(engine.stream, "industry", chat(PROMPTS[0], **free), hold)
        assert writing.wait(timeout=PATIENCE_SECONDS)
        answer = engine.stream("scenario", chat(PROMPTS[0]), leave)
        held.result()
    assert told == [None]
    assert answer.response["usage"]["completion_tokens"] == 0


def test_a_schema_is_not_tried_beside_answers_of_other_adapters(engine: LlamaEngine) -> None:
    writing, left = threading.Event(), threading.Event()

    def hold(_chunk: Mapping[str, Any] | None) -> bool:
        writing.set()
        return not left.wait(timeout=PATIENCE_SECONDS)

    def leave(_chunk: Mapping[str, Any] | None) -> bool:
        left.set()
        return False

    free = {"response_format": {"type": "text"}, "max_tokens": 90}
    fresh = {"type": "json_schema", "json_schema": {"schema": schema_of({"maxLength": 7})}}
    with ThreadPoolExecutor(1) as callers:
        held = callers.submit(engine.stream, "industry", chat(PROMPTS[0], **free), hold)
        assert writing.wait(timeout=PATIENCE_SECONDS)
        answer = engine.stream("industry", chat(PROMPTS[0], response_format=fresh), leave)
        held.result()
    # It has the turn of its own adapters, but had to wait for that of the bare base.
    assert answer.response["choices"][0]["message"]["content"] == ""


@pytest.mark.parametrize("name", NAMES)
def test_the_exported_stack_agrees_with_the_trained_one(
    trained: dict[str, StackFiles], stacks: dict[str, StackFiles], engine: LlamaEngine, name: str
) -> None:
    golden = read_golden(stacks[name].top.directory)
    found = probe(engine, name, golden, registry.scorer("text"))
    assert found.num_agree == found.num_rows == 16
    answers = read_trained_answers(trained[name].top.directory)
    assert probe(engine, name, answers, registry.scorer("text")).agreement >= 0.98


@pytest.mark.parametrize("target", ["gguf-q8_0", "gguf-q4_0"])
def test_adapters_lie_on_quantised_bases(
    root: Path, trained: dict[str, StackFiles], target: str
) -> None:
    files = exported(root, trained["scenario"], target)
    quantised = open_engine({"scenario": files}, threads=1)
    golden = read_golden(files.top.directory)
    found = probe(quantised, "scenario", golden, registry.scorer("text"))
    assert found.agreement >= 0.75  # a base of 64 dimensions feels four bits
    quantised.close()


def test_an_answer_has_openais_form(engine: LlamaEngine, stacks: dict[str, StackFiles]) -> None:
    answer = engine.infer("scenario", chat(PROMPTS[0]))
    body = answer.response
    (choice,) = body["choices"]
    assert body["object"] == "chat.completion"
    assert body["model"] == "scenario"
    assert choice["message"]["role"] == "assistant"
    assert json.loads(choice["message"]["content"]) == answer.observations[0].answer
    assert choice["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert body["stack_digest"] == stacks["scenario"].digest
    assert body["confidence"] == pytest.approx(answer.observations[0].confidence, abs=1e-6)


def test_a_stream_tells_the_same_as_a_whole_answer(engine: LlamaEngine) -> None:
    chunks: list[Mapping[str, Any]] = []

    def take(chunk: Mapping[str, Any] | None) -> bool:
        if chunk is not None:  # else a sign of life
            chunks.append(chunk)
        return True

    asked = chat(PROMPTS[1], stream=True, stream_options={"include_usage": True})
    streamed = engine.stream("industry", asked, take)
    whole = engine.infer("industry", chat(PROMPTS[1]))
    assert streamed.observations[0].answer == whole.observations[0].answer
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    assert deltas[0]["role"] == "assistant"
    said = "".join(delta.get("content", "") for delta in deltas)
    assert said == whole.response["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"] == whole.response["usage"]
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_an_answer_that_nobody_wants_ends_early(engine: LlamaEngine) -> None:
    told = []

    def enough(_chunk: Mapping[str, Any] | None) -> bool:
        told.append(1)
        return len(told) < 3

    asked = chat(PROMPTS[0], max_tokens=90, response_format={"type": "text"})
    answer = engine.stream("qwen", asked, enough)
    assert len(told) == 3
    assert len(content(answer)) < 20
    assert answer.observations == ()


def test_of_a_batch_that_nobody_wants_no_further_answer_is_begun(engine: LlamaEngine) -> None:
    batch = spec.request([{"prompt": prompt} for prompt in PROMPTS])
    answer = engine.stream("scenario", batch, lambda _chunk: False)
    said = [one["choices"][0]["message"]["content"] for one in answer.response["data"]]
    assert said == [""] * len(PROMPTS)
    assert {seen.novelty_percentile for seen in answer.observations} == {None}


def test_answers_are_held_to_the_layers_schema(engine: LlamaEngine) -> None:
    for seed in range(8):
        answer = engine.infer("qwen", chat("随便说说", temperature=2.0, seed=seed, max_tokens=90))
        if answer.response["choices"][0]["finish_reason"] == "stop":
            said = answer.observations[0].answer
            assert set(said) == {"类别", "地点"}
            assert said["类别"] in SCHEMA["properties"]["类别"]["enum"]


def test_a_callers_schema_comes_before_the_layers(engine: LlamaEngine) -> None:
    wanted = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    held = {"type": "json_schema", "json_schema": {"name": "x", "schema": {
        **wanted, "additionalProperties": False}}}  # fmt: skip
    answer = engine.infer("scenario", chat(PROMPTS[0], response_format=held))
    assert content(answer) in ('{"ok":true}', '{"ok":false}')


def test_a_callers_schema_keeps_the_order_of_its_keys(engine: LlamaEngine) -> None:
    for names in (("b", "a"), ("a", "b")):
        plain = {**closed(*names), "properties": {name: {"type": "boolean"} for name in names}}
        for form in (as_format(plain), quoting(*names)):
            answer = engine.infer("scenario", chat(PROMPTS[0], max_tokens=90, response_format=form))
            assert tuple(json.loads(content(answer))) == names


@pytest.mark.timeout(60)
def test_a_callers_pattern_without_end_holds_nobody_up(engine: LlamaEngine) -> None:
    """Its first half cannot be, and Python's own `re` would go back in it for ages."""
    text = {"type": "string", "pattern": "^((x+x+)+y{99}|x{40}z)$", "maxLength": 41}
    schema = {**closed("a"), "properties": {"a": text}}
    asked = chat(PROMPTS[0], max_tokens=90, response_format=as_format(schema))
    assert json.loads(content(engine.infer("scenario", asked))) == {"a": "x" * 40 + "z"}


def closed(*names: str) -> dict[str, Any]:
    """A schema of an object that has these properties and no others."""
    return {"type": "object", "required": list(names), "additionalProperties": False}


def as_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The response format of a schema."""
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def quoting(*names: str) -> dict[str, Any]:
    """The response format of an answer whose parts are excerpts."""
    parts = {name: {"type": "string", "format": "excerpt"} for name in names}
    return as_format({**closed(*names), "properties": parts})


def test_an_excerpt_stands_in_the_prompt_whatever_else_the_model_would_write(
    engine: LlamaEngine,
) -> None:
    """Also in the longest prompts that there is room for, and those full of quotes."""
    long = " ".join(f"w{n}" for n in range(25))
    for seed, prompt in enumerate((*PROMPTS[:4], 'a "b" \\ c\n😀 鳖9', long)):
        asked = chat(prompt, temperature=2.0, seed=seed, response_format=quoting("a", "b"))
        reply = engine.infer("scenario", asked)
        if reply.response["choices"][0]["finish_reason"] == "stop":
            said = json.loads(content(reply))
            assert is_excerpt(said["a"], prompt)
            assert is_excerpt(said["b"], prompt)


def test_an_answer_whose_excerpts_were_not_held_is_no_answer(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if llama.cpp left out the grammar of one answer, or took another one's."""
    asked = chat(PROMPTS[0], response_format=quoting("a"))
    engine.infer("scenario", asked)
    for written, fault in (
        ('{"a":"鳖鳖"}', "does not stand in the prompt word for word"),
        ('{"b":1}', 'the answer lacks "a"'),
        ("积水", "the answer is not of type object"),
    ):
        other = f"%llguidance {{}}\nstart: {json.dumps(written, ensure_ascii=False)}"
        monkeypatch.setattr(llama, "grammar", lambda _schema, _said, other=other: other)
        with pytest.raises(GenerationFailed, match=fault):
            engine.infer("scenario", asked)


def test_an_answer_that_the_caller_shapes_or_cuts_is_no_observation(engine: LlamaEngine) -> None:
    whole = engine.infer("scenario", chat(PROMPTS[0]))
    assert len(whole.observations) == 1
    for more in (
        {"max_tokens": 2},
        {"stop": "}"},
        {"response_format": {"type": "text"}},
        {"response_format": {"type": "json_object"}},
        {"response_format": quoting("a")},
    ):
        assert engine.infer("scenario", chat(PROMPTS[0], **more)).observations == ()


def test_a_seed_repeats_an_answer_whatever_its_number(engine: LlamaEngine) -> None:
    free = {"temperature": 2.0, "response_format": {"type": "text"}, "max_tokens": 30}
    for seed in (-1, 0, 7, (1 << 32) - 1):
        said = {content(engine.infer("qwen", chat("x", seed=seed, **free))) for _ in range(3)}
        assert len(said) == 1, seed


def test_a_prompt_far_too_long_is_refused_before_anyone_waits(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def turn(*_arguments: Any, **_more: Any) -> None:
        pytest.fail("it took a turn")

    monkeypatch.setattr(engine._llama._turns, "turn", turn)
    with pytest.raises(ContextOverflow, match=r"has 600,001 bytes; this model reads 128 tokens"):
        engine.infer("qwen", chat("路" * 200_000 + "x"))


UNENFORCED: dict[str, dict[str, Any]] = {
    "alternatives that overlap": {"oneOf": [{"type": "string"}, {"maxLength": 3}]},
    "parts that contradict": {"allOf": [{"type": "string"}, {"type": "number"}]},
    "a choice of nothing": {"type": "number", "enum": ["x"]},
}


def schema_of(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": part}, "required": ["a"]}


@pytest.mark.parametrize("part", UNENFORCED.values(), ids=list(UNENFORCED))
def test_a_schema_that_the_engine_would_leave_out_is_refused(
    engine: LlamaEngine, part: dict[str, Any]
) -> None:
    wanted = {"type": "json_schema", "json_schema": {"schema": schema_of(part)}}
    with pytest.raises(InvalidInput, match="cannot hold an answer to this schema"):
        engine.infer("qwen", chat("x", response_format=wanted))


def test_a_schema_that_is_forgotten_at_once_was_tried_all_the_same(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(dict[str, bool]):
        """As if another thread forgot all schemas right after each is remembered."""

        def __setitem__(self, text: str, enforced: bool) -> None:
            super().__setitem__(text, enforced)
            self.clear()

    monkeypatch.setattr(engine._llama._enforcement, "_tried", Forgetful())
    asked = chat(PROMPTS[0], response_format={"type": "json_object"})
    assert engine.infer("qwen", asked).response["choices"][0]["message"]["content"]


def test_a_layer_whose_schema_the_engine_would_leave_out_is_refused(
    stacks: dict[str, StackFiles], tmp_path: Path
) -> None:
    schema = json.dumps(schema_of(UNENFORCED["a choice of nothing"])).encode()
    manifest = json.loads((stacks["industry"].top.directory / "layer.json").read_bytes())
    manifest["schema"] = sha256_bytes(schema)
    files = {"layer.json": json.dumps(manifest).encode(), "schema.json": schema}
    with pytest.raises(LayerRefused, match="cannot hold the answers of x to its schema"):
        open_engine({"x": change(tmp_path, stacks["industry"], -1, files)}, threads=1)


def wishing(folder: Path, stack: StackFiles, *wanted: int) -> dict[str, StackFiles]:
    """The stack for each wish of `context_tokens`, by that number."""
    answering = read_manifest(stack.top.directory).answering.model_dump()
    return {
        str(one): with_manifest(
            folder / str(one), stack, answering={**answering, "context_tokens": one}
        )
        for one in wanted
    }


@pytest.fixture(scope="module")
def far_reader(root: Path) -> StackFiles:
    """A base that was trained to read more than engines make room for unless they are asked to."""
    architecture = {**PRETRAIN["architecture"], "max_position_embeddings": 4096}
    method = {**PRETRAIN, "architecture": architecture, "epochs": 1}
    return exported(root, build(root, "far", tickets(40), None, method=method))


def bangs(num_tokens: int) -> dict[str, Any]:
    """A completion of a prompt of so many tokens."""
    return {"prompt": "!" * num_tokens, "max_tokens": 1}


def test_there_is_room_for_what_the_layer_asks_for_most_asks_for(
    far_reader: StackFiles, tmp_path: Path
) -> None:
    """2,100 tokens are nine times 256."""
    engine = open_engine(wishing(tmp_path, far_reader, 100, 2100), threads=1)
    for name in ("100", "2100"):
        answer = engine.infer(name, bangs(2303))
        assert answer.response["usage"]["prompt_tokens"] == 2303
        with pytest.raises(ContextOverflow, match="has 2304 tokens; this model reads 2304 at once"):
            engine.infer(name, bangs(2304))
        assert engine.describe(name)["parameters"]["context_tokens"] == 2304


@pytest.mark.parametrize(("wanted", "found"), [(2048, 2048), (100, 256), (5000, 4096)])
def test_what_a_model_tells_of_its_room_is_what_it_has(
    far_reader: StackFiles, tmp_path: Path, wanted: int, found: int
) -> None:
    ((name, stack),) = wishing(tmp_path, far_reader, wanted).items()
    engine = open_engine({name: stack}, threads=1)
    assert engine.describe(name)["parameters"]["context_tokens"] == found
    assert engine.infer(name, bangs(found - 1)).response["usage"]["prompt_tokens"] == found - 1
    with pytest.raises(ContextOverflow, match=f"this model reads {found} at once"):
        engine.infer(name, bangs(found))


NO_ROOM = """
import resource, sys
from pathlib import Path
from dizuo.families.errors import LayerRefused
from dizuo.families.text.llama import Llama
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2**32, taken + 2**32))
try:
    Llama(Path(sys.argv[1]), (), context_tokens=int(sys.argv[2]), threads=1)
except LayerRefused as refused:
    print(refused.message, refused.next_step)
"""


def test_a_cache_that_has_no_room_is_told_as_that(far_reader: StackFiles) -> None:
    """llama.cpp says only that it failed; an address space with a bound makes it fail anywhere."""
    model = far_reader.base.directory / "model.gguf"
    said = subprocess.run(
        [sys.executable, "-c", NO_ROOM, str(model), str(2**28)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "with 268,435,456 tokens in each of 4 answers it takes about 27" in said
    assert "GB are free here. Lower task.context_tokens" in said


def test_seed_stop_and_temperature(engine: LlamaEngine) -> None:
    def said(**changes: Any) -> str:
        free = {"response_format": {"type": "text"}, "max_tokens": 20}
        (choice,) = engine.infer("qwen", chat("你好", **free, **changes)).response["choices"]
        return str(choice["message"]["content"])

    assert said(temperature=1.5, seed=3) == said(temperature=1.5, seed=3)
    assert len({said(temperature=1.5, seed=seed) for seed in range(6)}) > 1
    assert len({said(temperature=1.5) for _ in range(6)}) > 1  # another seed each time
    first = said()[:1]
    assert said(stop=first) == ""


@pytest.mark.parametrize("narrow", [{"top_k": 1}, {"min_p": 1}])
def test_top_k_and_min_p_narrow_the_choice(engine: LlamaEngine, narrow: dict[str, Any]) -> None:
    def said(**changes: Any) -> str:
        free = {"response_format": {"type": "text"}, "max_tokens": 20}
        (choice,) = engine.infer("qwen", chat("你好", **free, **changes)).response["choices"]
        return str(choice["message"]["content"])

    hot = [{"temperature": 2, "seed": seed} for seed in range(6)]
    assert len({said(**one) for one in hot}) > 1
    assert {said(**one, **narrow) for one in hot} == {said()}


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_each_parameter_that_would_change_the_answer_is_refused_by_name(
    engine: LlamaEngine, key: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        engine.infer("qwen", chat("x", **{key: {"x": 1}}))
    assert key in refused.value.next_step


def test_a_raw_completion_is_no_sample(engine: LlamaEngine) -> None:
    answer = engine.infer("qwen", {"prompt": PROMPTS[0], "max_tokens": 4, "logprobs": 2})
    assert answer.observations == ()
    (choice,) = answer.response["choices"]
    assert answer.response["object"] == "text_completion"
    assert len(choice["logprobs"]["tokens"]) == len(choice["logprobs"]["token_logprobs"]) > 0


def test_a_batch_answers_each_prompt_in_order(engine: LlamaEngine) -> None:
    batch = engine.infer("scenario", spec.request([{"prompt": prompt} for prompt in PROMPTS]))
    single = [engine.infer("scenario", chat(prompt)).observations[0] for prompt in PROMPTS]
    assert [seen.answer for seen in batch.observations] == [seen.answer for seen in single]


def test_what_is_far_from_what_was_learned_looks_new(engine: LlamaEngine) -> None:
    odd = ["zz 99 QQ", "Lorem ipsum", "{}[]();:", "0000 1111"]

    def novelty(texts: Sequence[str]) -> float:
        seen = [engine.infer("scenario", chat(text)).observations[0] for text in texts]
        return float(np.mean([one.novelty_percentile for one in seen]))

    assert novelty(PROMPTS) + 0.2 < novelty(odd)


def test_one_prompt_in_a_few_is_looked_at_while_others_wait(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Turns, "taken", lambda _self: True)
    asked = chat(PROMPTS[0])
    seen = [engine.infer("scenario", asked).observations[0] for _ in range(2 * EMBEDDED_WHEN_BUSY)]
    looked = [one.novelty_percentile for one in seen if one.novelty_percentile is not None]
    assert len(looked) == 2
    assert all(0 <= one.confidence <= 1 for one in seen)


def test_an_answer_does_not_wait_for_its_prompt_to_be_looked_at(
    engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._llama, "_busy_texts", repeat(EMBEDDED_WHEN_BUSY))
    writing, left = threading.Event(), threading.Event()

    def hold(_chunk: Mapping[str, Any] | None) -> bool:
        writing.set()
        return not left.wait(timeout=PATIENCE_SECONDS)

    with ThreadPoolExecutor(2) as callers:
        held = callers.submit(engine.stream, "industry", chat(PROMPTS[0]), hold)
        try:
            assert writing.wait(timeout=PATIENCE_SECONDS)
            looking = callers.submit(engine._llama.embed_if_free, PROMPTS[1])
            assert looking.result(timeout=PATIENCE_SECONDS / 2) is None
            assert not held.done()
        finally:
            left.set()
        held.result()
    assert engine._llama.embed_if_free(PROMPTS[1]) is not None


@pytest.mark.parametrize("asked", [{"stream": True}, {"stream": False}, {"prompt": PROMPTS[0]}])
def test_each_part_of_a_prompt_that_is_read_is_a_sign_of_life(
    engine: LlamaEngine, asked: dict[str, Any]
) -> None:
    told: list[Mapping[str, Any] | None] = []

    def leave(chunk: Mapping[str, Any] | None) -> bool:
        told.append(chunk)
        return False

    body = asked if "prompt" in asked else chat(PROMPTS[0], **asked)
    answer = engine.stream("qwen", {**body, "max_tokens": 20}, leave)
    assert told[0] is None  # before the first token
    assert answer.response["usage"]["completion_tokens"] == 0


@pytest.mark.parametrize(
    ("request_body", "says"),
    [
        ({}, "neither messages nor a text"),
        ({"messages": []}, "not a list of 1 to"),
        ({"messages": [{"role": "user", "content": 5}]}, "no text as content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role 'robot'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "nothing to answer"),
        (chat("x", temperature="hot"), "temperature is not a number"),
        (chat("x", temperature=3), "not between 0 and 2"),
        (chat("x", max_tokens=0), "max_tokens is not a whole number"),
        (chat("x", n=2), "one answer to a request, so n can only be 1"),
        (chat("x", n=True), "one answer to a request, so n can only be 1"),
        (chat("x", max_tokens=9, max_completion_tokens=0), "max_completion_tokens is not a whole"),
        (chat("x", max_tokens=0, max_completion_tokens=9), "max_tokens is not a whole number"),
        (chat("x", top_k=-1), "top_k is not a whole number from 0"),
        (chat("x", top_k=4.0), "top_k is not a whole number from 0"),
        (chat("x", min_p=1.5), "min_p is not between 0 and 1"),
        (chat("x", top_logprobs=3), "told only where logprobs is true"),
        ({"prompt": "x", "top_logprobs": 3}, "a completion takes the number as logprobs"),
        (chat("x", logprobs=0), "logprobs is true or false"),
        (chat("x") | {"prompt": "y"}, "messages or a prompt, not both"),
        (chat("x", requests=[chat("y")]), "asks one question"),
        ({"requests": [chat("x")], "stream": True}, "asks one question"),
        ({"requests": [chat("x", requests=[chat("y")])]}, "asks one question"),
        (chat("x", zork=0), "takes no parameter 'zork'"),
        ({"prompt": "x", "best_of": 3}, "so best_of can only be 1"),
        (chat("x", logit_bias={"5": -100}), "takes no bias on its tokens"),
        ({"prompt": "x", "echo": True}, "does not repeat the prompt"),
        (chat("x", web_search_options={"user_location": None}), "searches nothing"),
        (chat("x", modalities=["text", "audio"]), "answers in text only"),
        ({"prompt": ["x", "y"]}, "One prompt at a time is read, and as text"),
        ({"prompt": [1, 2]}, "One prompt at a time is read, and as text"),
        ({"prompt": [7]}, "One prompt at a time is read, and as text"),
        ({"prompt": [[1, 2]]}, "One prompt at a time is read, and as text"),
        ({"prompt": []}, "neither messages nor a text"),
        (chat("x", stream=1), "stream is neither true nor false"),
        (chat("x", stream=0), "stream is neither true nor false"),
        (chat("x", stream_options=[]), "stream_options is not an object"),
        (chat("x", stream_options={"include_usage": 1}), "include_usage is neither true nor"),
        (chat("x", stream_options={"usages": True}), "takes no option 'usages'"),
        (chat("x", tools=[{}]), "calls no tools"),
        (chat("x", stop=[5]), "stop is not"),
        (chat("x", stop=[""]), "stop is not"),
        (chat("x", stop=False), "stop is not"),
        (chat("x", logprobs=3), "logprobs is true or false"),
        (chat("x", response_format={"type": "xml"}), "response_format"),
        (
            chat("x", response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
            "cannot",
        ),
        ({"requests": []}, "A batch holds"),
        ({"requests": [{"prompt": "x"}]}, "A request of the batch has no messages"),
    ],
)
def test_what_it_cannot_answer_is_refused_in_one_sentence(
    engine: LlamaEngine, request_body: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says) as refused:
        engine.infer("qwen", request_body)
    assert refused.value.next_step


def test_parameters_that_change_nothing_are_passed_over(engine: LlamaEngine) -> None:
    passed: dict[str, Any] = {key: {"any": ["thing"]} for key in PASSED_OVER}
    left = {"messages", "temperature"}
    nothing: dict[str, Any] = dict.fromkeys({*REFUSED, *TAKEN, "zork"} - left)
    neutral = [
        {key: values[number] for key, values in NEUTRAL.items() if number < len(values)}
        for number in range(2)
    ]
    empty = {"stop": "", "top_logprobs": 0, "stream_options": {"include_obfuscation": True}}
    changes = ({}, passed, nothing, *neutral, empty)
    said = [engine.infer("qwen", chat(PROMPTS[0]) | more).observations[0] for more in changes]
    assert {str(seen.answer) for seen in said} == {str(said[0].answer)}
    raw = {"prompt": [PROMPTS[0]], "max_tokens": 1, "echo": False, "best_of": 1, "logit_bias": None}
    assert engine.infer("qwen", raw).response["usage"]["completion_tokens"] == 1


def test_a_prompt_longer_than_the_context_is_refused(engine: LlamaEngine) -> None:
    with pytest.raises(ContextOverflow, match="this model reads 128 at once"):
        engine.infer("qwen", chat("很长" * 400))


def test_an_unknown_stack_never_reaches_the_base(engine: LlamaEngine) -> None:
    with pytest.raises(UnknownStack, match=r"no model 'nobody' here"):
        engine.infer("nobody", chat("x"))


def change(
    tmp_path: Path, stack: StackFiles, depth: int, files: Mapping[str, bytes | None]
) -> StackFiles:
    """The stack with some files of one layer changed, or gone."""
    layers = list(stack.layers)
    folder = tmp_path / "changed"
    shutil.copytree(layers[depth].directory, folder)
    for name, content in files.items():
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)
    layers[depth] = replace(layers[depth], directory=folder)
    return replace(stack, layers=tuple(layers))


@pytest.mark.parametrize(
    ("depth", "files", "says"),
    [
        (0, {"model.gguf": b"GGUF"}, "cannot open model.gguf"),
        (0, {"model.gguf": None}, "cannot open model.gguf"),
        (1, {"adapter.gguf": b"no adapter"}, "cannot open"),
        (1, {"adapter.gguf": None}, "cannot open adapter.gguf"),
        (1, {"layer.json": b"{}"}, "no layer.json that can be read"),
        (1, {"gguf.json": None}, "no gguf.json that can be read"),
        (1, {"calibration.json": b"[]"}, "no calibration.json that can be read"),
        (1, {"schema.json": b"{}"}, "does not hold the schema.json"),
    ],
)
def test_a_damaged_stack_is_refused(
    stacks: dict[str, StackFiles],
    tmp_path: Path,
    depth: int,
    files: dict[str, bytes | None],
    says: str,
) -> None:
    with pytest.raises(LayerRefused, match=says):
        open_engine({"industry": change(tmp_path, stacks["industry"], depth, files)}, threads=1)


def with_manifest(tmp_path: Path, stack: StackFiles, **changes: Any) -> StackFiles:
    manifest = json.loads((stack.top.directory / "layer.json").read_bytes()) | changes
    return change(tmp_path, stack, -1, {"layer.json": json.dumps(manifest).encode()})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base_weights": "sha256:" + "1" * 64}, "was made for another base"),
        ({"tokenizer": "sha256:" + "1" * 64}, "was made for another tokenizer"),
        ({"chat_template": "sha256:" + "1" * 64}, "was made for another chat template"),
        ({"vocab_size": 7}, "has a resized vocabulary"),
        ({"below": []}, "was made on top of other layers"),
        ({"modules": ["lm_head"]}, "changes lm_head, which this base"),
        ({"weights": "sha256:" + "1" * 64}, "was made from other weights"),
        ({"xllamacpp": {"at_least": [2020, 1], "below": [2021, 1]}}, "runs on xllamacpp 2020.1"),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(
    stacks: dict[str, StackFiles], tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(LayerRefused, match=says):
        open_engine({"x": with_manifest(tmp_path, stacks["industry"], **changes)}, threads=1)


def test_an_engine_holds_one_base(stacks: dict[str, StackFiles], tmp_path: Path) -> None:
    second = build(tmp_path, "second", tickets(40, seed=8), None)
    both: Sequence[StackFiles] = (stacks["qwen"], exported(tmp_path, second))
    with pytest.raises(LayerRefused, match="holds one base; these stacks have 2"):
        open_engine(dict(zip(("a", "b"), both, strict=True)), threads=1)
