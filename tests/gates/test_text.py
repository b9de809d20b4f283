"""Agreement of real text stacks: trained here, exported, opened by llama.cpp."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.families.text.served import MOVED, exported
from tests.families.text.tuning_factory import LORA, PRETRAIN, build, tickets

from dizuo.artifacts.model import StackFiles
from dizuo.core.progress import silent
from dizuo.families.golden import MAX_CHOICES, TRAINED_ANSWERS_NAME, read_trained_answers
from dizuo.families.text.adapter import LoraPair, read_adapter, write_adapter
from dizuo.families.text.gguf_adapter import write_adapter as write_gguf
from dizuo.families.text.layer import ADAPTER_GGUF_NAME, ADAPTER_NAME, read_manifest
from dizuo.gates.evaluate import evaluate
from dizuo.gates.job import GateJob
from dizuo.gates.report import Fidelity, GateReport, RuleResult, Verdict
from dizuo.gates.rules import AgreementWithTrained

TARGET = "gguf-f16"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stacks")


@pytest.fixture(scope="module")
def forms(root: Path) -> dict[str, StackFiles]:
    """A base with an adapter that answers otherwise than it, as trained and as shipped."""
    base = build(root, "base", tickets(320), None, method={**PRETRAIN, "epochs": 16})
    tuned = build(
        root, "tuned", tickets(90, seed=1, kinds=MOVED), base, method={**LORA, "epochs": 6}
    )
    return {"safetensors": tuned, TARGET: exported(root, tuned)}


def agreement(forms: Mapping[str, StackFiles]) -> RuleResult:
    rule = AgreementWithTrained(TARGET, 0.95)
    digest = forms[TARGET].digest
    report = evaluate(GateJob("tickets:3", digest, "text", (rule,), forms), silent)
    assert GateReport.from_dict(json.loads(json.dumps(report.as_dict()))) == report
    return report.rules[0]


def damaged(forms: Mapping[str, StackFiles], copy: Path, noise: float) -> dict[str, StackFiles]:
    """The shipped form with noise on its adapter, as large as this share of its own numbers."""
    trained, own = forms["safetensors"], forms[TARGET].top
    draw = np.random.default_rng(0)

    def shaken(values: np.ndarray) -> np.ndarray:
        shape = values.shape
        found = values + noise * values.std() * draw.standard_normal(shape)
        return np.asarray(found, dtype=np.float32)

    adapter = read_adapter(
        trained.top.directory / ADAPTER_NAME, read_manifest(trained.top.directory).modules
    )
    shutil.copytree(own.directory, copy / "layer")
    pairs = {module: LoraPair(shaken(one.a), shaken(one.b)) for module, one in adapter.items()}
    write_adapter(pairs, copy / ADAPTER_NAME)
    config = json.loads((trained.base.directory / "config.json").read_bytes())
    write_gguf(copy / ADAPTER_NAME, config, copy / "layer" / ADAPTER_GGUF_NAME, "f16")
    layers = (*forms[TARGET].layers[:-1], replace(own, directory=copy / "layer"))
    return {**forms, TARGET: replace(forms[TARGET], layers=layers)}


def figures(found: RuleResult) -> Fidelity:
    assert found.fidelity is not None
    return found.fidelity


def test_a_faithful_export_expects_the_same_next_tokens(forms: dict[str, StackFiles]) -> None:
    found = agreement(forms)
    answers = read_trained_answers(forms["safetensors"].top.directory)
    assert found.verdict is Verdict.PASS, found.reason
    assert figures(found).num_choices == sum(len(row.choices) for row in answers)
    assert max(len(row.choices) for row in answers) <= MAX_CHOICES
    assert figures(found).top1_agreement > 0.99
    assert figures(found).mean_kl_nats < 1e-3
    assert "have the same likeliest outcome; KL divergence" in found.reason
    prompts = {row.request["requests"][0]["messages"][0]["content"] for row in answers}
    assert {example.prompt for example in found.furthest} <= prompts


def test_the_more_an_adapter_is_damaged_the_further_it_is(
    forms: dict[str, StackFiles], tmp_path: Path
) -> None:
    found = [agreement(forms)]
    for noise in (0.3, 8.0):
        found.append(agreement(damaged(forms, tmp_path / str(noise), noise)))
    divergences = [figures(one).mean_kl_nats for one in found]
    assert divergences[0] < divergences[1] / 10 < divergences[2] / 100
    assert figures(found[2]).top1_agreement < figures(found[0]).top1_agreement - 0.1
    assert found[2].verdict is Verdict.FAIL
    worst = found[2].furthest
    by_row = [one.fidelity.mean_kl_nats for one in worst if one.fidelity]
    assert len(by_row) == len(worst) == 10
    assert by_row == sorted(by_row, reverse=True)
    assert by_row[0] > figures(found[2]).mean_kl_nats
    assert not worst[0].agrees
    assert worst[0].trained != worst[0].exported


@pytest.mark.parametrize("lost", ["every row", "one row"])
def test_answers_without_their_choices_do_not_pass(
    forms: dict[str, StackFiles], tmp_path: Path, lost: str
) -> None:
    """As a layer has them that was built before they were kept."""
    top = forms["safetensors"].top
    shutil.copytree(top.directory, tmp_path / "old")
    path = tmp_path / "old" / TRAINED_ANSWERS_NAME
    kept = json.loads(path.read_bytes())
    for row in kept["rows"] if lost == "every row" else kept["rows"][:1]:
        del row["given"], row["choices"]
    path.write_text(json.dumps(kept | {"format": 1}))
    layers = (*forms["safetensors"].layers[:-1], replace(top, directory=tmp_path / "old"))
    old = {**forms, "safetensors": replace(forms["safetensors"], layers=layers)}
    found = agreement(old)
    assert found.verdict is Verdict.CANNOT_TELL
    assert "come without the probabilities of their choices; build the layer again" in found.reason


def test_an_engine_that_cannot_read_so_many_tokens_does_not_pass(
    forms: dict[str, StackFiles], tmp_path: Path
) -> None:
    top = forms["safetensors"].top
    shutil.copytree(top.directory, tmp_path / "long")
    path = tmp_path / "long" / TRAINED_ANSWERS_NAME
    kept = json.loads(path.read_bytes())
    kept["rows"][0]["given"] = [5] * 200
    path.write_text(json.dumps(kept))
    layers = (*forms["safetensors"].layers[:-1], replace(top, directory=tmp_path / "long"))
    found = agreement({**forms, "safetensors": replace(forms["safetensors"], layers=layers)})
    assert found.verdict is Verdict.CANNOT_TELL
    assert "200 tokens; this model reads 128 at once" in found.reason


def test_a_form_that_came_alone_is_held_against_its_answers_only(
    forms: dict[str, StackFiles], tmp_path: Path
) -> None:
    """It is itself what was trained, as far as anybody knows."""
    own = forms[TARGET].top
    shutil.copytree(own.directory, tmp_path / "alone")
    trained = forms["safetensors"].top.directory / TRAINED_ANSWERS_NAME
    shutil.copy(trained, tmp_path / "alone" / TRAINED_ANSWERS_NAME)
    layers = (*forms[TARGET].layers[:-1], replace(own, directory=tmp_path / "alone"))
    found = agreement({TARGET: replace(forms[TARGET], layers=layers)})
    assert found.verdict is Verdict.PASS, found.reason
