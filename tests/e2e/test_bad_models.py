"""Bad model directories at `dizuo model import`: refused by their headers, never unpickled."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.door import dizuo, ok
from tests.e2e.refusals import RunningHub, refusal_of, refused, refused_by_a_process

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


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny vision transformer, which takes pictures of one size only."""
    from transformers import ViTConfig, ViTForImageClassification

    folder = tmp_path_factory.mktemp("model") / "vit"
    config = ViTConfig(
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=16,
        patch_size=8,
    )
    ViTForImageClassification(config).save_pretrained(folder)
    processor = {"size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
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
    return edited("config.json", changes)


def prepared(**changes: Any) -> Spoil:
    return edited(PROCESSOR, changes)


def edited(name: str, changes: dict[str, Any]) -> Spoil:
    def change(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def without_tensor(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / WEIGHTS)
    tensors.pop(min(tensors))
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


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
        "The model is a 'ResNetModel', not an image classifier",
        "Import a ResNetForImageClassification",
    ),
    "a configuration that is not JSON": (
        holding("config.json", b"{"),
        r"config\.json is not JSON of a model",
        "Fetch the model again",
    ),
    "a configuration nested too deep": (
        holding("config.json", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        r"config\.json is not JSON of a model",
        "Fetch the model again",
    ),
    "architectures that are a number": (
        configured(architectures=5),
        r"The architectures in config\.json are not a list of names",
        "Fetch the model again",
    ),
    "a crop from nothing": (
        prepared(size={"shortest_edge": 0}, do_center_crop=True, crop_size=0),
        r"preprocessor_config\.json does not say how pictures become what the model sees",
        "It needs size, image_mean and image_std",
    ),
    "an infinite mean": (
        prepared(image_mean=[math.inf] * 3),
        r"preprocessor_config\.json does not say how pictures become what the model sees",
        "each a number within reason",
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
        told = refused("model", "import", str(folder), "--family", "vision", "--name", "spoilt")
    told.matches("model_refused", says, next_step)
    assert str(at_hub.home) not in told.message
    assert not (tmp_path / "unpickled").exists()


MISFIT = r"The weights do not fit config\.json"
UNBUILDABLE = r"config\.json does not describe a model that can be built"
# headers say nothing about these: the run that builds the model refuses them
IN_THE_RUN: dict[str, tuple[Spoil, str, str]] = {
    "a tensor is missing": (without_tensor, MISFIT, "one and the same model"),
    "another width": (configured(hidden_sizes=[4, 16]), MISFIT, "one and the same model"),
    "more layers": (configured(depths=[1, 2]), MISFIT, "one and the same model"),
    "more labels": (
        configured(id2label={str(n): str(n) for n in range(9)}, label2id={}),
        MISFIT,
        "one and the same model",
    ),
    "pictures that it does not take": (
        prepared(size=64),
        r"does not take pictures as preprocessor_config\.json prepares them",
        "one and the same model",
    ),
    "a width that is text": (configured(hidden_size="wide"), UNBUILDABLE, "Fetch the model again"),
    "an activation of no library": (
        configured(hidden_act="nope"),
        UNBUILDABLE,
        "Fetch the model again",
    ),
    "patches of nothing": (configured(patch_size=0), UNBUILDABLE, "Fetch the model again"),
    "no heads": (configured(num_attention_heads=0), UNBUILDABLE, "Fetch the model again"),
    "a width below nothing": (configured(hidden_size=-1), UNBUILDABLE, "Fetch the model again"),
    "an image without size": (configured(image_size=None), UNBUILDABLE, "Fetch the model again"),
}
OF_A_RESNET = {"another width", "more layers"}


QUICK = {"a tensor is missing", "an activation of no library"}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in IN_THE_RUN],
)
def test_a_model_that_cannot_be_built_ends_its_run_in_one_sentence(
    at_hub: RunningHub, whole: Path, vit: Path, tmp_path: Path, name: str
) -> None:
    spoil, says, next_step = IN_THE_RUN[name]
    folder = Path(shutil.copytree(whole if name in OF_A_RESNET else vit, tmp_path / "model"))
    spoil(folder)
    before = at_hub.client.stacks()
    said = dizuo("model", "import", str(folder), "--family", "vision", "--name", "spoilt", "--json")
    assert said.status == 1, said
    refusal_of(said.json).matches("run_failed", says, next_step)
    assert at_hub.client.stacks() == before


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
        told = refused("model", "import", str(archive), "--family", "vision", "--name", "escaped")
    told.matches("model_refused", "which is not a plain file inside it", "without links")
    assert not list(at_hub.home.rglob("escaped.json"))
    assert not Path("/tmp/escaped.json").exists()


def test_a_small_archive_that_would_fill_the_disk(
    at_hub: RunningHub, whole: Path, tmp_path: Path
) -> None:
    bomb = tmp_path / "model.tar.gz"
    with tarfile.open(bomb, "w:gz") as archive:
        for path in whole.iterdir():
            archive.add(path, path.name)
        member = tarfile.TarInfo("more.safetensors")
        member.size = 100_000_000
        with Path("/dev/zero").open("rb") as zeros:
            archive.addfile(member, zeros)
    with at_hub.unchanged():
        told = refused("model", "import", str(bomb), "--name", "bomb", "--family", "vision")
    told.matches("model_refused", "unpacks to more than 200 times its size", "not compressed")


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
            refused("model", "import", str(path), "--family", "vision", "--name", "x").matches(
                code, says, next_step
            )
        refused("model", "import", str(whole), "--name", "Bad Name", "--family", "vision").matches(
            "invalid_reference", "'Bad Name' is not a name", "lower-case letters"
        )
        refused("model", "import", str(whole), "--name", "x", "--family", "smell").matches(
            "unknown_family", "There is no family 'smell'", "Installed families: .*vision"
        )


def test_as_a_shell_sees_it(at_hub: RunningHub, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "model"))
    pickled_as("pytorch_model.bin")(folder)
    with at_hub.unchanged():
        said = refused_by_a_process(
            "model", "import", str(folder), "--family", "vision", "--name", "spoilt"
        )
    assert "The weights are pickled (pytorch_model.bin)" in said
    assert not (tmp_path / "unpickled").exists()


def test_the_unspoilt_directory_is_brought_in(at_hub: RunningHub, whole: Path) -> None:
    run = ok("model", "import", str(whole), "--name", "resnet", "--family", "vision", "--json").json
    assert run["outcome"]["stack"] == "resnet:1"
