"""Models of a Hugging Face hub, by `hf://ORG/NAME[@revision]`.

Cache, endpoint, token and offline mode are those of the hub library, from this process's
environment (HF_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE). Only the files that a family names
are fetched (`Importer.FILES`), so never pickled weights or code. What the library says in errors is
not passed on: it may name addresses that hold credentials.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from dizuo.artifacts.disk import telling_full_disk
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.core.files import write_atomic
from dizuo.core.progress import Progress, Reporter, silent
from dizuo.families.base import Cancelled
from dizuo.families.errors import ModelRefused
from dizuo.runs.errors import ModelHubSilent

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.hf_api import RepoSibling

CONFIG = "config.json"
MAX_CONFIG_BYTES = 20_000_000
PASSED_OVER = ("*/*", "consolidated*")
"""Folders hold other forms of the same weights, and so do Mistral's own files."""
ASK_SECONDS = 10.0
_FORM = re.compile(
    r"hf://(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>\w[\w./-]*))?",
    re.ASCII,
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MAX_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Source:
    """A model on a hub; `revision` is a branch, a tag or a commit."""

    repository: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"hf://{self.repository}@{self.revision}"


def parse_source(text: str) -> Source:
    """The model that a text names.

    Raises:
        InvalidInput: it does not have the form.
    """
    found = _FORM.fullmatch(text)
    if found is None or ".." in text or len(text) > _MAX_CHARACTERS:
        raise InvalidInput(
            f"{text[:80]!r} names no model of a hub.",
            next_step="Write hf://ORG/NAME or hf://ORG/NAME@REVISION.",
        )
    return Source(found["repository"], found["revision"] or "main")


def resolve(source: Source, files: Sequence[str], *, at_most_bytes: int) -> str:
    """The commit that the revision is at; where the hub does not answer, the one that was fetched
    last. Of a commit of which all `files` were fetched the hub is not asked.

    Raises:
        ModelRefused: there is no such model, it may not be read, has no safetensors weights,
            `files` have more than `at_most_bytes`, or its `config.json` more than is read.
        ModelHubSilent: the hub does not answer, or may not be asked, and nothing was fetched yet.
    """
    # The library takes a second to import.
    from huggingface_hub import HfApi

    if _COMMIT.fullmatch(source.revision) and _is_fetched(source, files):
        return source.revision
    try:
        info = HfApi().model_info(
            source.repository, revision=source.revision, timeout=ASK_SECONDS, files_metadata=True
        )
    except _library_errors() as error:
        explained = _explained(source, error)
        commit = _fetched_commit(source) if isinstance(explained, ModelHubSilent) else None
        if commit is None:
            raise explained from error
        return commit
    _check_files(source, info.siblings or (), files, at_most_bytes)
    if not info.sha or not _COMMIT.fullmatch(info.sha):
        raise _odd_answer()
    return info.sha


def _check_files(
    source: Source, known: Iterable[RepoSibling], files: Sequence[str], at_most_bytes: int
) -> None:
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    wanted = filter_repo_objects(
        known,
        allow_patterns=list(files),
        ignore_patterns=list(PASSED_OVER),
        key=lambda file: file.rfilename,
    )
    sizes = {file.rfilename: file.size or 0 for file in wanted}
    if not any(map(_is_weights, sizes)):
        raise ModelRefused(
            f"{source} has no safetensors weights.",
            next_step="Import a model that has; pickled weights and GGUF files are not fetched.",
        )
    if sum(sizes.values()) > at_most_bytes:
        raise ModelRefused(
            f"The files of {source} have more than {at_most_bytes >> 30} GiB.",
            next_step="Import a smaller model.",
        )
    if sizes.get(CONFIG, 0) > MAX_CONFIG_BYTES:
        raise ModelRefused(
            f"The {CONFIG} of {source} has more than {MAX_CONFIG_BYTES:,} bytes.",
            next_step="Import a model that Transformers has written.",
        )


def _is_weights(name: str) -> bool:
    return name.endswith(".safetensors") and "/" not in name and not name.startswith("consolidated")


def _is_fetched(source: Source, files: Sequence[str]) -> bool:
    """Whether a commit lies in the cache, with all of its files where their list does too."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            source.repository,
            revision=source.revision,
            allow_patterns=list(files),
            ignore_patterns=list(PASSED_OVER),
            local_files_only=True,
        )
        return any(_is_weights(path.name) for path in Path(folder).iterdir())
    except OSError:  # it is not there, or files are missing
        return False


def _fetched_commit(source: Source) -> str | None:
    """The commit at which a branch or tag was fetched last."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionResolutionError

    if _COMMIT.fullmatch(source.revision):
        return None
    try:
        found = HfApi().resolve_revision(
            source.repository, revision=source.revision, local_files_only=True
        )
    except RevisionResolutionError:
        return None
    return found.resolved if _COMMIT.fullmatch(found.resolved) else None


def fetch_config(source: Source, commit: str) -> Path:
    """The folder in the library's cache that holds a model's `config.json` at a commit, perhaps
    nothing else.

    Raises:
        DiskFull: the cache has no room.
        ModelRefused: the model has no such file; and as `resolve`.
        ModelHubSilent: as `resolve`.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import RemoteEntryNotFoundError

    try:
        with telling_full_disk(str(source)):
            path = hf_hub_download(
                source.repository,
                CONFIG,
                revision=commit,
                etag_timeout=ASK_SECONDS,
                tqdm_class=_bar(source, silent, lambda: False),
            )
    except RemoteEntryNotFoundError as error:
        raise ModelRefused(
            f"{source} has no {CONFIG}.", next_step="Import a model that Transformers can load."
        ) from error
    except _library_errors() as error:
        raise _explained(source, error) from error
    return Path(path).parent


def fetch(
    source: Source,
    commit: str,
    files: Sequence[str],
    report: Reporter,
    cancelled: Callable[[], bool],
) -> Path:
    """The folder of a model at a commit, in the library's own cache, with those of its files that
    `files` name; what lies there already is not fetched again.

    Raises:
        Cancelled: `cancelled()` became true.
        DiskFull: the cache has no room.
        ModelRefused, ModelHubSilent: as `resolve`.
    """
    from huggingface_hub import snapshot_download

    report(Progress("fetch", unit="byte", message=str(source)))
    try:
        with telling_full_disk(str(source)):
            folder = snapshot_download(
                source.repository,
                revision=commit,
                allow_patterns=list(files),
                ignore_patterns=list(PASSED_OVER),
                max_workers=4,
                tqdm_class=_bar(source, report, cancelled),
            )
    except _library_errors() as error:
        raise _explained(source, error) from error
    _remember(source, commit)
    return Path(folder)


def _remember(source: Source, commit: str) -> None:
    """Note in the cache where the revision is, as the library does, for when it is asked offline.

    The library itself notes only what it resolved itself, and would not do so within a bounded
    time.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(
        repo_id=source.repository, repo_type="model"
    )
    with suppress(OSError):  # a cache that is only read is none to note anything in
        write_atomic(folder / "refs" / source.revision, commit.encode())


def _bar(source: Source, report: Reporter, cancelled: Callable[[], bool]) -> type[Any]:
    """What the library tells its progress to."""
    from huggingface_hub.utils.tqdm import tqdm

    lock = threading.Lock()

    class Bar(tqdm):
        """Shows nothing, and reports the bytes that have been written."""

        def __init__(self, *args: Any, **settings: Any) -> None:
            self._told = settings.get("name") == "huggingface_hub.snapshot_download"
            self._done = 0
            super().__init__(*args, **{**settings, "disable": True})  # type: ignore[no-untyped-call]

        def update(self, n: float | None = 1) -> None:
            if cancelled():
                raise Cancelled
            if self._told:
                with lock:
                    self._done += int(n or 0)
                    total = int(self.total or 0)
                    report(Progress("fetch", self._done, total, "byte", str(source)))

    return Bar


def _library_errors() -> tuple[type[Exception], ...]:
    """What the library raises for answers, connections and files that are not as they should be."""
    import httpx2

    return (OSError, ValueError, TypeError, KeyError, AssertionError, httpx2.HTTPError)


def _explained(source: Source, error: Exception) -> DizuoError:
    """One sentence for what the library raises; its own words are not passed on."""
    import httpx2
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    reason: BaseException = error
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        reason = error.__cause__  # why the hub could not be asked
    if isinstance(reason, HfHubHTTPError):
        return _answered(source, reason)
    if isinstance(reason, OfflineModeIsEnabled):
        return ModelHubSilent(
            f"{source} was not fetched before, and HF_HUB_OFFLINE is set.",
            next_step="Unset it where the hub runs, or import a directory.",
        )
    if isinstance(reason, httpx2.TransportError | ConnectionError | TimeoutError):
        return _unreachable(source)
    if isinstance(error, OSError) and error.strerror:
        return ModelHubSilent(
            f"The cache of models cannot be used: {error.strerror}.",
            next_step="Check HF_HOME where the hub runs.",
        )
    return _odd_answer()


def _answered(source: Source, error: HfHubHTTPError) -> DizuoError:
    """What the hub's refusal means."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    status = error.response.status_code
    if isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError):
        return ModelRefused(
            f"There is no model {source.repository}, or this hub may not see it.",
            next_step="Check the name; for a private model set HF_TOKEN where the hub runs.",
        )
    if status in (401, 403):
        return ModelRefused(
            f"The model {source.repository} is closed to this hub.",
            next_step="Accept its terms on its page, and set HF_TOKEN where the hub runs.",
        )
    if status == 404:
        return ModelRefused(
            f"The model {source.repository} has no revision {source.revision}.",
            next_step="Name a branch, a tag or a commit of it.",
        )
    return ModelHubSilent(
        f"The model hub answers with status {status}.", next_step="Try again later."
    )


def _unreachable(source: Source) -> ModelHubSilent:
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname or "the model hub"
    return ModelHubSilent(
        f"{host} does not answer, and {source} was not fetched before.",
        next_step="Check the network and HF_ENDPOINT where the hub runs, or import a directory.",
    )


def _odd_answer() -> ModelHubSilent:
    return ModelHubSilent(
        "The model hub does not answer as one.",
        next_step="Check HF_ENDPOINT and proxies where the hub runs.",
    )
