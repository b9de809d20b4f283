"""What a document in the registry points to: the walk that serving and garbage collection share.

Unlike `dizuo.artifacts.manifests` this reads any OCI index or manifest, also a stranger's (a
signature, an SBOM), since those may lie in the same layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dizuo.artifacts.errors import StackRefused
from dizuo.artifacts.manifests import INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, parse_json
from dizuo.core.digests import DIGEST_PATTERN

BLOB_MEDIA_TYPE = "application/octet-stream"
"""How a blob is served that is not itself an index or a manifest."""


@dataclass(frozen=True, slots=True)
class Node:
    """An index or a manifest: its media type, the documents and the plain blobs it points to."""

    media_type: str
    documents: tuple[str, ...]
    blobs: tuple[str, ...]


def read_node(data: bytes) -> Node:
    """What an OCI index or manifest points to.

    Raises:
        StackRefused: the bytes are neither.
    """
    document = parse_json(data, "index or manifest")
    media_type = document.get("mediaType") if isinstance(document, dict) else None
    if media_type not in (INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE):
        raise StackRefused("This blob is neither an OCI index nor an OCI manifest.")
    layers = [document.get("config"), *_list(document.get("layers"))]
    return Node(
        media_type=media_type,
        documents=_digests(_list(document.get("manifests"))),
        blobs=_digests(layers) if media_type == MANIFEST_MEDIA_TYPE else (),
    )


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise StackRefused("This index or manifest has something else where a list belongs.")
    return value


def _digests(descriptors: Iterable[Any]) -> tuple[str, ...]:
    found = []
    for descriptor in descriptors:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not DIGEST_PATTERN.fullmatch(digest):
            raise StackRefused("This index or manifest points to something without a digest.")
        found.append(digest)
    return tuple(found)


def reachable(roots: Iterable[str], read: Callable[[str], bytes | None]) -> dict[str, str]:
    """Every digest that can be reached from `roots`, with its media type.

    Args:
        roots: digests of indexes or manifests.
        read: the bytes of a document, or None where it is not held (a site holds the manifest of
            its own target only); such a document leads nowhere.

    Raises:
        StackRefused: something reached as a document is not one.
    """
    documents: dict[str, str] = {}
    blobs: dict[str, str] = {}
    waiting = list(roots)
    while waiting:
        digest = waiting.pop()
        data = None if digest in documents else read(digest)
        if data is None:
            continue
        node = read_node(data)
        documents[digest] = node.media_type
        blobs.update(dict.fromkeys(node.blobs, BLOB_MEDIA_TYPE))
        waiting.extend(node.documents)
    # One manifest's blob may be another index's manifest: then it is a document, and was walked.
    return blobs | documents
