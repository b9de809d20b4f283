"""What can go wrong with datasets, imports, samples and reviews."""

from __future__ import annotations

from dizuo.core.errors import Conflict, IntegrityError, InvalidInput, NotFound, Unavailable


class ImportStopped(Conflict):
    """Whoever began an import no longer wants it; nothing of it was kept."""

    code = "import_stopped"


class DatasetMissing(NotFound):
    """There is no dataset, or no version of it, under this name."""

    code = "dataset_missing"


class PinRefused(InvalidInput):
    """A text that does not name exactly one dataset version."""

    code = "pin_refused"


class SourceRefused(InvalidInput):
    """A file or folder that cannot be imported at all; nothing of it was kept."""

    code = "source_refused"


class RowRefused(InvalidInput):
    """One row that cannot be kept; its message is the reason."""

    code = "row_refused"


class DatasetConflict(Conflict):
    """The dataset as it is does not allow this addition."""

    code = "dataset_conflict"


class DatasetDamaged(IntegrityError):
    """What lies in the table is not what the version's digest says, or cannot be read."""

    code = "dataset_damaged"


class DatasetBusy(Unavailable):
    """Another addition to the dataset took longer than this one could wait; nothing was changed."""

    code = "dataset_busy"


class DatasetUnwritable(Unavailable):
    """The disk is full, or the datasets folder cannot be written; nothing was changed."""

    code = "dataset_unwritable"


class UploadMissing(NotFound):
    """No upload has this digest."""

    code = "upload_missing"


class SampleMissing(NotFound):
    """There is no returned sample with this id or digest."""

    code = "sample_missing"


class ReviewConflict(Conflict):
    """The sample was already reviewed with another result."""

    code = "review_conflict"


class ClaimLost(Conflict):
    """The sample is no longer before this reviewer: somebody else has it, or it was let go."""

    code = "claim_lost"


class NothingToUndo(Conflict):
    """The reviewer has given no verdict that can still be taken back."""

    code = "nothing_to_undo"


class NothingReviewed(Conflict):
    """No reviewed sample is waiting to go into a dataset."""

    code = "nothing_reviewed"


class SampleDamaged(IntegrityError):
    """The content of a sample is gone or is not what the site sent."""

    code = "sample_damaged"
