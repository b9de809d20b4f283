"""An open model from its directory to a registered base, and archives that are not one."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.runs.works import Works, open_works

from dizuo.artifacts.stacks import read_stack
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.datasets.errors import UploadMissing
from dizuo.families.errors import ModelRefused, UnknownFamily
from dizuo.runs.importing import unpack_model
from dizuo.stacks.model import StackVersion


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as opened:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            opened.addfile(member, io.BytesIO(data))
    return path


def upload(works: Works, path: Path) -> str:
    data = path.read_bytes()
    digest = sha256_bytes(data)
    folder = works.context.home / "uploads"
    folder.mkdir(exist_ok=True)
    (folder / digest.removeprefix("sha256:")).write_bytes(data)
    return digest


@dataclass
class Model:
    works: Works
    directory: Path
    digest: str


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """A tiny model in its directory, uploaded."""
    from transformers import ResNetConfig, ResNetForImageClassification

    directory = tmp_path_factory.mktemp("model")
    labels = {0: "tall", 1: "wide"}
    config = ResNetConfig(
        num_channels=1,
        embedding_size=4,
        hidden_sizes=[4, 8],
        depths=[1, 1],
        layer_type="basic",
        id2label=labels,
        label2id={label: number for number, label in labels.items()},
    )
    ResNetForImageClassification(config).save_pretrained(directory)
    settings = {
        "do_resize": True,
        "size": {"height": 8, "width": 8},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5],
        "image_std": [0.5],
    }
    (directory / "preprocessor_config.json").write_text(json.dumps(settings))
    members = [(path.name, path.read_bytes()) for path in sorted(directory.iterdir())]
    with open_works(tmp_path_factory.mktemp("home")) as works:
        packed = archive(directory.parent / "model.tar", *members)
        yield Model(works, directory, upload(works, packed))


@pytest.fixture(scope="module")
def imported(model: Model) -> StackVersion:
    run = model.works.run("import", upload=model.digest, name="resnet", family="vision")
    return model.works.stack(run)


def test_model_becomes_a_base(model: Model, imported: StackVersion) -> None:
    assert (imported.ref, imported.level.value, imported.recipe) == ("resnet:1", "L0", "")
    index = read_stack(model.works.context.layout, imported.digest)
    assert set(index.targets) == {"safetensors", "onnx"}
    assert index.parent_digest is None


def test_same_model_is_found_again(model: Model, imported: StackVersion) -> None:
    again = model.works.admit("import", upload=model.digest, name="resnet", family="vision")
    assert again.cached
    assert again.outcome is not None
    assert again.outcome["digest"] == imported.digest


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"upload": "sha256:" + "0" * 64}, UploadMissing, "upload"),
        ({"upload": "yes"}, InvalidInput, "digest"),
        ({"family": "smell"}, UnknownFamily, "smell"),
        ({"name": "Not A Name"}, InvalidInput, "Not A Name"),
        ({"name": 7}, InvalidInput, "name"),
        ({"directory": "/etc"}, InvalidInput, "directory"),
    ],
)
def test_wrong_request_is_refused(
    model: Model, change: dict[str, Any], error: type[DizuoError], words: str
) -> None:
    spec = {"upload": model.digest, "name": "other", "family": "vision", **change}
    with pytest.raises(error) as refused:
        model.works.admit("import", **spec)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "keep",
    [
        lambda path: path.suffix != ".safetensors",
        lambda path: path.name != "config.json",
        lambda _path: False,
    ],
    ids=["no weights", "no configuration", "nothing"],
)
def test_incomplete_model_is_refused_before_it_is_queued(
    model: Model, tmp_path: Path, keep: Callable[[Path], bool]
) -> None:
    members = [(p.name, p.read_bytes()) for p in model.directory.iterdir() if keep(p)]
    digest = upload(model.works, archive(tmp_path / "model.tar", *members))
    before = model.works.num_runs()
    with pytest.raises(ModelRefused):
        model.works.admit("import", upload=digest, name="part", family="vision")
    assert model.works.num_runs() == before
    assert not list((model.works.context.home / "runs").glob(".inspect-*"))


def test_directory_packed_with_its_name_is_the_model(tmp_path: Path) -> None:
    packed = archive(tmp_path / "m.tar", ("resnet/config.json", b"{}"), ("resnet/a/b", b"c"))
    found = unpack_model(packed, tmp_path / "out")
    assert found.name == "resnet"
    assert (found / "a" / "b").read_bytes() == b"c"


@pytest.mark.parametrize("name", ["../out", "/etc/x", "a/../../b"])
def test_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    packed = archive(tmp_path / "m.tar", (name, b"x"))
    with pytest.raises(ModelRefused, match="not a plain file"):
        unpack_model(packed, tmp_path / "out")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "m.tar", "w") as opened:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "/etc/passwd"
        opened.addfile(member)
    with pytest.raises(ModelRefused, match="not a plain file"):
        unpack_model(tmp_path / "m.tar", tmp_path / "out")


@pytest.mark.parametrize("kept_bytes", [0, 100, 700])
def test_archive_that_was_cut_off_is_refused(tmp_path: Path, kept_bytes: int) -> None:
    packed = archive(tmp_path / "m.tar", ("config.json", b"x" * 600))
    packed.write_bytes(packed.read_bytes()[:kept_bytes])
    with pytest.raises(ModelRefused, match="broken or was cut off"):
        unpack_model(packed, tmp_path / "out")


def test_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path / "m.tar", ("a", b"1"), ("a", b"2"))
    with pytest.raises(ModelRefused):
        unpack_model(packed, tmp_path / "out")


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path / "m.tar", *((f"f{n}", b"") for n in range(1001)))
    with pytest.raises(ModelRefused, match="1,000 files"):
        unpack_model(packed, tmp_path / "out")
