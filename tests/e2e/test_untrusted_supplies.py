"""What a site must not take from its hub: tampered blobs, tampered, old or expired metadata, and
directions that nobody signed. The site says why at its next check-in, `dizuo site show` shows it,
and what served goes on answering, throughout."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tests.cli.door import ok
from tests.e2e.refusals import RunningHub, one_clear_sentence
from tests.e2e.site import RunningSite
from tuf.api.metadata import Metadata, Targets

from dizuo.core.clock import now_ms
from dizuo.core.digests import require_digest
from dizuo.releases.repository import Repository, StackTarget

DAY_MS = 24 * 3600 * 1000
OTHER = StackTarget("default", "other", 1, "sha256:" + "1" * 64, 10, "vision", "L0")
"""Signed beside the stacks, so that there is metadata which the site has not seen."""
Spoil = Callable[[RunningHub], AbstractContextManager[None]]


@contextmanager
def rewritten(path: Path, data: bytes | None) -> Iterator[None]:
    """The file holds `data`, or is not there, and afterwards is as it was."""
    before = path.read_bytes()
    try:
        path.unlink() if data is None else path.write_bytes(data)
        yield
    finally:
        path.write_bytes(before)


def weights_of_second(hub: RunningHub) -> Path:
    """The largest blob in the layout that only `reader:2` ships."""
    files = [
        {
            file["digest"]: file["bytes"]
            for layer in hub.client.stack("reader", version)["layers"]["onnx"]
            for file in layer["files"]
        }
        for version in (1, 2)
    ]
    digest = max(files[1].keys() - files[0].keys(), key=lambda one: files[1][one])
    hexadecimal = require_digest(digest).removeprefix("sha256:")
    return hub.home / "layout" / "blobs" / "sha256" / hexadecimal


def blob(change: Callable[[bytes], bytes | None]) -> Spoil:
    """A blob of the layout, changed on the hub's disk."""

    def spoil(hub: RunningHub) -> AbstractContextManager[None]:
        path = weights_of_second(hub)
        return rewritten(path, change(path.read_bytes()))

    return spoil


def metadata(role: str, change: Callable[[bytes], bytes | None]) -> Spoil:
    """The newest metadata file of a role, of a version no site has seen, changed on the disk."""

    @contextmanager
    def spoil(hub: RunningHub) -> Iterator[None]:
        Repository(hub.home).add_target(OTHER)
        path = newest(hub, role)
        try:
            with rewritten(path, change(path.read_bytes())):
                yield
        finally:
            Repository(hub.home).remove_target("default", OTHER.name, OTHER.version)

    return spoil


def newest(hub: RunningHub, role: str) -> Path:
    if role == "timestamp":
        return hub.home / "tuf" / "timestamp.json"
    files = (hub.home / "tuf").glob(f"*.{role}.json")
    return max(files, key=lambda path: int(path.name.split(".")[0]))


def flipped(data: bytes) -> bytes:
    """One bit in the middle is another."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def later(data: bytes) -> bytes:
    """Metadata that says it lasts longer than was signed."""
    value = json.loads(data)
    value["signed"]["expires"] = "2099-01-01T00:00:00Z"
    return json.dumps(value).encode()


def signed_by_somebody_else(data: bytes) -> bytes:
    """A project's role, of the same version, signed with a key that nobody delegated to."""
    role: Metadata[Targets] = Metadata.from_bytes(data)
    role.sign(CryptoSigner.generate_ed25519())
    return role.to_bytes()


@contextmanager
def expired(hub: RunningHub) -> Iterator[None]:
    """Signed eight days ago, by a hub that then stopped to renew it; afterwards it renews."""
    past = Repository(hub.home, clock=lambda: now_ms() - 8 * DAY_MS)
    past.add_target(OTHER)
    try:
        yield
    finally:
        Repository(hub.home).remove_target("default", OTHER.name, OTHER.version)


def rolled_back(hub: RunningHub) -> AbstractContextManager[None]:
    """The hub's very first timestamp, truly signed and still good, put back."""
    return rewritten(newest(hub, "timestamp"), hub.first_timestamp)


@contextmanager
def unsigned(hub: RunningHub) -> Iterator[None]:
    """The database says released, the signed metadata does not: a break-in that had no key."""
    assert Repository(hub.home).remove_target("default", "reader", 2)
    try:
        yield
    finally:
        ok("--home", str(hub.home), "release", "reader:2")


@contextmanager
def another_digest(hub: RunningHub) -> Iterator[None]:
    """The database names another digest than the one that was signed under this version."""
    before = hub.client.stack("reader", 2)["digest"]
    _set_released_digest(hub, "sha256:" + "0" * 64)
    try:
        yield
    finally:
        _set_released_digest(hub, before)


def _set_released_digest(hub: RunningHub, digest: str) -> None:
    statement = "UPDATE releases SET digest = ? WHERE name = 'reader' AND version = 2"
    with closing(sqlite3.connect(hub.home / "hub.db", timeout=30)) as database, database:
        assert database.execute(statement, (digest,)).rowcount == 1


# what was done at the hub: the step at which the site stops, the code, what it says
SPOILT: dict[str, tuple[Spoil, str, str, str]] = {
    "a bit of a blob flipped": (
        blob(flipped),
        "fetching",
        "blob_corrupt",
        "",
    ),
    "a blob cut": (blob(half), "fetching", "blob_corrupt", ""),
    "a blob with a tail": (blob(lambda data: data + b"tail"), "fetching", "blob_corrupt", ""),
    "a blob gone": (
        blob(lambda _: None),
        "fetching",
        "not_in_registry",
        "The registry does not hold blobs/sha256:",
    ),
    "a direction that nobody signed": (
        unsigned,
        "verifying",
        "trust_direction_unsigned",
        "reader:2 is not signed: it was never released, or was withdrawn",
    ),
    "a direction to another digest": (
        another_digest,
        "verifying",
        "trust_direction_differs",
        "The hub directs to reader:2 at 000000000000, but [0-9a-f]{12} was signed",
    ),
    "a timestamp that lasts longer than was signed": (
        metadata("timestamp", later),
        "verifying",
        "trust_metadata_tampered",
        "does not carry the signatures it must",
    ),
    "a timestamp that is not JSON": (
        metadata("timestamp", half),
        "verifying",
        "trust_metadata_tampered",
        "",
    ),
    "a snapshot with a bit flipped": (
        metadata("snapshot", flipped),
        "verifying",
        "trust_metadata_tampered",
        "",
    ),
    "a project's role signed by somebody else": (
        metadata("project-default", signed_by_somebody_else),
        "verifying",
        "trust_metadata_tampered",
        "",
    ),
    "a timestamp gone": (
        metadata("timestamp", lambda _: None),
        "verifying",
        "trust_unreachable",
        "",
    ),
    "an old timestamp put back": (
        rolled_back,
        "verifying",
        "trust_metadata_rolled_back",
        "The hub shows signed metadata of the wrong version",
    ),
    "expired metadata": (
        expired,
        "verifying",
        "trust_metadata_expired",
        "The hub's signed metadata has expired",
    ),
}


@pytest.mark.parametrize("case", SPOILT.values(), ids=list(SPOILT))
def test_the_site_says_why_and_the_old_generation_answers(
    site: RunningSite, case: tuple[Spoil, str, str, str]
) -> None:
    spoil, step, code, says = case
    before = site.answer()
    try:
        with spoil(site.hub):
            try:
                error = error_after_direction(site, before)
                assert (error["step"], error["code"]) == (step, code), error
                assert re.search(says, error["message"]), error
                one_clear_sentence(re.split(r"(?<=\.) (?=[A-Z])", error["message"])[0])
                assert told_to_people(site, error["message"])
            finally:
                site.direct_to("reader:1")  # before it is mended: the site tries again by itself
    finally:
        site.wait_until_serves("reader:1")
    assert site.answer() == before


def error_after_direction(site: RunningSite, before: list[dict[str, Any]]) -> dict[str, Any]:
    """What the site says is wrong once it was directed to `reader:2`, answering all the while."""
    generation = site.direct_to("reader:2")

    def told(shown: dict[str, Any]) -> bool:
        assert site.answer() == before
        return bool(shown["error"]) and shown["error"]["generation"] == generation

    shown = site.wait(told)
    assert [(stack["name"], stack["version"]) for stack in shown["stacks"]] == [("reader", 1)]
    error: dict[str, Any] = shown["error"]
    return error


def told_to_people(site: RunningSite, message: str) -> bool:
    """Whether the hub's people and the site's people are shown it."""
    shown = ok("--home", str(site.hub.home), "site", "show", site.name).out
    status = ok("agent", "status", "--home", str(site.home)).out
    return all(message in " ".join(text.split()) for text in (shown, status))


def test_mended_the_same_direction_is_followed(site: RunningSite) -> None:
    """None of the refusals left anything that stands in the way."""
    site.direct_to("reader:2")
    site.wait_until_serves("reader:2")
    site.direct_to("reader:1")
    site.wait_until_serves("reader:1")
