"""Stacks as OCI artifacts: composing a version; reading and unpacking one are found here too.

A stack version is an OCI index with one manifest per target. A child's manifest begins with exactly
its parent's layer descriptors, so what the parent has is stored and shipped once. Documents are in
canonical JSON and say nothing about when they were made: the same draft has the same digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dizuo.artifacts.errors import CannotCompose, StackRefused
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.manifests import (
    CONFIG_MEDIA_TYPE,
    IDENTITY,
    MANIFEST_MEDIA_TYPE,
    MAX_FILES,
    MAX_TARGETS,
    TARGET,
    Configuration,
    Descriptor,
    Index,
    Manifest,
    ModelConfig,
    ModelDescriptor,
    ModelFiles,
    decode,
    describe_file,
    encode,
    require_distinct,
    require_path,
    require_target,
)
from dizuo.artifacts.model import BlobFile, LayerFile, Level, StackIndex
from dizuo.artifacts.reading import Identity, read_stack
from dizuo.artifacts.reference import InvalidReference, Reference, require_name
from dizuo.artifacts.unpacking import unpack

__all__ = ["StackDraft", "compose", "read_stack", "unpack"]

_MAX_ANNOTATIONS = 32
_MAX_ANNOTATION_KEY = 256
_MAX_ANNOTATION_VALUE = 4096


@dataclass(frozen=True, slots=True)
class StackDraft:
    """A stack version to be composed.

    `targets` has the files of the stack's *own* layer in each target's form; `parent_digest` is the
    index digest of the stack below, None for an L0. `annotations` are kept in the index beside the
    identity and so change the digest; keys under `io.dizuo.` that are part of the identity are
    refused.
    """

    project: str
    name: str
    version: int
    level: Level
    family: str
    parent_digest: str | None
    targets: Mapping[str, tuple[LayerFile, ...]]
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """Which stack version it will be."""
        reference = Reference(self.project, self.name, self.version)
        return Identity(
            reference, self.version, self.level, require_name(self.family), self.parent_digest
        )


def compose(layout: Layout, draft: StackDraft) -> str:
    """Put a stack version into the registry, without a tag; returns its index digest.

    Nothing is written unless the whole draft can be. Composing the same draft again changes nothing
    and returns the same digest.

    Raises:
        CannotCompose: the draft is wrong; says how.
        BlobMissing, BlobCorrupt, StackRefused: the parent cannot be read.
        DiskFull: there is no room.
    """
    identity = _checked_identity(draft)
    below = _parent_descriptors(layout, draft)
    manifests = [
        _put_target(layout, identity, target, [*below[target], *_put_files(layout, draft, target)])
        for target in sorted(draft.targets)
    ]
    index = Index(manifests=manifests, annotations={**draft.annotations, **identity.annotations})
    return layout.put_bytes(encode(index)).digest


def _checked_identity(draft: StackDraft) -> Identity:
    try:
        identity = draft.identity
        for target, files in draft.targets.items():
            require_target(target)
            _require_files(files)
    except (InvalidReference, StackRefused) as error:
        raise CannotCompose(error.message, next_step=error.next_step) from error
    if not 1 <= len(draft.targets) <= MAX_TARGETS:
        raise CannotCompose(f"A stack has 1 to {MAX_TARGETS} targets.")
    if (draft.parent_digest is None) != (draft.level is Level.L0):
        raise CannotCompose("An L0 stack has no parent, and every other has one.")
    _require_annotations(draft.annotations)
    return identity


def _require_files(files: tuple[LayerFile, ...]) -> None:
    if not 1 <= len(files) <= MAX_FILES // len(Level):
        raise CannotCompose(f"A layer has 1 to {MAX_FILES // len(Level)} files.")
    require_distinct([require_path(file.path) for file in files])
    for file in files:
        if not file.source.is_file():
            raise CannotCompose(f"The file {file.path} of the layer is not there.")


def _require_annotations(annotations: Mapping[str, str]) -> None:
    taken = sorted((IDENTITY | {TARGET}) & annotations.keys())
    if taken:
        raise CannotCompose(f"The annotation {taken[0]} is set by the stack itself.")
    sizes_fit = all(
        1 <= len(key) <= _MAX_ANNOTATION_KEY and len(value) <= _MAX_ANNOTATION_VALUE
        for key, value in annotations.items()
    )
    if len(annotations) > _MAX_ANNOTATIONS or not sizes_fit:
        raise CannotCompose(
            f"A stack takes {_MAX_ANNOTATIONS} annotations of {_MAX_ANNOTATION_VALUE} characters."
        )


def _parent_descriptors(layout: Layout, draft: StackDraft) -> Mapping[str, list[Descriptor]]:
    """Per target of the draft, what its manifest begins with: nothing for an L0."""
    if draft.parent_digest is None:
        return {target: [] for target in draft.targets}
    parent = read_stack(layout, draft.parent_digest)
    _require_fit(draft, parent)
    return {
        target: decode(Manifest, layout.read(parent.targets[target].manifest.digest)).layers
        for target in draft.targets
    }


def _require_fit(draft: StackDraft, parent: StackIndex) -> None:
    if parent.level >= draft.level:
        raise CannotCompose(
            f"A stack of level {draft.level} cannot stand on one of {parent.level}."
        )
    if parent.family != draft.family:
        raise CannotCompose(f"A {draft.family} stack cannot stand on a {parent.family} one.")
    absent = sorted(draft.targets.keys() - parent.targets.keys())
    if absent:
        raise CannotCompose(
            f"The parent {parent.name}:{parent.version} has no target {absent[0]}.",
            next_step=f"Export to {', '.join(sorted(parent.targets))}, or build the parent anew.",
        )


def _put_files(layout: Layout, draft: StackDraft, target: str) -> list[Descriptor]:
    return [
        describe_file(
            draft.level, draft.name, BlobFile(file.path, file.role, layout.put_file(file.source))
        )
        for file in sorted(draft.targets[target], key=lambda file: file.path)
    ]


def _put_target(
    layout: Layout, identity: Identity, target: str, layers: list[Descriptor]
) -> Descriptor:
    config = layout.put_bytes(encode(_configuration(identity, target, layers)))
    manifest = Manifest(
        config=Descriptor(
            media_type=CONFIG_MEDIA_TYPE, digest=config.digest, size=config.size_bytes
        ),
        layers=layers,
        annotations=identity.annotations | {TARGET: target},
    )
    blob = layout.put_bytes(encode(manifest))
    return Descriptor(
        media_type=MANIFEST_MEDIA_TYPE,
        digest=blob.digest,
        size=blob.size_bytes,
        annotations={TARGET: target},
    )


def _configuration(identity: Identity, target: str, layers: list[Descriptor]) -> Configuration:
    """`gguf-q4_0` is the format `gguf` with the quantization `q4_0`."""
    form, _, quantization = target.partition("-")
    return Configuration(
        descriptor=ModelDescriptor(
            name=identity.reference.name, version=str(identity.version), family=identity.family
        ),
        config=ModelConfig(format=form, quantization=quantization or None),
        modelfs=ModelFiles(diff_ids=[layer.digest for layer in layers]),
    )
