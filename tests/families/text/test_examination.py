"""What is said about a layer when it is made is what the engine says when it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.families.text.tuning_factory import (
    ANSWER,
    EXTRACT,
    PRETRAIN,
    SCHEMA,
    build,
    stack,
    tickets,
)

from dizuo.artifacts.model import LayerDirectory, StackFiles
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import silent
from dizuo.families.base import Row
from dizuo.families.errors import ContextOverflow
from dizuo.families.golden import probe, read_golden, read_trained_answers
from dizuo.families.text import calibration, export, protocol, runtime, score
from dizuo.families.text.calibration import figures
from dizuo.families.text.examination import MAX_ASKED, MAX_EMBEDDED, plan
from dizuo.families.text.generation import Writer, embed
from dizuo.families.text.holding import Rule
from dizuo.families.text.layer import (
    ADAPTER_GGUF_NAME,
    MODEL_GGUF_NAME,
    read_manifest,
)
from dizuo.families.text.lessons import Question, Reading, divide
from dizuo.families.text.llama import Llama, Manner
from dizuo.families.text.messages import answer_of
from dizuo.families.text.network import merged_model
from dizuo.families.text.recipe import parse_task
from dizuo.families.text.schema import by_name
from dizuo.families.text.tokens import read_tokens
from dizuo.gates.fidelity import compare

TOLERANCE = 5e-3
QUOTED = {
    **SCHEMA,
    "properties": {**SCHEMA["properties"], "地点": {"type": "string", "format": "excerpt"}},
}


def exported(trained: StackFiles, root: Path) -> StackFiles:
    layers = []
    for depth, layer in enumerate(trained.layers, start=1):
        folder = root / layer.name
        folder.mkdir()
        export.export(stack("s", trained.layers[:depth]), "gguf-f16", folder, silent)
        layers.append(LayerDirectory(layer.level, layer.name, folder))
    return stack("s", layers, "gguf-f16")


def opened(runnable: StackFiles) -> Llama:
    adapters = [layer.directory / ADAPTER_GGUF_NAME for layer in runnable.layers[1:]]
    model = runnable.base.directory / MODEL_GGUF_NAME
    return Llama(model, adapters, context_tokens=128, threads=1)


def test_the_engine_gives_the_expected_answers(scenario: StackFiles, tmp_path: Path) -> None:
    """Answer and confidence, of layers that alone would often leave the schema."""
    golden = read_trained_answers(scenario.top.directory)
    assert len(golden) > 20
    forced = [row for row in golden if any(max(c.logprobs) > c.logprobs[0] for c in row.choices)]
    assert forced, "some answer takes a token that is not the likeliest"
    engine = runtime.open_engine({"s": exported(scenario, tmp_path)}, threads=1)
    assert probe(engine, "s", golden, score).agreement == 1
    engine.close()


@pytest.fixture(scope="module")
def in_bytes(tmp_path_factory: pytest.TempPathFactory) -> StackFiles:
    """A base whose vocabulary has no whole Chinese character."""
    rows: list[Row] = [{"prompt": f"{n}", "label": "积水é"} for n in range(24)]
    architecture = {**PRETRAIN["architecture"], "vocab_size": 300}
    method = {**PRETRAIN, "architecture": architecture, "epochs": 20}
    root = tmp_path_factory.mktemp("in-bytes")
    return build(root, "bytes", rows, None, method=method, task=ANSWER)


@pytest.fixture(params=["scenario", "in_bytes"])
def both(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[StackFiles, Llama]:
    trained = request.getfixturevalue(request.param)
    return trained, opened(exported(trained, tmp_path))


@pytest.mark.parametrize("schema", [None, SCHEMA, QUOTED], ids=["free", "held", "quoted"])
def test_it_tells_the_same_pieces(
    both: tuple[StackFiles, Llama], schema: Mapping[str, Any] | None
) -> None:
    """Also where a character is several tokens, of which llama.cpp tells the last."""
    trained, llama = both
    model, manifests = merged_model(trained)
    tokens = read_tokens(trained.base.directory)
    chats: list[Any] = [
        row.request["requests"][0]["messages"] for row in read_golden(trained.top.directory)[:6]
    ]
    chats.append([{"role": "system", "content": "s"}, {"role": "user", "content": "鳖 é 😀"}])
    rule = None if schema is None else Rule(tokens, schema)
    writer = Writer(model, tokens, max_tokens=20, window=128, rule=rule)
    questions = [Question({}, chat, tokens.prompt(chat)) for chat in chats]
    answers = writer.answers(questions, lambda _: None)
    of_layer = None if schema is None else by_name(schema)
    manner = Manner(frozenset(range(len(manifests) - 1)), max_tokens=20, schema=of_layer)
    for chat, answer in zip(chats, answers, strict=True):
        ask = protocol.ask_of({"messages": chat, "temperature": 0})
        written = llama.write(ask, manner, lambda _: True)
        assert written.text == answer.text
        assert written.num_prompt_tokens == len(tokens.prompt(chat))
        assert len(written.tokens) == len(answer.pieces) > 0
        for key in ("logprob", "entropy"):
            theirs, ours = (
                [getattr(one, key) for one in told] for told in (written.tokens, answer.pieces)
            )
            np.testing.assert_allclose(ours, theirs, atol=TOLERANCE)
        np.testing.assert_allclose(figures(answer.pieces), figures(written.tokens), atol=TOLERANCE)


def test_it_expects_the_same_next_tokens(both: tuple[StackFiles, Llama]) -> None:
    """Also after half a character, and where the likeliest token is half of one; the token that
    ends the answer too."""
    trained, llama = both
    adapters = frozenset(range(len(trained.layers) - 1))
    halves = 0
    tokens = read_tokens(trained.base.directory)
    for row in read_trained_answers(trained.top.directory)[:6]:
        taken = list(row.given)
        assert taken == tokens.prompt(row.request["requests"][0]["messages"])
        for choice in row.choices:
            expected = llama.expect(taken, adapters)
            theirs = dict(zip(expected.outcomes, expected.logprobs, strict=True))
            for outcome, logprob in zip(choice.outcomes, choice.logprobs, strict=True):
                assert theirs[outcome] == pytest.approx(logprob, abs=0.05)
            assert compare(choice, expected).kl_nats < 1e-3
            halves += tokens.spelled(choice.outcomes[0])[:1] >= b"\xc0"
            taken.append(choice.outcomes[0])
        spelled = b"".join(tokens.spelled(one.outcomes[0]) for one in row.choices)
        assert answer_of(spelled.decode(errors="replace")) == row.answer
    assert halves or len(trained.layers) > 1


def test_more_tokens_than_it_reads_are_refused(both: tuple[StackFiles, Llama]) -> None:
    _, llama = both
    with pytest.raises(ContextOverflow, match="reads 128 at once"):
        llama.expect([5] * 128, frozenset())


def test_it_embeds_the_same(both: tuple[StackFiles, Llama]) -> None:
    """The bare base, also of a stack with adapters."""
    trained, llama = both
    base, _ = merged_model(stack("s", trained.layers[:1]))
    texts = ["人民路3号积水，请处理", "hello world 12\n", "é鳖😀"]
    found = embed(base, read_tokens(trained.base.directory), texts, 128, lambda _: None)
    for text, row in zip(texts, found, strict=True):
        np.testing.assert_allclose(row, llama.embed(text), atol=TOLERANCE)


def test_the_calibration_is_from_held_out_rows(scenario: StackFiles) -> None:
    known = calibration.read(scenario.top.directory)
    assert known.scales.shape == (64,)
    assert len(known.prototypes) <= calibration.NUM_PROTOTYPES
    assert read_manifest(scenario.top.directory).hidden_size == 64


def reading(base: StackFiles, max_length: int = 96) -> Reading:
    return Reading(read_tokens(base.base.directory), parse_task(EXTRACT), max_length)


def test_a_large_lot_is_not_asked_whole(base: StackFiles) -> None:
    planned = plan(divide(tickets(600), 1), reading(base), 128)
    assert len(planned.questions) == MAX_ASKED
    assert planned.num_held_out == 60
    assert planned.window == 128
    assert len(planned.learned) == 540


def test_replayed_rows_are_embedded_by_their_share_and_never_asked(base: StackFiles) -> None:
    own, replayed = tickets(1800), tickets(600, seed=9, kinds={"井盖丢失": "设施"})
    planned = plan(divide([*own, *replayed], 1, num_replayed=600), reading(base), 128)
    assert not [one for one in planned.questions if "井盖丢失" in one.row["prompt"]]
    assert len(planned.learned) == MAX_EMBEDDED
    assert sum(row in replayed for row in planned.learned) == MAX_EMBEDDED * 600 // 2220


def test_prompts_without_room_for_an_answer_are_refused(base: StackFiles) -> None:
    with pytest.raises(InvalidInput, match="No prompt leaves room for an answer within 12 tok"):
        plan(divide(tickets(30), 1), reading(base), 12)
