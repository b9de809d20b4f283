"""The walk through documents, those of strangers included."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dizuo.artifacts.errors import StackRefused
from dizuo.artifacts.graph import BLOB_MEDIA_TYPE, Node, reachable, read_node
from dizuo.artifacts.manifests import INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE


def digest(name: str) -> str:
    return "sha256:" + name * 64


def index(*names: str) -> bytes:
    manifests = [{"digest": digest(name), "platform": {"os": "linux"}} for name in names]
    return json.dumps({"mediaType": INDEX_MEDIA_TYPE, "manifests": manifests}).encode()


def manifest(config: str, *layers: str) -> bytes:
    document = {
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": {"digest": digest(config)},
        "layers": [{"digest": digest(name)} for name in layers],
        "subject": {"digest": digest("0")},
    }
    return json.dumps(document).encode()


def test_what_a_document_points_to() -> None:
    assert read_node(index("a", "b")) == Node(INDEX_MEDIA_TYPE, (digest("a"), digest("b")), ())
    assert read_node(manifest("c", "d")) == Node(
        MANIFEST_MEDIA_TYPE, (), (digest("c"), digest("d"))
    )


def test_shared_and_nested_documents_are_walked_once() -> None:
    documents = {
        digest("1"): index("2", "3"),
        digest("2"): index("3"),
        digest("3"): manifest("a", "b", "b"),
    }
    asked: list[str] = []

    def read(wanted: str) -> bytes | None:
        asked.append(wanted)
        return documents.get(wanted)

    assert reachable([digest("1"), digest("1")], read) == {
        digest("1"): INDEX_MEDIA_TYPE,
        digest("2"): INDEX_MEDIA_TYPE,
        digest("3"): MANIFEST_MEDIA_TYPE,
        digest("a"): BLOB_MEDIA_TYPE,
        digest("b"): BLOB_MEDIA_TYPE,
    }
    assert sorted(asked) == sorted(documents)


def test_a_document_that_is_not_held_leads_nowhere() -> None:
    documents = {digest("1"): index("2", "3"), digest("3"): manifest("a", "b")}
    found = reachable([digest("1"), digest("9")], documents.get)
    assert set(found) == {digest("1"), digest("3"), digest("a"), digest("b")}


def test_a_document_that_was_met_as_a_blob_is_still_walked() -> None:
    documents = {
        digest("1"): index("2", "3"),
        digest("2"): manifest("a", "b"),
        digest("3"): manifest("2", "c"),
    }
    found = reachable([digest("1")], documents.get)
    assert found[digest("2")] == MANIFEST_MEDIA_TYPE
    assert set(found) == {digest(name) for name in "123abc"}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"mediaType": "application/vnd.docker.distribution.manifest.list.v2+json"},
        {"mediaType": INDEX_MEDIA_TYPE, "manifests": {}},
        {"mediaType": INDEX_MEDIA_TYPE, "manifests": ["sha256:1"]},
        {"mediaType": INDEX_MEDIA_TYPE, "manifests": [{}]},
        {"mediaType": INDEX_MEDIA_TYPE, "manifests": [{"digest": "sha256:../x"}]},
        {"mediaType": MANIFEST_MEDIA_TYPE, "layers": []},
        {"mediaType": MANIFEST_MEDIA_TYPE, "config": {"digest": digest("a")}, "layers": 3},
    ],
)
def test_what_is_no_document(document: Any) -> None:
    with pytest.raises(StackRefused):
        read_node(json.dumps(document).encode())
