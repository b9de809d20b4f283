"""Bad recipes at `dizuo tune`: one sentence with the line, and nothing is queued."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.door import ok
from tests.e2e.conftest import READER
from tests.e2e.refusals import RunningHub, refused, refused_by_a_process

GOOD = READER.format(seed=1).lstrip()
LORA = """\
name: probe
level: L1
family: vision
from: reader:1
data: {train: bars@1}
method: {kind: lora, rank: 2, epochs: 1, learning_rate: 0.01, KEY}
task: {kind: classify}
gates:
  - {suite: bars-test@1, metric: accuracy, at_least: 0.1}
targets: [safetensors, onnx]
"""
Case = tuple[str, str, str, tuple[int, ...]]


def changed(before: str, after: str) -> str:
    assert before in GOOD
    return GOOD.replace(before, after)


# what is wrong: the recipe, what is said, the next step, the lines
CASES: dict[str, Case] = {
    "an unknown key": (
        changed("gates:", "gatse:"),
        r"line 15: 'gatse' is not a key of a recipe",
        "Did you mean 'gates'?",
        (15,),
    ),
    "an unknown key of the method": (
        changed("  batch_size: 16", "  batch_sise: 16"),
        r"line 11: The key method\.batch_sise is not known",
        "correct its name",
        (11,),
    ),
    "a missing key": (
        changed("data: {train: bars@1}\n", ""),
        "line 1: A recipe needs 'data'",
        "Add data",
        (1,),
    ),
    "a missing dataset": (
        changed("bars@1}", "nobars@1}"),
        "line 6: There is no dataset 'nobars'",
        "dizuo data ls",
        (6,),
    ),
    "a missing version of a dataset": (
        changed("train: bars@1", "train: bars@9"),
        "line 6: The dataset bars has no version 9",
        "Its newest is bars@1",
        (6,),
    ),
    "a dataset without a version": (
        changed("train: bars@1", "train: bars"),
        "line 6: 'bars' does not say which version",
        "bars@1",
        (6,),
    ),
    "a missing suite": (
        changed("bars-test@1", "tests@1"),
        "line 16: There is no dataset 'tests'",
        "dizuo data ls",
        (16,),
    ),
    "a wrong type": (
        changed("epochs: 4", "epochs: four"),
        r"line 9: method\.epochs is wrong: input should be a valid integer",
        "",
        (9,),
    ),
    "a text where a list belongs": (
        changed("[safetensors, onnx]", "onnx"),
        "line 17: 'targets' must be a list of names, not the text 'onnx'",
        "",
        (17,),
    ),
    "a gate that does not parse": (
        changed("at_least: 0.1", "at_least: lots"),
        "line 16: 'at_least' must be a number from 0 to 1, not the text 'lots'",
        "",
        (16,),
    ),
    "a seed that no generator takes": (
        changed("seed: 1", "seed: 5000000000"),
        "line 5: 'seed' must be a whole number from 0 to 4294967295, not the number 5000000000",
        "",
        (5,),
    ),
    "an agreement that is always met": (
        LORA.replace(", KEY", "").replace(
            "gates:", "gates:\n  - {target: onnx, agreement_with_trained_at_least: 0}"
        ),
        r"line 9: 'agreement_with_trained_at_least' must be a number from 0\.85 to 1",
        "",
        (9,),
    ),
    "one row a batch from scratch": (
        changed("batch_size: 16", "batch_size: 1"),
        r"line 11: method\.batch_size is wrong: input should be greater than or equal to 2",
        "",
        (11,),
    ),
    "a gate in percent": (
        changed("at_least: 0.1", "at_least: 90"),
        "line 16: 'at_least' must be a number from 0 to 1, not the number 90",
        "",
        (16,),
    ),
    "a gate without a condition": (
        changed(", at_least: 0.1", ""),
        "line 16: A gate has no condition",
        "exactly one of: at_least",
        (16,),
    ),
    "a gate on an unknown metric": (
        changed("metric: accuracy", "metric: acuracy"),
        "line 16: The family has no metric 'acuracy'",
        "Did you mean 'accuracy'?",
        (16,),
    ),
    "DoRA as a kind": (
        changed("kind: pretrain", "kind: dora"),
        "line 8: DoRA scales whole weights and does not compose",
        "Use kind: lora",
        (8,),
    ),
    "DoRA as a flag": (
        LORA.replace("KEY", "use_dora: true"),
        "line 6: DoRA scales whole weights and does not compose",
        "Remove use_dora",
        (6,),
    ),
    "full copies of modules": (
        LORA.replace("KEY", "modules_to_save: [head]"),
        "line 6: Full copies of modules do not compose",
        "Remove modules_to_save",
        (6,),
    ),
    "moving batch norm": (
        LORA.replace("KEY", "batch_norm: moving"),
        "line 6: Moving batch-norm statistics are lost",
        "Remove batch_norm",
        (6,),
    ),
    "a parent that is not there": (
        LORA.replace(", KEY", "").replace("reader:1", "nobody:1"),
        "line 4: There is no stack nobody:1",
        "dizuo model ls",
        (4,),
    ),
    "a duplicate key": (
        GOOD + "name: other\n",
        "line 18: 'name' is given twice; first in line 1",
        "Keep one",
        (18,),
    ),
    "an unclosed bracket": (GOOD + "x: [1, 2\n", "This is not YAML", "brackets and quotes", (19,)),
    "a tab": (
        changed("  kind: pretrain", "\tkind: pretrain"),
        "line 8: A tab stands where YAML allows only spaces",
        "Indent with spaces",
        (8,),
    ),
    "an alias": (GOOD + "x: &a 1\n", "line 18: ", "", (18,)),
    "a tag that would run code": (
        GOOD + "x: !!python/object/apply:os.system ['true']\n",
        "line 18: Tags are not read in a recipe",
        "plain value",
        (18,),
    ),
    "nothing": ("", "line 1: The text is empty", "", (1,)),
    "a list": ("- 1\n", "line 1: A recipe must be a mapping, not a list", "", (1,)),
    "a suite that is trained on": (
        changed("bars-test@1", "bars@1"),
        r"line 16: The suite bars@1 holds \d+ rows of bars@1; its scores would not be honest",
        "Remove them from one of the two",
        (16,),
    ),
    "an unknown family": (
        changed("family: vision", "family: visoin"),
        "line 3: 'family' cannot be 'visoin'",
        "Did you mean 'vision'?",
        (3,),
    ),
    "an unknown target": (
        changed("[safetensors, onnx]", "[safetensors, onx]"),
        "line 17: The family vision has no target 'onx'",
        "Did you mean 'onnx'?",
        (17,),
    ),
    "three faults at once": (
        changed("epochs: 4", "epochs: four")
        .replace("at_least: 0.1", "at_least: lots")
        .replace("gates:", "colour: red\ngates:"),
        r"line 9 \(and 2 more\): method\.epochs is wrong",
        "",
        (9, 15, 17),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_the_sentence_names_the_line_and_nothing_is_queued(
    at_hub: RunningHub, tmp_path: Path, case: Case
) -> None:
    text, says, next_step, lines = case
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    with at_hub.unchanged():
        told = refused("tune", str(recipe))
    told.matches("recipe_refused", says, next_step)
    assert told.lines == lines


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        (b"\x00\xff\xfe\x80PNG", "recipe_unreadable", "is not a text file in UTF-8"),
        (b"x" * 300_000, "recipe_unreadable", "is too large for a recipe"),
        (None, "recipe_unreadable", "cannot be read: No such file or directory"),
    ],
    ids=["binary", "too large", "no file"],
)
def test_a_file_that_is_no_recipe(
    at_hub: RunningHub, tmp_path: Path, content: bytes | None, code: str, says: str
) -> None:
    recipe = tmp_path / "recipe.yaml"
    if content is not None:
        recipe.write_bytes(content)
    with at_hub.unchanged():
        refused("tune", str(recipe)).matches(code, says)


def test_as_a_shell_sees_it(at_hub: RunningHub, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(changed("gates:", "gatse:"))
    with at_hub.unchanged():
        said = refused_by_a_process("tune", str(recipe))
    assert said.splitlines() == [
        "recipe, line 15: 'gatse' is not a key of a recipe.",
        "Did you mean 'gates'?",
    ]


def test_the_unspoiled_recipe_would_be_accepted(at_hub: RunningHub, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(GOOD)
    assert ok("tune", str(recipe), "--check", "--json").json["ok"]
