"""An existing GGUF file from the folder it came in to a base that the engine serves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.families.text.gguf_factory import change_json, make_checkpoint
from tests.families.text.tuning_factory import stack

from dizuo.artifacts.model import FileRole, LayerDirectory, Level
from dizuo.core import memory
from dizuo.core.digests import sha256_file
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, silent
from dizuo.families import registry
from dizuo.families.base import TunedLayer
from dizuo.families.errors import ModelRefused
from dizuo.families.golden import probe, read_golden
from dizuo.families.text import importing, runtime, spec
from dizuo.families.text.generated_prompts import PROMPTS
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.layer import read_gguf_facts, read_manifest


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("open") / "qwen"
    make_checkpoint(directory, "qwen2")
    return directory


@pytest.fixture(scope="module")
def folder(checkpoint: Path) -> Path:
    """As it comes from an upload: one file, whatever its name."""
    folder = checkpoint.parent / "upload"
    folder.mkdir()
    write_base(checkpoint, folder / "tiny-q8_0.gguf", "q8_0", silent)
    return folder


@pytest.fixture(scope="module")
def events() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def imported(folder: Path, events: list[Progress]) -> TunedLayer:
    output = folder.parent / "layer"
    output.mkdir()
    return importing.import_model(folder, output, events.append)


def test_inspection_says_what_it_is(folder: Path) -> None:
    found = importing.inspect(folder)
    assert (found["architecture"], found["target"]) == ("qwen2", "gguf")
    assert found["tensor_types"]["Q8_0"] > found["tensor_types"].get("F16", 0)
    assert "gguf" not in spec.TARGETS


def test_inspection_needs_no_pytorch(folder: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom dizuo.families import registry\n"
        "print(registry.importer('text').inspect(Path(sys.argv[1]))['target'])\n"
        "print(sorted({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == ["gguf", "[]"]


def test_the_layer_has_its_files_and_pins(
    folder: Path, imported: TunedLayer, events: list[Progress]
) -> None:
    assert imported.target == "gguf"
    assert {file.path: file.role for file in imported.files} == {
        "layer.json": FileRole.CONFIG,
        "gguf.json": FileRole.CONFIG,
        "model.gguf": FileRole.WEIGHTS,
        "calibration.json": FileRole.CALIBRATION,
        "golden.json": FileRole.GOLDEN,
        "trained-answers.json": FileRole.TRAINED_ANSWERS,
    }
    output = imported.files[0].source.parent
    manifest, digest = read_manifest(output), sha256_file(folder / "tiny-q8_0.gguf")
    assert manifest.kind == "base"
    assert manifest.modules == ()
    assert {manifest.weights, manifest.tokenizer, manifest.chat_template} == {digest}
    assert (manifest.hidden_size, manifest.context_length) == (64, 256)
    assert read_gguf_facts(output).kept_as == "q8_0"
    assert (events[-1].done, events[-1].total) == (len(PROMPTS), len(PROMPTS))
    assert imported.metrics["num_asked"] == len(PROMPTS)


def test_the_engine_serves_it_and_answers_as_expected(imported: TunedLayer) -> None:
    output = imported.files[0].source.parent
    served = stack("open", [LayerDirectory(Level.L0, "open", output)], "gguf")
    engine = runtime.open_engine({"open": served}, threads=1)
    measured = probe(engine, "open", read_golden(output), registry.scorer("text"))
    engine.close()
    assert measured.agreement == 1


def test_a_file_without_chat_template_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    plain = shutil.copytree(checkpoint, tmp_path / "plain")
    (plain / "chat_template.jinja").unlink()
    (tmp_path / "upload").mkdir()
    write_base(plain, tmp_path / "upload" / "plain.gguf", "f16", silent)
    with pytest.raises(ModelRefused, match=r"plain\.gguf has no chat template") as refused:
        importing.inspect(tmp_path / "upload")
    assert "instruction-tuned" in refused.value.next_step


def test_one_file_at_a_time(folder: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(folder / "tiny-q8_0.gguf", tmp_path / name)
    with pytest.raises(ModelRefused, match="2 GGUF files"):
        importing.inspect(tmp_path)


def test_weights_that_can_be_trained_on_come_first(checkpoint: Path, folder: Path) -> None:
    both = shutil.copytree(checkpoint, checkpoint.parent / "both")
    shutil.copy(folder / "tiny-q8_0.gguf", both)
    assert "target" not in importing.inspect(both)


def test_a_file_that_was_cut_off_is_refused(folder: Path, tmp_path: Path) -> None:
    data = (folder / "tiny-q8_0.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(data[:-100])
    with pytest.raises(ModelRefused, match="cut short"):
        importing.inspect(tmp_path)


def test_a_file_that_does_not_fit_is_refused_before_it_is_opened(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda: 100_000)
    with pytest.raises(ModelRefused, match=r"Running tiny-q8_0\.gguf takes about 0\.\d GB"):
        importing.import_model(folder, tmp_path, silent)
    assert not list(tmp_path.iterdir())


def test_a_file_that_llama_cpp_does_not_know_is_refused(folder: Path, tmp_path: Path) -> None:
    data = (folder / "tiny-q8_0.gguf").read_bytes()
    (tmp_path / "odd.gguf").write_bytes(data.replace(b"qwen2", b"qwenX"))
    (tmp_path / "layer").mkdir()
    with pytest.raises(ModelRefused, match=r"cannot run odd\.gguf"):
        importing.import_model(tmp_path, tmp_path / "layer", silent)


def test_a_context_without_room_for_a_question_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    short = shutil.copytree(checkpoint, tmp_path / "short")
    change_json(short / "config.json", max_position_embeddings=16)
    (tmp_path / "upload").mkdir()
    (tmp_path / "layer").mkdir()
    write_base(short, tmp_path / "upload" / "short.gguf", "f16", silent)
    with pytest.raises(ModelRefused, match="16 tokens at once"):
        importing.import_model(tmp_path / "upload", tmp_path / "layer", silent)


def test_it_reads_as_much_at_once_as_the_import_says(tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "model", "qwen2", max_position_embeddings=4096)
    for name in ("upload", "layer", "other"):
        (tmp_path / name).mkdir()
    write_base(tmp_path / "model", tmp_path / "upload" / "far.gguf", "f16", silent)
    wish = {"context_tokens": 3000}
    importing.import_model(tmp_path / "upload", tmp_path / "layer", silent, task=wish)
    served = stack("far", [LayerDirectory(Level.L0, "far", tmp_path / "layer")], "gguf")
    engine = runtime.open_engine({"far": served}, threads=1)
    assert engine.describe("far")["parameters"]["context_tokens"] == 3072
    assert engine.infer("far", {"prompt": "!" * 3071, "max_tokens": 1}).response
    with pytest.raises(InvalidInput, match="5000, but the model reads at most 4096"):
        importing.import_model(
            tmp_path / "upload", tmp_path / "other", silent, task={"context_tokens": 5000}
        )
    assert not list((tmp_path / "other").iterdir())
