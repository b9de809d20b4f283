"""Documents that are nearly a stack: each is refused, since what is signed is all that runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.artifacts.conftest import Family, build_family

from dizuo.artifacts.errors import StackRefused
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.manifests import (
    MAX_DOCUMENT_BYTES,
    Configuration,
    Descriptor,
    Index,
    Manifest,
    decode,
    encode,
    require_path,
)
from dizuo.artifacts.reading import read_stack
from dizuo.core.digests import canonical_json


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """One for the module: its tests only add documents that no tag leads to."""
    return build_family(tmp_path_factory.mktemp("reading"))


Json = dict[str, Any]
Change = Callable[[Json], object]


def documents(family: Family) -> tuple[Json, Json, Json]:
    """Index, manifest and configuration of the scenario, one target only."""
    index = json.loads(family.layout.read(family.scenario))
    index["manifests"] = index["manifests"][:1]
    manifest = json.loads(family.layout.read(index["manifests"][0]["digest"]))
    configuration = json.loads(family.layout.read(manifest["config"]["digest"]))
    return index, manifest, configuration


def put(layout: Layout, index: Json, manifest: Json, configuration: Json) -> str:
    """Store the three again, their digests following."""
    config = layout.put_bytes(canonical_json(configuration))
    manifest["config"].update(digest=config.digest, size=config.size_bytes)
    blob = layout.put_bytes(canonical_json(manifest))
    index["manifests"][0].update(digest=blob.digest, size=blob.size_bytes)
    return layout.put_bytes(canonical_json(index)).digest


def test_storing_them_unchanged_gives_a_stack(family: Family) -> None:
    digest = put(family.layout, *documents(family))
    assert set(read_stack(family.layout, digest).targets) == {"onnx"}


def note(document: Json, key: str, value: str | None) -> None:
    if value is None:
        del document["annotations"][key]
    else:
        document["annotations"][key] = value


INDEX_CHANGES: dict[str, Change] = {
    "unknown key": lambda d: d.update(subject={}),
    "schema version": lambda d: d.update(schemaVersion=1),
    "schema version as text": lambda d: d.update(schemaVersion="2"),
    "media type": lambda d: d.update(mediaType="application/json"),
    "artifact type": lambda d: d.update(artifactType="application/x"),
    "no manifests": lambda d: d.update(manifests=[]),
    "too many manifests": lambda d: d.update(manifests=d["manifests"] * 65),
    "a target twice": lambda d: d.update(manifests=d["manifests"] * 2),
    "no annotations": lambda d: d.pop("annotations"),
    "annotation not text": lambda d: d["annotations"].update(x=3),
    "no format": lambda d: note(d, "io.dizuo.format", None),
    "newer format": lambda d: note(d, "io.dizuo.format", "2"),
    "no name": lambda d: note(d, "io.dizuo.name", None),
    "bad name": lambda d: note(d, "io.dizuo.name", "../x"),
    "another name": lambda d: note(d, "io.dizuo.name", "site4"),
    "bad project": lambda d: note(d, "io.dizuo.project", "A"),
    "version not a number": lambda d: note(d, "io.dizuo.version", "one"),
    "version zero": lambda d: note(d, "io.dizuo.version", "0"),
    "version padded": lambda d: note(d, "io.dizuo.version", "01"),
    "another version": lambda d: note(d, "io.dizuo.version", "2"),
    "unknown level": lambda d: note(d, "io.dizuo.level", "L3"),
    "another level": lambda d: note(d, "io.dizuo.level", "L1"),
    "bad family": lambda d: note(d, "io.dizuo.family", ""),
    "no parent": lambda d: note(d, "io.dizuo.parent", None),
    "parent not a digest": lambda d: note(d, "io.dizuo.parent", "meter-reading:1"),
    "manifest of another type": lambda d: d["manifests"][0].update(mediaType="text/plain"),
    "manifest with a platform": lambda d: d["manifests"][0].update(platform={"os": "linux"}),
    "manifest with bytes inside": lambda d: d["manifests"][0].update(data="e30="),
    "no target": lambda d: d["manifests"][0].pop("annotations"),
    "another note": lambda d: note(d["manifests"][0], "x", "y"),
    "bad target": lambda d: note(d["manifests"][0], "io.dizuo.target", "../onnx"),
    "another target": lambda d: note(d["manifests"][0], "io.dizuo.target", "gguf"),
}


@pytest.mark.parametrize("change", INDEX_CHANGES.values(), ids=INDEX_CHANGES)
def test_a_changed_index_is_refused(family: Family, change: Change) -> None:
    index, manifest, configuration = documents(family)
    put(family.layout, index, manifest, configuration)
    change(index)
    digest = family.layout.put_bytes(canonical_json(index)).digest
    with pytest.raises(StackRefused):
        read_stack(family.layout, digest)


LAST = -1
FILEPATH = "org.cncf.model.filepath"

MANIFEST_CHANGES: dict[str, Change] = {
    "unknown key": lambda d: d.update(subject={}),
    "artifact type": lambda d: d.update(artifactType="application/x"),
    "configuration of another type": lambda d: d["config"].update(mediaType="text/plain"),
    "no layers": lambda d: d.update(layers=[]),
    "layers not a list": lambda d: d.update(layers={}),
    "own layer gone": lambda d: d.update(layers=d["layers"][:6]),
    "base gone": lambda d: d.update(layers=d["layers"][3:]),
    "base last": lambda d: d.update(layers=d["layers"][3:] + d["layers"][:3]),
    "layer in pieces": lambda d: d["layers"].append(d["layers"].pop(0)),
    "a file twice": lambda d: d["layers"].append(d["layers"][LAST]),
    "annotation gone": lambda d: note(d, "io.dizuo.target", None),
    "of another stack": lambda d: note(d, "io.dizuo.name", "site4"),
    "unknown role": lambda d: note(d["layers"][LAST], "io.dizuo.role", "code"),
    "role of another media type": lambda d: note(d["layers"][LAST], "io.dizuo.role", "config"),
    "no role": lambda d: note(d["layers"][LAST], "io.dizuo.role", None),
    "no level": lambda d: note(d["layers"][LAST], "io.dizuo.level", None),
    "no path": lambda d: note(d["layers"][LAST], FILEPATH, None),
    "path climbs": lambda d: note(d["layers"][LAST], FILEPATH, "L2/site3/../../../x"),
    "path climbs at the end": lambda d: note(d["layers"][LAST], FILEPATH, "L2/site3/.."),
    "path absolute": lambda d: note(d["layers"][LAST], FILEPATH, "/etc/passwd"),
    "path in another layer": lambda d: note(d["layers"][LAST], FILEPATH, "L0/shapes/x"),
    "path is the layer's folder": lambda d: note(d["layers"][LAST], FILEPATH, "L2/site3"),
    "layer name climbs": lambda d: d["layers"][LAST]["annotations"].update(
        {"io.dizuo.layer": "..", FILEPATH: "L2/../x"}
    ),
    "digest of another kind": lambda d: d["layers"][LAST].update(digest="sha512:" + 128 * "0"),
    "negative size": lambda d: d["layers"][LAST].update(size=-1),
    "size as text": lambda d: d["layers"][LAST].update(size="5000"),
    "size as float": lambda d: d["layers"][LAST].update(size=5000.0),
    "size absurd": lambda d: d["layers"][LAST].update(size=1 << 60),
    "other places": lambda d: d["layers"][LAST].update(urls=["http://elsewhere"]),
    "media type": lambda d: d["layers"][LAST].update(mediaType="application/x-tar"),
}


@pytest.mark.parametrize("change", MANIFEST_CHANGES.values(), ids=MANIFEST_CHANGES)
def test_a_changed_manifest_is_refused(family: Family, change: Change) -> None:
    index, manifest, configuration = documents(family)
    put(family.layout, index, manifest, configuration)
    change(manifest)
    blob = family.layout.put_bytes(canonical_json(manifest))
    index["manifests"][0].update(digest=blob.digest, size=blob.size_bytes)
    digest = family.layout.put_bytes(canonical_json(index)).digest
    with pytest.raises(StackRefused):
        read_stack(family.layout, digest)


CONFIGURATION_CHANGES: dict[str, Change] = {
    "unknown key": lambda d: d.update(code="x"),
    "no descriptor": lambda d: d.pop("descriptor"),
    "diff ids of others": lambda d: d["modelfs"]["diffIds"].reverse(),
    "diff ids gone": lambda d: d["modelfs"].update(diffIds=[]),
    "another type": lambda d: d["modelfs"].update(type="tar"),
}


@pytest.mark.parametrize("change", CONFIGURATION_CHANGES.values(), ids=CONFIGURATION_CHANGES)
def test_a_changed_configuration_is_refused(family: Family, change: Change) -> None:
    index, manifest, configuration = documents(family)
    change(configuration)
    digest = put(family.layout, index, manifest, configuration)
    with pytest.raises(StackRefused):
        read_stack(family.layout, digest)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[" * 200_000,
        b'{"schemaVersion":2,"schemaVersion":2}',
        b'{"schemaVersion":' + b"9" * 5000 + b"}",
        b" " * (MAX_DOCUMENT_BYTES + 1),
    ],
    ids=["empty", "not text", "null", "deep", "a key twice", "long number", "too long"],
)
@pytest.mark.parametrize("kind", [Index, Manifest, Configuration])
def test_bytes_that_are_no_document(
    kind: type[Index | Manifest | Configuration], data: bytes
) -> None:
    with pytest.raises(StackRefused) as refused:
        decode(kind, data)
    assert len(str(refused.value)) < 300


notes = st.none() | st.dictionaries(st.text(min_size=1, max_size=9), st.text(max_size=9))


@given(st.text(min_size=1, max_size=20), st.integers(0, 1 << 43), notes)
def test_a_descriptor_keeps_its_bytes_through_reading_and_writing(
    media_type: str, size: int, annotations: dict[str, str] | None
) -> None:
    digest = f"sha256:{size:064x}"
    descriptor = Descriptor(
        media_type=media_type, digest=digest, size=size, annotations=annotations
    )
    data = encode(descriptor)
    assert decode(Descriptor, data) == descriptor
    assert encode(decode(Descriptor, data)) == data


@given(st.text(alphabet=st.sampled_from("aZ0._-/\\ \n\0~"), max_size=30))
def test_an_accepted_path_stays_inside_its_folder(text: str) -> None:
    try:
        require_path(text)
    except StackRefused:
        return
    parts = text.split("/")
    assert not text.startswith("/")
    assert not any(part in ("", ".", "..") or part.startswith(".") for part in parts)
