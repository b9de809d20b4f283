"""Signed metadata is kept from expiring by a thread that nothing ends but the hub."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from tests.improvements.conftest import until

from dizuo.audit import store as audit_store
from dizuo.database.engine import Database
from dizuo.hub import app as hub_app
from dizuo.releases.errors import KeysMissing
from dizuo.releases.keys import init_keys
from dizuo.releases.renewal import renew
from dizuo.releases.repository import Repository


@pytest.mark.parametrize(
    "error", [KeysMissing("An online key is gone."), OSError(errno.ENOSPC, "No space left")]
)
def test_what_fails_once_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    init_keys(tmp_path)
    calls: list[str] = []

    class Failing(Repository):
        def refresh(self) -> tuple[str, ...]:
            calls.append("refresh")
            if len(calls) == 1:
                raise error
            return super().refresh()

    monkeypatch.setattr(hub_app, "_FRESHNESS_SECONDS", 0.01)
    with hub_app._fresh(Failing(tmp_path)):
        until(lambda: len(calls) > 2)
    assert "could not be refreshed" in caplog.text
    assert not any(thread.name == "tuf-freshness" for thread in threading.enumerate())


def test_keys_that_are_made_or_renewed_meanwhile_are_noted(
    tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub_app, "_WITNESS_SECONDS", 0.01)

    def noted() -> list[str]:
        with database.reading() as session:
            return [entry.action for entry in audit_store.stream(session)]

    home = tmp_path / "home"
    with hub_app._witness(database, Repository(home)):
        init_keys(home)
        until(lambda: noted() == ["keys.made"])
        renew(home, home / "keys" / "offline")
        until(lambda: noted() == ["keys.made", "keys.renewed"])


def test_a_hub_without_keys_waits_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_app, "_FRESHNESS_SECONDS", 0.01)
    repository = Repository(tmp_path)
    with hub_app._fresh(repository):
        init_keys(tmp_path)
        until(lambda: repository.is_ready)
