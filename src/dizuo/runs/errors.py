"""What can go wrong with runs."""

from __future__ import annotations

from dizuo.core.errors import (
    Conflict,
    DizuoError,
    IntegrityError,
    InvalidInput,
    NotFound,
    Unavailable,
)


class RunNotFound(NotFound):
    """There is no run with this id."""

    code = "run_not_found"


class RunKeyReused(Conflict):
    """The same key was used before for a different run."""

    code = "run_key_reused"


class UnknownRunKind(InvalidInput):
    """Nothing installed can do this kind of run."""

    code = "unknown_run_kind"


class StaleFence(Conflict):
    """The run has moved on to another attempt; this one no longer counts."""

    code = "stale_fence"


class WorkerLost(DizuoError):
    """The run's process ended without a result, more often than is tried again."""

    code = "worker_lost"


class RunCrashed(DizuoError):
    """The run stopped on an error that nobody foresaw; its log has the details."""

    code = "run_crashed"


class RunTimeout(Unavailable):
    """The run did not end within the time the caller wanted to wait."""

    code = "run_timeout"


class RunFormatUnknown(IntegrityError):
    """The run's job was written by a version of dizuo whose format this one does not read."""

    code = "run_format_unknown"


class ModelHubSilent(DizuoError):
    """The hub that a model is to come from does not answer, or may not be asked.

    Not `Unavailable`: a queued run that meets it fails, and does not keep the others waiting.
    """

    code = "model_hub_silent"
    http_status = 503
    retryable = True
