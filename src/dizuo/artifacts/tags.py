"""`index.json` of an image layout: which tag of which repository names which digest."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dizuo.artifacts.errors import LayoutDamaged, StackRefused
from dizuo.artifacts.manifests import INDEX_MEDIA_TYPE, parse_json
from dizuo.artifacts.model import Blob
from dizuo.artifacts.reference import InvalidReference, require_repository
from dizuo.core.digests import DIGEST_PATTERN
from dizuo.core.files import write_json

REF_NAME = "org.opencontainers.image.ref.name"
MAX_INDEX_BYTES = 64 << 20

_TAG_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def require_tag(text: str) -> str:
    """`text`, if it can be a tag in OCI distribution.

    Raises:
        InvalidReference: it cannot.
    """
    if not _TAG_PATTERN.fullmatch(text):
        raise InvalidReference(f"{text[:80]!r} is not a tag.")
    return text


@dataclass(frozen=True, slots=True)
class TagTable:
    """The descriptors of `index.json` as they stand, those of other tools included."""

    descriptors: tuple[Mapping[str, Any], ...]
    repositories: Mapping[str, Mapping[str, str]] = field(init=False, compare=False)
    """Repository to tag to digest, for the descriptors whose name is `project/name:tag`."""

    def __post_init__(self) -> None:
        found: dict[str, dict[str, str]] = {}
        for descriptor in self.descriptors:
            repository, colon, tag = _ref_name(descriptor).rpartition(":")
            if colon and _is_repository(repository) and _TAG_PATTERN.fullmatch(tag):
                found.setdefault(repository, {})[tag] = descriptor["digest"]
        object.__setattr__(self, "repositories", found)

    @property
    def digests(self) -> frozenset[str]:
        """Every digest that the layout keeps, tagged by us or not."""
        return frozenset(descriptor["digest"] for descriptor in self.descriptors)

    def without(self, repository: str, tag: str) -> TagTable:
        """The table with that tag gone."""
        gone = f"{repository}:{tag}"
        return TagTable(tuple(d for d in self.descriptors if _ref_name(d) != gone))

    def with_tag(self, repository: str, tag: str, media_type: str, blob: Blob) -> TagTable:
        """The table with that tag on `blob`, wherever it was before."""
        descriptor = {
            "mediaType": media_type,
            "digest": blob.digest,
            "size": blob.size_bytes,
            "annotations": {REF_NAME: f"{repository}:{tag}"},
        }
        return TagTable((*self.without(repository, tag).descriptors, descriptor))


def read_tags(path: Path) -> TagTable:
    """The table in `index.json`.

    Raises:
        LayoutDamaged: the file is missing or not an OCI index.
    """
    try:
        document = parse_json(path.read_bytes(), "index.json", max_bytes=MAX_INDEX_BYTES)
    except (FileNotFoundError, StackRefused) as error:
        raise LayoutDamaged(f"{path} cannot be read as the index of a layout.") from error
    manifests = document.get("manifests") if isinstance(document, dict) else None
    if not isinstance(manifests, list) or not all(_is_descriptor(entry) for entry in manifests):
        raise LayoutDamaged(f"{path} is not the index of a layout.")
    return TagTable(tuple(manifests))


def write_tags(path: Path, table: TagTable) -> None:
    """The table as `index.json`, atomically."""
    descriptors = sorted(table.descriptors, key=_ref_name)
    write_json(path, {"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": descriptors})


def _ref_name(descriptor: Mapping[str, Any]) -> str:
    name = (descriptor.get("annotations") or {}).get(REF_NAME, "")
    return name if isinstance(name, str) else ""


def _is_repository(text: str) -> bool:
    try:
        require_repository(text)
    except InvalidReference:
        return False
    return True


def _is_descriptor(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("digest"), str)
        and DIGEST_PATTERN.fullmatch(entry["digest"]) is not None
        and isinstance(entry.get("annotations") or {}, dict)
    )
