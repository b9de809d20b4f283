"""The documents of a stack: OCI index and manifest, ModelPack configuration.

Formats: OCI image specification 1.1 (index, manifest, descriptor) and the CNCF ModelPack
specification (`application/vnd.cncf.model.*`, `org.cncf.model.filepath`). Everything here is pure:
bytes in, checked objects out, and back. What is not known is refused, since these bytes are signed
and a reader that skips what it does not know runs something other than what was signed.
"""

from __future__ import annotations

import json
import re
from itertools import groupby, pairwise
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from dizuo.artifacts.errors import StackRefused
from dizuo.artifacts.model import Blob, BlobFile, FileRole, LayerBlobs, Level
from dizuo.core.digests import canonical_json

INDEX_MEDIA_TYPE: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST_MEDIA_TYPE: Final = "application/vnd.oci.image.manifest.v1+json"
MODEL_ARTIFACT_TYPE: Final = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_MEDIA_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_MEDIA_TYPE = "application/vnd.cncf.model.weight.v1.raw"
WEIGHT_CONFIG_MEDIA_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
DATASET_MEDIA_TYPE = "application/vnd.cncf.model.dataset.v1.raw"

FILEPATH = "org.cncf.model.filepath"
FORMAT = "io.dizuo.format"
PROJECT = "io.dizuo.project"
NAME = "io.dizuo.name"
VERSION = "io.dizuo.version"
LEVEL = "io.dizuo.level"
FAMILY = "io.dizuo.family"
PARENT = "io.dizuo.parent"
TARGET = "io.dizuo.target"
LAYER = "io.dizuo.layer"
ROLE = "io.dizuo.role"
FORMAT_VERSION = "1"
IDENTITY = frozenset({FORMAT, PROJECT, NAME, VERSION, LEVEL, FAMILY, PARENT})
"""The annotations of an index that say which stack version it is."""

MAX_DOCUMENT_BYTES = 4 << 20
"""What OCI registries accept for a manifest at least, and all that we read of one."""
MAX_BLOB_BYTES = 1 << 43
MAX_FILES = 4096
MAX_TARGETS = 64

_DATASET_ROLES = frozenset({FileRole.GOLDEN, FileRole.TRAINED_ANSWERS})
_TARGET_PATTERN = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_PATH_PART_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=-]{0,127}")
_MAX_PATH_PARTS = 8

DigestField = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Annotations = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=256)], Annotated[str, Field(max_length=4096)]
    ],
    Field(max_length=64),
]


class Document(BaseModel):
    """Base of the documents: unknown keys and wrong types are refused, nothing is converted."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
    )


class Descriptor(Document):
    """An OCI descriptor: what a blob is, which it is, and how long.

    It has no `artifactType`, also where it points to a manifest that has one: older skopeo (1.9 in
    Debian 12) drops that key from an index it copies and so changes the index's digest.
    """

    media_type: Annotated[str, Field(min_length=1, max_length=255)]
    digest: DigestField
    size: Annotated[int, Field(ge=0, le=MAX_BLOB_BYTES)]
    annotations: Annotations | None = None

    @property
    def blob(self) -> Blob:
        """What it points to."""
        return Blob(self.digest, self.size)


class Manifest(Document):
    """An OCI image manifest that is a ModelPack artifact: one target of a stack version."""

    schema_version: Literal[2] = 2
    media_type: Literal["application/vnd.oci.image.manifest.v1+json"] = MANIFEST_MEDIA_TYPE
    artifact_type: Literal["application/vnd.cncf.model.manifest.v1+json"] = MODEL_ARTIFACT_TYPE
    config: Descriptor
    layers: Annotated[list[Descriptor], Field(min_length=1, max_length=MAX_FILES)]
    annotations: Annotations


class Index(Document):
    """An OCI image index that is a stack version."""

    schema_version: Literal[2] = 2
    media_type: Literal["application/vnd.oci.image.index.v1+json"] = INDEX_MEDIA_TYPE
    artifact_type: Literal["application/vnd.cncf.model.manifest.v1+json"] = MODEL_ARTIFACT_TYPE
    manifests: Annotated[list[Descriptor], Field(min_length=1, max_length=MAX_TARGETS)]
    annotations: Annotations


class ModelDescriptor(Document):
    """ModelPack `descriptor`: what the model is called."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    version: Annotated[str, Field(max_length=32)]
    family: Annotated[str, Field(max_length=64)]


class ModelConfig(Document):
    """ModelPack `config`: the form of the weights."""

    format: Annotated[str, Field(max_length=64)]
    quantization: Annotated[str, Field(max_length=64)] | None = None


class ModelFiles(Document):
    """ModelPack `modelfs`: the digests of the layers' uncompressed content, in order."""

    type: Literal["layers"] = "layers"
    diff_ids: Annotated[list[DigestField], Field(min_length=1, max_length=MAX_FILES)]


class Configuration(Document):
    """A ModelPack configuration, the `config` blob of a manifest."""

    descriptor: ModelDescriptor
    config: ModelConfig
    modelfs: ModelFiles


DocumentType = TypeVar("DocumentType", bound=Document)


def encode(document: Document) -> bytes:
    """The one byte form of a document: canonical JSON without absent keys."""
    return canonical_json(document.model_dump(by_alias=True, exclude_none=True))


def decode(kind: type[DocumentType], data: bytes) -> DocumentType:
    """Read a document.

    Raises:
        StackRefused: not JSON, a key twice, a key that is not known, a wrong type or bound.
    """
    name = kind.__name__.lower()
    try:
        return kind.model_validate(parse_json(data, name))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top"
        raise StackRefused(f"This stack's {name} is wrong at {where}: {first['msg']}.") from error


def parse_json(data: bytes, name: str, *, max_bytes: int = MAX_DOCUMENT_BYTES) -> Any:
    """JSON of bounded length in which no object has a key twice.

    Raises:
        StackRefused: it is not that; `name` says what it was meant to be.
    """
    if len(data) > max_bytes:
        raise StackRefused(f"This {name} is longer than {max_bytes} bytes.")
    try:
        return json.loads(data, object_pairs_hook=_object_without_twins)
    except (ValueError, RecursionError) as error:
        raise StackRefused(f"This {name} is not JSON as OCI writes it.") from error


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def require_target(text: str) -> str:
    """`text`, if it can name a target (`gguf-q4_0`).

    Raises:
        StackRefused: it cannot.
    """
    if len(text) > 64 or not _TARGET_PATTERN.fullmatch(text):
        raise StackRefused(f"{text[:80]!r} is not the name of a target.")
    return text


def require_path(text: str) -> str:
    """`text`, if it is a relative path that stays inside the folder it is laid out in.

    Raises:
        StackRefused: it is empty, absolute, climbs, hides, or has characters we do not write.
    """
    parts = text.split("/")
    if len(parts) > _MAX_PATH_PARTS or not all(_PATH_PART_PATTERN.fullmatch(p) for p in parts):
        raise StackRefused(f"{text[:80]!r} is not a file path that a layer may have.")
    return text


def media_type_of(role: FileRole) -> str:
    """The ModelPack media type of a file: weights, what configures them, or data."""
    if role is FileRole.WEIGHTS:
        return WEIGHT_MEDIA_TYPE
    return DATASET_MEDIA_TYPE if role in _DATASET_ROLES else WEIGHT_CONFIG_MEDIA_TYPE


def describe_file(level: Level, layer: str, file: BlobFile) -> Descriptor:
    """The descriptor of one file. Its path begins with level and layer, so none collide."""
    return Descriptor(
        media_type=media_type_of(file.role),
        digest=file.blob.digest,
        size=file.blob.size_bytes,
        annotations={
            FILEPATH: require_path(f"{level}/{layer}/{file.path}"),
            LEVEL: level.value,
            LAYER: layer,
            ROLE: file.role.value,
        },
    )


def layers_of(descriptors: list[Descriptor]) -> tuple[LayerBlobs, ...]:
    """The layers that a manifest's descriptors make, base first.

    Raises:
        StackRefused: a file has no layer or a path outside its layer's folder, two files share a
            path, a layer is in pieces, or the layers do not begin at L0 and rise.
    """
    groups = groupby((_layer_file(descriptor) for descriptor in descriptors), key=lambda f: f[:2])
    layers = tuple(
        LayerBlobs(level, name, tuple(file for _, _, file in group))
        for (level, name), group in groups
    )
    levels = [layer.level for layer in layers]
    if levels[0] is not Level.L0 or any(a >= b for a, b in pairwise(levels)):
        raise StackRefused(f"The layers of a stack rise from L0; these are {', '.join(levels)}.")
    for layer in layers:
        require_distinct([file.path for file in layer.files])
    return layers


def _layer_file(descriptor: Descriptor) -> tuple[Level, str, BlobFile]:
    notes = descriptor.annotations or {}
    try:
        level, layer, role = Level(notes[LEVEL]), notes[LAYER], FileRole(notes[ROLE])
        filepath = notes[FILEPATH]
    except (KeyError, ValueError) as error:
        raise StackRefused(f"A blob of this stack does not say what it is: {error}.") from error
    require_path(filepath)
    if filepath.split("/")[:2] != [level.value, layer] or filepath.count("/") < 2:
        raise StackRefused(f"The file {filepath!r} lies outside its layer {level}/{layer}.")
    if descriptor.media_type != media_type_of(role):
        raise StackRefused(f"The file {filepath!r} has the media type of another role.")
    path = filepath.split("/", 2)[2]
    return level, layer, BlobFile(path, role, descriptor.blob)


def require_distinct(paths: list[str]) -> None:
    """Refuse paths of one layer that cannot be laid out together: two of them are the same, or one
    is a file where another needs a folder.

    Raises:
        StackRefused: they clash.
    """
    folders = {"/".join(p.split("/")[:n]) for p in paths for n in range(1, p.count("/") + 1)}
    if len(set(paths)) != len(paths) or folders.intersection(paths):
        raise StackRefused("Two files of one layer want the same path.")
