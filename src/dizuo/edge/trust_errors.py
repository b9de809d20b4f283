"""Why a site does not trust what it was shown. One class, one code, for each broken promise."""

from __future__ import annotations

from dizuo.core.errors import Conflict, IntegrityError, Unavailable


class TrustRefused(IntegrityError):
    """Base of the refusals: the site keeps what it runs and takes nothing new."""

    code = "trust_refused"


class RootMismatch(TrustRefused):
    """The hub's root is not the one whose digest a person carried to the site."""

    code = "trust_root_mismatch"


class NoTrustedRoot(TrustRefused):
    """No root was pinned, so nothing can be verified."""

    code = "trust_no_root"


class MetadataTampered(TrustRefused):
    """Metadata without the signatures, hashes or form it must have."""

    code = "trust_metadata_tampered"


class MetadataExpired(TrustRefused):
    """Metadata past its date: the hub stopped renewing it, or somebody withholds the newer."""

    code = "trust_metadata_expired"


class MetadataRolledBack(TrustRefused):
    """Metadata older than what was seen, or of another version than was announced."""

    code = "trust_metadata_rolled_back"


class DirectionUnsigned(TrustRefused):
    """A direction to a stack version that is not signed, or no longer."""

    code = "trust_direction_unsigned"


class DirectionDiffers(TrustRefused):
    """A direction whose digest or family is not what was signed under that name and version."""

    code = "trust_direction_differs"


class RootAlreadyPinned(Conflict):
    """The site trusts another root; one site belongs to one hub."""

    code = "trust_root_already_pinned"


class TrustUnreachable(Unavailable):
    """The metadata cannot be fetched now."""

    code = "trust_unreachable"


class TrustStoreUnusable(Unavailable):
    """The site's own folder of metadata cannot be read or written."""

    code = "trust_store_unusable"
