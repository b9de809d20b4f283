"""Open language models from their files to registered bases."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from tests.client.serving import served
from tests.families.text.gguf_factory import make_checkpoint
from tests.runs.model_hub import ModelHub
from tests.runs.test_hugging_face import move_to
from tests.runs.test_importing import upload
from tests.runs.works import LONG_SECONDS, Works, open_works

from dizuo.artifacts.stacks import read_stack, unpack
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import silent
from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_base import write_base
from dizuo.families.text.layer import read_manifest
from dizuo.stacks.errors import RecipeRefused

RECIPE = """\
name: on-top
level: L1
family: text
from: served:1
data: {train: none@1}
method: {kind: lora, rank: 4, epochs: 1, learning_rate: 0.001}
task: {kind: answer}
gates: [{suite: none@1, metric: exact_match, at_least: 0.5}]
targets: [safetensors, gguf-f16]
"""


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with open_works(tmp_path_factory.mktemp("home")) as works:
        yield works


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("open") / "tiny"
    make_checkpoint(directory, "qwen3")
    return directory


def send(works: Works, *files: Path) -> str:
    """The digest of an upload of these files."""
    path = works.context.home / "model.tar"
    with tarfile.open(path, "w") as archive:
        for file in files:
            archive.add(file, file.name)
    return upload(works, path)


@pytest.fixture(scope="module")
def sent(works: Works, checkpoint: Path) -> str:
    return send(works, *sorted(checkpoint.iterdir()))


@pytest.fixture(scope="module")
def sent_file(works: Works, checkpoint: Path) -> str:
    path = checkpoint.parent / "model.gguf"
    write_base(checkpoint, path, "q8_0", silent)
    return send(works, path)


def test_a_model_is_exported_to_the_targets_asked_for(works: Works, sent: str) -> None:
    wanted = ["gguf-q8_0", "safetensors"]
    run = works.run("import", upload=sent, name="some", family="text", targets=wanted)
    index = read_stack(works.context.layout, works.stack(run).digest)
    assert set(index.targets) == set(wanted)
    again = works.admit(
        "import", upload=sent, name="some", family="text", targets=list(reversed(wanted))
    )
    assert again.cached


def test_what_engines_read_at_once_is_part_of_what_is_built(works: Works, tmp_path: Path) -> None:
    make_checkpoint(tmp_path / "far", "qwen3", max_position_embeddings=4096)
    wanted: dict[str, Any] = {
        "upload": send(works, *sorted((tmp_path / "far").iterdir())),
        "name": "far",
        "family": "text",
        "targets": ["gguf-q8_0"],
    }
    task = {"context_tokens": 3000}
    for beyond in ({"context_tokens": 5000}, {"context_tokens": "all"}, {"sytem": "x"}):
        with pytest.raises(InvalidInput, match="task"):
            works.admit("import", **wanted, task=beyond)
    first = works.stack(works.run("import", **wanted))
    second = works.stack(works.run("import", **wanted, task=task))
    assert second.digest != first.digest
    assert works.admit("import", **wanted, task=task).cached
    assert works.admit("import", **wanted).cached
    files = unpack(works.context.layout, second.digest, "gguf-q8_0", tmp_path / "unpacked")
    assert read_manifest(files.base.directory).window == 3072


@pytest.mark.parametrize(("targets", "words"), [(["onnx"], "no target 'onnx'"), ([], "targets")])
def test_wrong_targets_are_refused(works: Works, sent: str, targets: list[str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        works.admit("import", upload=sent, name="other", family="text", targets=targets)


def test_a_gguf_file_is_kept_as_it_is_for_serving_alone(works: Works, sent_file: str) -> None:
    run = works.run("import", upload=sent_file, name="served", family="text")
    assert works.stack(run).targets == ("gguf",)
    gated = works.run("gate", stack="served:1")
    assert gated.outcome is not None
    assert gated.outcome["passed"] is True, gated.outcome
    with pytest.raises(RecipeRefused) as refused:
        works.admit("tune", recipe=RECIPE)
    said = str(refused.value)
    assert "served:1 has no target safetensors, which children are trained on" in said
    assert "it has: gguf" in said
    assert said.count("has no target") == 1


def test_a_gguf_file_is_exported_to_nothing(works: Works, sent_file: str) -> None:
    with pytest.raises(InvalidInput, match="stays in the form it came in, gguf"):
        works.admit("import", upload=sent_file, name="q4", family="text", targets=["gguf-q4_0"])


@pytest.mark.parametrize(
    "given", [{}, {"upload": "sha256:" + "0" * 64, "source": "hf://a/b"}], ids=["none", "both"]
)
def test_a_model_comes_from_one_place(works: Works, given: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match="either an upload or a source"):
        works.admit("import", name="other", family="text", **given)


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    """A hub of models that this process and its workers ask."""
    hub = ModelHub({"acme/tiny": {path.name: path.read_bytes() for path in checkpoint.iterdir()}})
    with served(hub.app()) as url:
        move_to(url, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_ENDPOINT", url)
        monkeypatch.setenv("HF_HOME", str(tmp_path))
        yield hub


FROM_HUB: dict[str, Any] = {
    "source": "hf://acme/tiny",
    "name": "fetched",
    "family": "text",
    "targets": ["safetensors"],
}


def test_a_model_of_a_hub_is_imported_once_per_commit(works: Works, hub: ModelHub) -> None:
    run = works.run("import", **FROM_HUB)
    assert set(works.stack(run).targets) == {"safetensors"}
    assert works.admit("import", **FROM_HUB).cached
    hub.repositories["acme/tiny"]["README.md"] = b"another commit"
    changed = works.admit("import", **FROM_HUB)
    assert not changed.cached
    works.supervisor.wait(changed.id, LONG_SECONDS)


@pytest.mark.parametrize(
    ("family", "words"),
    [("text", "'mamba' cannot be written as GGUF"), ("vision", "'mamba' is not supported")],
)
def test_a_hubs_model_of_an_unknown_architecture_is_refused_before_its_weights_are_fetched(
    works: Works, hub: ModelHub, family: str, words: str
) -> None:
    hub.repositories["acme/tiny"]["config.json"] = b'{"model_type": "mamba"}'
    before = works.num_runs()
    with pytest.raises(ModelRefused, match=words):
        works.admit("import", source="hf://acme/tiny", name="strange", family=family)
    assert works.num_runs() == before
    fetched = [asked for asked in hub.asked if asked.startswith("GET") and "/resolve/" in asked]
    assert [asked.rpartition("/")[2] for asked in fetched] == ["config.json"]


def test_a_broken_model_is_refused_before_it_is_queued(works: Works, checkpoint: Path) -> None:
    digest = send(works, *(path for path in checkpoint.iterdir() if path.suffix != ".jinja"))
    before = works.num_runs()
    with pytest.raises(ModelRefused, match="no chat template"):
        works.admit("import", upload=digest, name="part", family="text")
    assert works.num_runs() == before
