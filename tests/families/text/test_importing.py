"""An open language model from its folder to a base that the engine serves, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.families.text.gguf_factory import TEMPLATE, change_json, make_checkpoint
from tests.families.text.tuning_factory import stack

from dizuo.artifacts.model import FileRole, LayerDirectory, Level
from dizuo.core.digests import sha256_file
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, silent
from dizuo.families.base import TunedLayer
from dizuo.families.errors import ModelRefused
from dizuo.families.golden import read_golden, read_trained_answers
from dizuo.families.text import calibration, importing, memory, runtime
from dizuo.families.text.export import export
from dizuo.families.text.generated_prompts import MAX_TOKENS, PROMPTS
from dizuo.families.text.layer import read_manifest
from dizuo.families.text.tokens import read_tokens

CONTEXT_LENGTH = 256


@dataclass(frozen=True)
class Imported:
    directory: Path
    output: Path
    layer: TunedLayer
    events: list[Progress]


def bring_in(directory: Path, output: Path) -> Imported:
    events: list[Progress] = []
    output.mkdir()
    layer = importing.import_model(directory, output, events.append)
    return Imported(directory, output, layer, events)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("open") / "qwen"
    make_checkpoint(directory, "qwen3", dtype=torch.bfloat16)
    return directory


@pytest.fixture(scope="module")
def imported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return bring_in(checkpoint, tmp_path_factory.mktemp("imported") / "layer")


@pytest.fixture
def model(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return shutil.copytree(checkpoint, tmp_path / "model")


def test_inspection_says_what_it_is(checkpoint: Path) -> None:
    found = importing.inspect(checkpoint)
    weights = load_file(checkpoint / "model.safetensors")
    assert found == {
        "architecture": "qwen3",
        "class": "Qwen3ForCausalLM",
        "num_parameters": sum(tensor.numel() for tensor in weights.values()),
        "context_length": CONTEXT_LENGTH,
        "vocabulary_size": weights["model.embed_tokens.weight"].shape[0],
        "weights": ["model.safetensors"],
    }


def test_inspection_needs_no_pytorch(checkpoint: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom dizuo.families import registry\n"
        "print(registry.importer('text').inspect(Path(sys.argv[1]))['architecture'])\n"
        "print(sorted({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(checkpoint)], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == ["qwen3", "[]"]


def test_the_layer_has_its_files_and_pins(imported: Imported) -> None:
    assert imported.layer.target == "safetensors"
    assert {file.path: file.role for file in imported.layer.files} == {
        "layer.json": FileRole.CONFIG,
        "config.json": FileRole.CONFIG,
        "generation_config.json": FileRole.CONFIG,
        "tokenizer.json": FileRole.TOKENIZER,
        "tokenizer_config.json": FileRole.TOKENIZER,
        "chat_template.jinja": FileRole.PREPROCESSING,
        "model.safetensors": FileRole.WEIGHTS,
        "calibration.json": FileRole.CALIBRATION,
        "golden.json": FileRole.GOLDEN,
        "trained-answers.json": FileRole.TRAINED_ANSWERS,
    }
    manifest = read_manifest(imported.output)
    assert (manifest.kind, manifest.architecture) == ("base", "qwen3")
    assert manifest.weights == sha256_file(imported.directory / "model.safetensors")
    assert manifest.tokenizer == sha256_file(imported.directory / "tokenizer.json")
    assert manifest.answering.max_tokens == 256
    config = json.loads((imported.output / "config.json").read_bytes())
    assert "transformers_version" not in config
    assert config["dtype"] == "bfloat16"
    assert imported.layer.metrics["num_asked"] == len(PROMPTS)
    stages = {event.stage for event in imported.events}
    assert stages == {"import", "examine"}


def test_weights_are_not_written_again(imported: Imported) -> None:
    assert (imported.output / "model.safetensors").samefile(
        imported.directory / "model.safetensors"
    )


def test_answers_are_short_and_of_generated_prompts(imported: Imported) -> None:
    assert json.loads((imported.output / calibration.FILE_NAME).read_bytes())["source"] == (
        "generated"
    )
    rows = read_trained_answers(imported.output)
    assert [row.request["requests"][0]["messages"][0]["content"] for row in rows] == list(PROMPTS)
    assert {row.request["requests"][0]["max_tokens"] for row in rows} == {MAX_TOKENS}
    assert len(read_golden(imported.output)) == 16


def characters(answer: object) -> str:
    return str(answer).replace("\ufffd", "")


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_the_engine_agrees_with_the_imported_model(kind: str, tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "model", kind, dtype=torch.float16)
    found = bring_in(tmp_path / "model", tmp_path / "layer")
    trained = stack("open", [LayerDirectory(Level.L0, "open", found.output)])
    (tmp_path / "gguf").mkdir()
    export(trained, "gguf-f16", tmp_path / "gguf", silent)
    served = stack("open", [LayerDirectory(Level.L0, "open", tmp_path / "gguf")], "gguf-f16")
    engine = runtime.open_engine({"open": served}, threads=1)
    num_equal = num_alike = 0
    for row in read_trained_answers(found.output):
        (seen,) = engine.infer("open", row.request).observations
        # Random weights write bytes that are no characters; the engine is silent from there on.
        num_alike += characters(row.answer).startswith(characters(seen.answer))
        num_equal += row.answer == seen.answer
    engine.close()
    assert num_equal >= 8
    assert num_alike >= len(PROMPTS) - 2  # two tokens may be equally likely


def test_shards_are_kept(tmp_path: Path) -> None:
    model = make_checkpoint(tmp_path / "model", "qwen2")
    (tmp_path / "model" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "model", max_shard_size="100KB")
    names = {path.name for path in (tmp_path / "model").glob("*.safetensors")}
    assert len(names) > 1
    found = bring_in(tmp_path / "model", tmp_path / "layer")
    roles = {file.path: file.role for file in found.layer.files}
    assert {name for name, role in roles.items() if role is FileRole.WEIGHTS} == names
    assert roles["model.safetensors.index.json"] is FileRole.CONFIG


def test_the_chat_template_may_stand_in_the_tokenizers_settings(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    change_json(model / "tokenizer_config.json", chat_template=TEMPLATE)
    output = bring_in(model, model.parent / "layer").output
    assert (output / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE
    assert "chat_template" not in json.loads((output / "tokenizer_config.json").read_bytes())


def test_what_ends_an_answer_may_stand_in_the_configuration_alone(model: Path) -> None:
    (model / "generation_config.json").unlink()
    (model / "tokenizer_config.json").unlink()
    change_json(model / "config.json", eos_token_id=[2, 0])
    output = bring_in(model, model.parent / "layer").output
    assert json.loads((output / "generation_config.json").read_bytes())["eos_token_id"] == [2, 0]
    tokens = read_tokens(output)
    assert tokens.end_of_turn == 2
    assert tokens.stops >= {0, 2}


def test_a_link_in_a_model_hubs_cache_becomes_a_file(model: Path) -> None:
    blob = model.parent / "blob"
    (model / "model.safetensors").rename(blob)
    (model / "model.safetensors").symlink_to(blob)
    output = bring_in(model, model.parent / "layer").output
    assert not (output / "model.safetensors").is_symlink()
    assert (output / "model.safetensors").samefile(blob)


def _truncate(model: Path) -> None:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def _pickle(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")


def _lose_a_shard(model: Path) -> None:
    (model / "model.safetensors").rename(model / "model-1.safetensors")
    weight_map = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def _resize(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    name = "model.embed_tokens.weight"
    weights[name] = torch.cat([weights[name], weights[name][:3]])
    save_file(weights, model / "model.safetensors")


def _shrink(model: Path) -> None:
    """Fewer embeddings than tokens."""
    weights = load_file(model / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:-5].contiguous()
    save_file(weights, model / "model.safetensors")
    change_json(model / "config.json", vocab_size=weights[name].shape[0])


def _damage(model: Path) -> None:
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, model / "model.safetensors")


def _cut_otherwise(model: Path) -> None:
    tokenizer = json.loads((model / "tokenizer.json").read_bytes())
    tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
    (model / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")


def _mistemplate(model: Path) -> None:
    (model / "chat_template.jinja").write_text("{% for m in messages %}")


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no configuration": (lambda m: (m / "config.json").unlink(), "no config.json"),
    "configuration is no JSON": (lambda m: (m / "config.json").write_text("{"), "not a JSON"),
    "other architecture": (
        lambda m: change_json(m / "config.json", model_type="mamba"),
        "'mamba' cannot be written as GGUF",
    ),
    "quantised": (
        lambda m: change_json(m / "config.json", quantization_config={"quant_method": "awq"}),
        "quantised already",
    ),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "no weights"),
    "pickled": (_pickle, "pickled"),
    "cut short": (_truncate, "cut short"),
    "missing shard": (_lose_a_shard, "model-2.safetensors is missing"),
    "other layers": (
        lambda m: change_json(m / "config.json", num_hidden_layers=3, layer_types=None),
        r"lack model\.layers\.2",
    ),
    "resized vocabulary": (_resize, "the shape"),
    "too few embeddings": (_shrink, "embeddings do not reach"),
    "no tokenizer": (lambda m: (m / "tokenizer.json").unlink(), "no tokenizer.json"),
    "unknown pre-tokenizer": (_cut_otherwise, "rules that llama.cpp does not have"),
    "no chat template": (lambda m: (m / "chat_template.jinja").unlink(), "no chat template"),
    "template is no text": (
        lambda m: (m / "chat_template.jinja").write_bytes(b"\xff\xfe"),
        "not valid Unicode",
    ),
}


@pytest.mark.parametrize("fault", BREAKS)
def test_inspection_refuses(fault: str, model: Path) -> None:
    spoil, words = BREAKS[fault]
    spoil(model)
    with pytest.raises(ModelRefused, match=words) as refused:
        importing.inspect(model)
    assert refused.value.next_step


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_damage, "not finite"), (_mistemplate, "chat template cannot write")],
)
def test_importing_refuses_what_headers_do_not_show(
    spoil: Callable[[Path], object], words: str, model: Path
) -> None:
    spoil(model)
    importing.inspect(model)
    with pytest.raises(ModelRefused, match=words):
        bring_in(model, model.parent / "layer")


def test_a_file_is_no_folder(checkpoint: Path) -> None:
    with pytest.raises(ModelRefused, match="is not a folder"):
        importing.inspect(checkpoint / "config.json")


def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 200_000)
    (tmp_path / "layer").mkdir()
    with pytest.raises(ModelRefused, match=r"takes about 0\.\d GB of memory, and 0\.0 GB are free"):
        importing.import_model(checkpoint, tmp_path / "layer", silent)
    assert not list((tmp_path / "layer").iterdir())


def test_a_context_without_room_for_a_question_is_refused(model: Path) -> None:
    change_json(model / "config.json", max_position_embeddings=8)
    with pytest.raises(ModelRefused, match="8 tokens at once"):
        bring_in(model, model.parent / "layer")


def test_a_base_reads_as_much_at_once_as_the_import_says(model: Path, imported: Imported) -> None:
    assert read_manifest(imported.output).answering.context_tokens == 2048
    change_json(model / "config.json", max_position_embeddings=4096)
    output = model.parent / "layer"
    output.mkdir()
    with pytest.raises(InvalidInput, match="5000, but the model reads at most 4096"):
        importing.import_model(model, output, silent, task={"context_tokens": 5000})
    assert not list(output.iterdir())
    importing.import_model(model, output, silent, task={"context_tokens": 4000})
    assert read_manifest(output).window == 4096


def test_a_configuration_alone_tells_how_much_is_too_much(model: Path) -> None:
    change_json(model / "config.json", max_position_embeddings=4096)
    found = importing.check_config(model)
    importing.check_task({"context_tokens": 4096}, found)
    with pytest.raises(InvalidInput, match="reads at most 4096"):
        importing.check_task({"context_tokens": 4097}, found)
