"""Bad recipes and rows of the text family at `dizuo tune`: refused with the line, or in the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.door import dizuo, ok
from tests.e2e.language import CONTEXT_TOKENS
from tests.e2e.refusals import RunningHub, refusal_of, refused
from tests.families.text.tuning_factory import tickets

GOOD = """\
name: hotline
level: L1
family: text
from: tongue:1
data: {train: tickets@1}
method: {kind: lora, rank: 2, epochs: 1, learning_rate: 0.001, max_length: 96}
task: {kind: extract, max_tokens: 32, schema: {type: object, properties: {
  类别: {enum: [排水, 照明, 环境]}, 地点: {type: string}}, required: [类别, 地点]}}
gates:
  - {suite: tickets-test@1, metric: exact_match, at_least: 0}
targets: [safetensors, gguf-f16]
"""


def changed(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after)


def method(key: str) -> str:
    return changed("max_length: 96", f"max_length: 96, {key}")


def place(part: str) -> str:
    """The recipe with another schema of the place."""
    return changed("地点: {type: string}", f"地点: {{{part}}}")


# what is wrong: the recipe, what is said, the next step, the line
CASES: dict[str, tuple[str, str, str, int]] = {
    "DoRA as a kind": (
        changed("kind: lora", "kind: dora"),
        "DoRA scales whole weights and does not compose",
        "Use kind: lora or dpo",
        6,
    ),
    "DoRA as a flag": (method("use_dora: true"), "DoRA scales whole", "Remove use_dora", 6),
    "a full copy of the weights": (
        changed("kind: lora", "kind: full"),
        "Full copies of modules do not compose",
        "Use kind: lora or dpo",
        6,
    ),
    "full copies of modules": (
        method("modules_to_save: [embed_tokens]"),
        "Full copies of modules do not compose",
        "Remove modules_to_save",
        6,
    ),
    "a resized vocabulary": (
        method("resize_vocabulary: 500"),
        "A resized vocabulary does not fit the base",
        "Remove resize_vocabulary",
        6,
    ),
    "some modules only": (
        method("target_modules: [q_proj]"),
        "Layers change all linear weights",
        "Remove target_modules",
        6,
    ),
    "a base on a base": (
        changed("kind: lora, rank: 2", "kind: pretrain"),
        "The method pretrain cannot make a layer of level L1",
        "L1 and L2 by lora or dpo",
        6,
    ),
    "a parent that only serves": (
        changed("tongue:1", "tongue-gguf:1"),
        "tongue-gguf:1 has no target safetensors, which children are trained on",
        "it has: gguf",
        4,
    ),
    "a target that the parent lacks": (
        changed("gguf-f16", "gguf-q8_0"),
        "tongue:1 has no target gguf-q8_0",
        "It has: ",
        11,
    ),
    "rows of another family": (
        changed("tickets@1}", "bars@1}"),
        "The dataset bars@1 is of the family vision",
        "Use one of the family text",
        5,
    ),
    "a metric of another family": (
        changed("exact_match", "accuracy"),
        "The family has no metric 'accuracy'",
        "",
        10,
    ),
    "no schema": (
        GOOD[: GOOD.index("task:")] + "task: {kind: extract}\n" + GOOD[GOOD.index("gates:") :],
        r"The key task\.schema is missing",
        "Add it",
        7,
    ),
    "a schema in another file": (
        GOOD[: GOOD.index("task:")]
        + "task: {kind: extract, schema: ticket.schema.json}\n"
        + GOOD[GOOD.index("gates:") :],
        r"task\.schema is a text; a recipe travels alone",
        "Write the JSON schema as YAML below schema",
        7,
    ),
    "a schema's keyword that is not enforced": (
        place("type: string, contentEncoding: base64"),
        "the schema's keyword 'contentEncoding' cannot be enforced by the engine",
        "",
        7,
    ),
    "a schema's pattern that looks ahead": (
        place("type: string, pattern: '(?=x)'"),
        "pattern '\\(\\?=x\\)' looks around or back",
        "",
        7,
    ),
    "a schema that leads nowhere": (
        place("$ref: '#/$defs/place'"),
        r"a \$ref of the schema does not lead to its own \$defs",
        "",
        7,
    ),
    "a schema that nothing fits": (
        place("type: string, minLength: 9, maxLength: 2"),
        "the schema's minLength is above its maxLength",
        "",
        7,
    ),
    "an answer of no length": (
        changed("max_tokens: 32", "max_tokens: 0"),
        r"task\.max_tokens is wrong",
        "",
        7,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_sentence_names_the_line_and_nothing_is_queued(
    speaking: RunningHub, at_hub: RunningHub, tmp_path: Path, case: tuple[str, str, str, int]
) -> None:
    text, says, next_step, line = case
    recipe = tmp_path / "hotline.yaml"
    recipe.write_text(text, encoding="utf-8")
    with at_hub.unchanged():
        told = refused("tune", str(recipe))
    told.matches("recipe_refused", says, next_step)
    assert told.lines == (line,)


@pytest.fixture(scope="module")
def strange(speaking: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> RunningHub:
    """The hub with tickets of categories that the schema does not list."""
    rows = tickets(40, seed=6, kinds={"停电三天没人管": "供电", "暖气一直不热": "供电"})
    path = tmp_path_factory.mktemp("rows") / "strange.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    home = ("--home", str(speaking.home))
    ok(*home, "data", "add", "strange", str(path), "--family", "text")
    return speaking


# found out when the rows are read: the recipe, what is said, the next step
IN_THE_RUN: dict[str, tuple[str, str, str]] = {
    "rows that are too long": (
        changed("max_length: 96", "max_length: 16"),
        r"\d+ of \d+ rows are longer than 16 tokens",
        r"Raise method\.max_length",
    ),
    "labels that are not what the schema says": (
        changed("tickets@1}", "strange@1}"),
        r'Row \d+ cannot be learned from: "类别" of the label is "供电", which the schema',
        r"Correct the label, or task\.schema",
    ),
    "more tokens than the base reads": (
        changed("max_length: 96", "max_length: 4096"),
        rf"method\.max_length is 4096, but the base reads at most {CONTEXT_TOKENS} tokens",
        r"Lower method\.max_length",
    ),
}
SLOW = {"more tokens than the base reads"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in IN_THE_RUN],
)
def test_rows_that_cannot_be_learned_from_end_the_run_in_one_sentence(
    strange: RunningHub, at_hub: RunningHub, tmp_path: Path, name: str
) -> None:
    text, says, next_step = IN_THE_RUN[name]
    recipe = tmp_path / "hotline.yaml"
    recipe.write_text(text, encoding="utf-8")
    before = at_hub.client.stacks()
    said = dizuo("tune", str(recipe), "--json")
    assert said.status == 1, said
    refusal_of(said.json).matches("run_failed", says, next_step)
    assert at_hub.client.stacks() == before


def test_the_unspoiled_recipe_would_be_accepted(
    speaking: RunningHub, at_hub: RunningHub, tmp_path: Path
) -> None:
    recipe = tmp_path / "hotline.yaml"
    recipe.write_text(GOOD, encoding="utf-8")
    assert ok("tune", str(recipe), "--check", "--json").json["ok"]
