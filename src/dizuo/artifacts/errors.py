"""What can go wrong with blobs, manifests, layouts and transfers."""

from __future__ import annotations

from dizuo.core.errors import (
    Conflict,
    Forbidden,
    IntegrityError,
    InvalidInput,
    NotFound,
    Unavailable,
)


class CannotCompose(InvalidInput):
    """A draft that cannot become a stack version."""

    code = "cannot_compose"


class BlobMissing(NotFound):
    """The layout does not hold a blob of this digest."""

    code = "blob_missing"


class UnknownTag(NotFound):
    """The layout has no such repository, or no such tag in it."""

    code = "unknown_tag"


class TargetMissing(NotFound):
    """The stack was not built for this target."""

    code = "target_missing"


class NotInRegistry(NotFound):
    """The remote registry does not hold what was asked for."""

    code = "not_in_registry"


class TagTaken(Conflict):
    """The tag already names another digest; versions are never moved."""

    code = "tag_taken"


class DestinationTaken(Conflict):
    """The folder to unpack into holds something else."""

    code = "destination_taken"


class StackRefused(IntegrityError):
    """An index, manifest or configuration that is not the form a stack has."""

    code = "stack_refused"


class BlobCorrupt(IntegrityError):
    """Bytes that are not those of their digest, or more or fewer than their size."""

    code = "blob_corrupt"


class LayoutDamaged(IntegrityError):
    """A folder that is not an OCI image layout this version reads."""

    code = "layout_damaged"


class RegistryRefused(Forbidden):
    """The remote registry did not accept the credential."""

    code = "registry_refused"


class DiskFull(Unavailable):
    """There is not enough room; what was fetched so far is kept and used by the next attempt."""

    code = "disk_full"


class FetchInterrupted(Unavailable):
    """The transfer stopped early; what arrived is kept and the next attempt goes on from there."""

    code = "fetch_interrupted"


class FetchTooSlow(FetchInterrupted):
    """A transfer took longer than it may; what arrived is kept."""

    code = "fetch_too_slow"


class BlobBusy(Unavailable):
    """Another process is bringing in the same blob."""

    code = "blob_busy"
