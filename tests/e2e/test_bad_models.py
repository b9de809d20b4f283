"""Bad model directories at `dizuo model import`: refused by their headers, never unpickled."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.door import ok
from tests.e2e.refusals import RunningHub, refused, refused_by_a_process

WEIGHTS = "model.safetensors"
PROCESSOR = "preprocessor_config.json"
Spoil = Callable[[Path], object]


class Bomb:
    """Makes a folder wherever it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.makedirs, (str(self._mark),)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ResNet as Transformers saves it."""
    from transformers import ResNetConfig, ResNetForImageClassification

    folder = tmp_path_factory.mktemp("model") / "resnet"
    config = ResNetConfig(
        embedding_size=4, hidden_sizes=[4, 8], depths=[1, 1], layer_type="basic", num_labels=2
    )
    ResNetForImageClassification(config).save_pretrained(folder)
    size = {"height": 16, "width": 16}
    processor = {"size": size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / PROCESSOR).write_text(json.dumps(processor))
    return folder


def without(name: str) -> Spoil:
    return lambda folder: (folder / name).unlink()


def holding(name: str, data: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str, keep: float) -> Spoil:
    def shorten(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return shorten


def configured(**changes: Any) -> Spoil:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return change


def pickled_as(name: str) -> Spoil:
    """The weights are a pickle that would leave a mark beside the folder."""

    def pickle_weights(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / name).write_bytes(pickle.dumps(Bomb(folder.parent / "unpickled")))

    return pickle_weights


# how the directory is spoilt, what is said, the next step
CASES: dict[str, tuple[Spoil, str, str]] = {
    "no configuration": (
        without("config.json"),
        r"There is no config\.json in the model's folder",
        "save_pretrained",
    ),
    "no weights": (without(WEIGHTS), "There are no weights in the model's folder", WEIGHTS),
    "no preprocessing": (
        without(PROCESSOR),
        r"There is no preprocessor_config\.json in the model's folder",
        "save_pretrained",
    ),
    "an unsupported architecture": (
        configured(model_type="mamba"),
        "The architecture 'mamba' is not supported",
        "Supported: beit, convnext",
    ),
    "no architecture": (
        configured(model_type=None),
        r"names no architecture is not supported",
        "model_type is missing",
    ),
    "not a classifier": (
        configured(architectures=["ResNetModel"]),
        "The model is a ResNetModel, not an image classifier",
        "Import a ResNetForImageClassification",
    ),
    "a configuration that is not JSON": (
        holding("config.json", b"{"),
        r"config\.json is not JSON of a model",
        "Fetch the model again",
    ),
    "weights cut in half": (
        cut(WEIGHTS, 0.5),
        r"model\.safetensors is cut short or is not a safetensors file",
        "Fetch the model again",
    ),
    "weights cut in the header": (
        cut(WEIGHTS, 0.01),
        r"model\.safetensors is cut short or is not a safetensors file",
        "Fetch the model again",
    ),
    "empty weights": (
        holding(WEIGHTS, b""),
        r"model\.safetensors is cut short or is not a safetensors file",
        "Fetch the model again",
    ),
    "pickled weights only": (
        pickled_as("pytorch_model.bin"),
        r"The weights are pickled \(pytorch_model\.bin\), and unpickling runs code",
        "save it again with save_pretrained",
    ),
    "a pickle under another name": (
        pickled_as(WEIGHTS),
        r"model\.safetensors is cut short or is not a safetensors file",
        "Fetch the model again",
    ),
    "labels with a gap": (
        configured(id2label={"0": "a", "2": "b"}),
        r"The labels in config\.json are not numbered from 0",
        "Correct id2label",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_spoilt_directory_is_refused_by_its_headers(
    at_hub: RunningHub, whole: Path, tmp_path: Path, case: tuple[Spoil, str, str]
) -> None:
    spoil, says, next_step = case
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    spoil(folder)
    with at_hub.unchanged():
        told = refused("model", "import", str(folder), "--name", "spoilt")
    told.matches("model_refused", says, next_step)
    assert str(at_hub.home) not in told.message
    assert not (tmp_path / "unpickled").exists()


def test_the_bomb_would_have_gone_off(tmp_path: Path) -> None:
    """So that the tests above can fail."""
    pickled_as("pytorch_model.bin")(_with_weights(tmp_path / "model"))
    pickle.loads((tmp_path / "model" / "pytorch_model.bin").read_bytes())
    assert (tmp_path / "unpickled").is_dir()


def _with_weights(folder: Path) -> Path:
    folder.mkdir()
    (folder / WEIGHTS).touch()
    return folder


def packed(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    """A tar archive with one member of this name."""
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        member.size = 2 if kind == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(b"{}"))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../../escaped.json", tarfile.REGTYPE),
        ("/tmp/escaped.json", tarfile.REGTYPE),
        ("config.json", tarfile.SYMTYPE),
        ("config.json", tarfile.LNKTYPE),
        ("config.json", tarfile.FIFOTYPE),
    ],
    ids=["above", "absolute", "symbolic link", "hard link", "pipe"],
)
def test_an_archive_that_leads_out_of_its_folder(
    at_hub: RunningHub, tmp_path: Path, name: str, kind: bytes
) -> None:
    archive = packed(tmp_path / "model.tar", name, kind)
    with at_hub.unchanged():
        told = refused("model", "import", str(archive), "--name", "escaped")
    told.matches("model_refused", "which is not a plain file inside it", "without links")
    assert not list(at_hub.home.rglob("escaped.json"))
    assert not Path("/tmp/escaped.json").exists()


def test_what_is_no_model_at_all(at_hub: RunningHub, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("hello")
    table = [
        (tmp_path / "nowhere", "cannot_send", "cannot be read: No such file", "Check the path"),
        (tmp_path / "empty", "cannot_send", "There are no files in", "Check the path"),
        (tmp_path / "text", "model_refused", "archive is broken or was cut off", "Send the dir"),
    ]
    with at_hub.unchanged():
        for path, code, says, next_step in table:
            refused("model", "import", str(path), "--name", "x").matches(code, says, next_step)
        refused("model", "import", str(whole), "--name", "Bad Name").matches(
            "invalid_reference", "'Bad Name' is not a name", "lower-case letters"
        )
        refused("model", "import", str(whole), "--name", "x", "--family", "text").matches(
            "unknown_family", "There is no family 'text'", "Installed families: .*vision"
        )


def test_as_a_shell_sees_it(at_hub: RunningHub, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    pickled_as("pytorch_model.bin")(folder)
    with at_hub.unchanged():
        said = refused_by_a_process("model", "import", str(folder), "--name", "spoilt")
    assert "The weights are pickled (pytorch_model.bin)" in said
    assert not (tmp_path / "unpickled").exists()


def test_the_unspoilt_directory_is_brought_in(at_hub: RunningHub, whole: Path) -> None:
    run = ok("model", "import", str(whole), "--name", "resnet", "--json").json
    assert run["outcome"]["stack"] == "resnet:1"
