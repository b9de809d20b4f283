"""Open pages are watched as long as the console runs."""

from __future__ import annotations

import asyncio
import threading
from typing import cast

import pytest
from tests.console.test_live import SOON, apart

from dizuo.console.presence import Presence
from dizuo.core.errors import Unavailable
from dizuo.database.engine import Database

PATIENCE_SECONDS = 30


class Broken:
    """A database that cannot be read, and says when it has been asked again."""

    def __init__(self, error: Exception) -> None:
        self.asked_again = threading.Event()
        self._error = error
        self._num_asked = 0

    def reading(self) -> None:
        """As the real one's, but it always fails."""
        self._num_asked += 1
        if self._num_asked > 1:
            self.asked_again.set()
        raise self._error


@pytest.mark.parametrize("error", [Unavailable("It is away."), OSError("a broken disk")])
def test_a_look_that_fails_does_not_end_the_watch(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    database = Broken(error)

    @apart
    async def scene() -> None:
        watching = asyncio.create_task(Presence(cast(Database, database), SOON).watch())
        assert await asyncio.to_thread(database.asked_again.wait, PATIENCE_SECONDS)
        watching.cancel()

    scene()
    assert str(error) in caplog.text
