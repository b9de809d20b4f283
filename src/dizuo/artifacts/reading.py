"""Reading a stack version back: from signed bytes to checked objects."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dizuo.artifacts.errors import StackRefused, TargetMissing
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.manifests import (
    CONFIG_MEDIA_TYPE,
    FAMILY,
    FORMAT,
    FORMAT_VERSION,
    IDENTITY,
    LEVEL,
    MANIFEST_MEDIA_TYPE,
    NAME,
    PARENT,
    PROJECT,
    TARGET,
    VERSION,
    Configuration,
    Descriptor,
    Index,
    Manifest,
    decode,
    layers_of,
    require_target,
)
from dizuo.artifacts.model import Level, StackIndex, StackManifest
from dizuo.artifacts.reference import InvalidReference, Reference, require_name
from dizuo.core.digests import DIGEST_PATTERN


@dataclass(frozen=True, slots=True)
class Identity:
    """Which stack version an index is; `annotations` is the form in which it says so."""

    reference: Reference
    version: int
    level: Level
    family: str
    parent_digest: str | None

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations of the index, and with a target of each manifest."""
        parent = {} if self.parent_digest is None else {PARENT: self.parent_digest}
        return parent | {
            FORMAT: FORMAT_VERSION,
            PROJECT: self.reference.project,
            NAME: self.reference.name,
            VERSION: str(self.version),
            LEVEL: self.level.value,
            FAMILY: self.family,
        }


def read_stack(
    layout: Layout, index_digest: str, *, only: Collection[str] | None = None
) -> StackIndex:
    """The stack version with this digest.

    Args:
        only: the targets to read; all when None. A site has the manifest of its own target only.

    Raises:
        BlobMissing: the index, or a manifest or configuration to read, is not in the layout.
        BlobCorrupt: a stored document is damaged.
        StackRefused: a document is not the form a stack has.
        TargetMissing: the stack was not built for one of `only`.
    """
    data = layout.read(index_digest)
    index = decode(Index, data)
    identity = identity_of(index)
    descriptors = targets_of(index)
    wanted = descriptors if only is None else {t: target_of(index, t) for t in only}
    targets = {
        target: _read_target(layout, identity, target, descriptor)
        for target, descriptor in wanted.items()
    }
    return StackIndex(
        digest=index_digest,
        size_bytes=len(data),
        project=identity.reference.project,
        name=identity.reference.name,
        version=identity.version,
        level=identity.level,
        family=identity.family,
        parent_digest=identity.parent_digest,
        annotations={k: v for k, v in index.annotations.items() if k not in IDENTITY},
        targets=targets,
    )


def _read_target(
    layout: Layout, identity: Identity, target: str, descriptor: Descriptor
) -> StackManifest:
    manifest = decode(Manifest, layout.read(descriptor.digest))
    found = manifest_of(identity, target, descriptor, manifest)
    configuration = decode(Configuration, layout.read(found.config.digest))
    if configuration.modelfs.diff_ids != [layer.digest for layer in manifest.layers]:
        raise StackRefused(f"The configuration of target {target} is that of other layers.")
    return found


def identity_of(index: Index) -> Identity:
    """Which stack version an index says it is.

    Raises:
        StackRefused: an annotation is missing, or not of its grammar.
    """
    notes = index.annotations
    try:
        if notes[FORMAT] != FORMAT_VERSION:
            raise StackRefused(
                f"This stack has format {notes[FORMAT]}; this program reads {FORMAT_VERSION}.",
                next_step="Update dizuo.",
            )
        identity = Identity(
            reference=Reference(notes[PROJECT], notes[NAME], int(notes[VERSION])),
            version=int(notes[VERSION]),
            level=Level(notes[LEVEL]),
            family=require_name(notes[FAMILY]),
            parent_digest=notes.get(PARENT),
        )
    except (KeyError, ValueError, InvalidReference) as error:
        raise StackRefused(f"This stack does not say what it is: {error}.") from error
    if identity.annotations != {key: notes[key] for key in IDENTITY & notes.keys()}:
        raise StackRefused("This stack does not say what it is in the form a stack has.")
    _require_parentage(identity)
    return identity


def _require_parentage(identity: Identity) -> None:
    parent = identity.parent_digest
    if (parent is None) != (identity.level is Level.L0):
        raise StackRefused("An L0 stack has no parent, and every other has one.")
    if parent is not None and not DIGEST_PATTERN.fullmatch(parent):
        raise StackRefused(f"The parent {parent[:80]!r} is not a digest.")


def targets_of(index: Index) -> Mapping[str, Descriptor]:
    """Target to the descriptor of its manifest.

    Raises:
        StackRefused: something else than a manifest per target is in the index.
    """
    found: dict[str, Descriptor] = {}
    for descriptor in index.manifests:
        notes = descriptor.annotations or {}
        if notes.keys() != {TARGET} or descriptor.media_type != MANIFEST_MEDIA_TYPE:
            raise StackRefused("This stack's index has an entry that is not a target.")
        found[require_target(notes[TARGET])] = descriptor
    if len(found) != len(index.manifests):
        raise StackRefused("This stack's index has a target twice.")
    return found


def target_of(index: Index, target: str) -> Descriptor:
    """The descriptor of one target's manifest.

    Raises:
        TargetMissing: the stack was not built for it.
    """
    found = targets_of(index)
    if target not in found:
        raise TargetMissing(
            f"This stack was not built for the target {target[:80]!r}.",
            next_step=f"It has: {', '.join(sorted(found))}.",
        )
    return found[target]


def manifest_of(
    identity: Identity, target: str, descriptor: Descriptor, manifest: Manifest
) -> StackManifest:
    """The checked form of a target's manifest.

    Raises:
        StackRefused: it belongs to another stack or target, its configuration is of another type,
            its layers are not those of a stack, or the last is not the stack's own.
    """
    if manifest.annotations != identity.annotations | {TARGET: target}:
        raise StackRefused(f"The manifest of target {target} belongs to another stack or target.")
    if manifest.config.media_type != CONFIG_MEDIA_TYPE:
        raise StackRefused(f"The configuration of target {target} is not a ModelPack one.")
    layers = layers_of(manifest.layers)
    if (layers[-1].level, layers[-1].name) != (identity.level, identity.reference.name):
        raise StackRefused(f"The last layer of target {target} is not the stack's own.")
    return StackManifest(target, descriptor.blob, manifest.config.blob, layers)
