"""An open model from its directory to a registered base, and archives that are not one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.runs.archives import archive
from tests.runs.works import Works, open_works

from dizuo.artifacts.stacks import read_stack
from dizuo.core.digests import sha256_bytes
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.datasets.errors import UploadMissing
from dizuo.families.errors import FamilyMissing, ModelRefused, UnknownFamily
from dizuo.gates import service as gates
from dizuo.stacks.model import StackVersion


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


def test_a_base_without_a_recipe_is_gated_by_how_it_answered_when_it_came_in(
    model: Model, imported: StackVersion
) -> None:
    run = model.works.run("gate", stack=imported.ref)
    assert run.outcome is not None
    assert run.outcome["passed"] is True, run.outcome
    with model.works.context.database.reading() as session:
        report = gates.latest_report(session, imported.digest)
    assert report is not None
    (rule,) = report.rules
    assert (rule.target, rule.measured) == ("onnx", 1.0)


def test_same_model_is_found_again(model: Model, imported: StackVersion) -> None:
    again = model.works.admit("import", upload=model.digest, name="resnet", family="vision")
    assert again.cached
    assert again.outcome is not None
    assert again.outcome["digest"] == imported.digest


def test_the_family_is_the_stacks_where_it_is_not_said(
    model: Model, imported: StackVersion
) -> None:
    again = model.works.admit("import", upload=model.digest, name="resnet")
    assert again.cached
    assert again.outcome is not None
    assert again.outcome["digest"] == imported.digest


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"upload": "sha256:" + "0" * 64}, UploadMissing, "upload"),
        ({"upload": "yes"}, InvalidInput, "digest"),
        ({"family": "smell"}, UnknownFamily, "smell"),
        ({"family": ""}, FamilyMissing, "of which family the new stack other is"),
        ({"name": "Not A Name"}, InvalidInput, "Not A Name"),
        ({"name": 7}, InvalidInput, "name"),
        ({"directory": "/etc"}, InvalidInput, "directory"),
        ({"task": {"context_tokens": 4096}}, InvalidInput, "no task.context_tokens"),
        ({"task": "answer"}, InvalidInput, "task"),
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
