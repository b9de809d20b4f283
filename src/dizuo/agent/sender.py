"""Empties the outbox into the hub. A sample leaves the disk when the hub has answered for it."""

from __future__ import annotations

import asyncio
import logging

from dizuo.agent.egress_log import EgressLog
from dizuo.agent.errors import HubRefused
from dizuo.agent.hub_client import HubClient
from dizuo.agent.outbox import Outbox, Waiting
from dizuo.agent.threads import in_thread
from dizuo.core.errors import DizuoError
from dizuo.edge.wire import MAX_SAMPLES_PER_UPLOAD, Sample, SampleUpload

UPLOAD_BYTES = 8_000_000
"""Samples are put together up to so many bytes; a larger one goes alone."""
_ABOUT_THE_SAMPLE = frozenset({400, 413, 422})
"""Statuses that say something about what was sent, not about who sent it."""
_log = logging.getLogger(__name__)


def batches(items: list[Waiting]) -> list[list[Waiting]]:
    """Queued files, in order, in uploads within the bounds."""
    found: list[list[Waiting]] = []
    size = 0
    for item in items:
        full = not found or len(found[-1]) == MAX_SAMPLES_PER_UPLOAD
        if full or size + item.size_bytes > UPLOAD_BYTES:
            found.append([])
            size = 0
        found[-1].append(item)
        size += item.size_bytes
    return found


class Sender:
    """Sends what waits, when it is told that something does and again after failures.

    Args:
        outbox: what waits.
        hub: where it goes.
        log: where the hub's answers are written down.
        retry_seconds: how long to wait after the hub could not take it.
    """

    def __init__(
        self, outbox: Outbox, hub: HubClient, log: EgressLog, retry_seconds: float
    ) -> None:
        self._outbox = outbox
        self._hub = hub
        self._log = log
        self._retry_seconds = retry_seconds
        self._queued = asyncio.Event()

    def wake(self) -> None:
        """Something was queued. On the event loop."""
        self._queued.set()

    async def run(self) -> None:
        """Send for ever, whatever the hub answers."""
        while True:
            self._queued.clear()
            try:
                await in_thread(self.send_waiting, name="sender")
            except (DizuoError, OSError) as error:
                _log.info("samples wait: %s", error)
                await asyncio.sleep(self._retry_seconds)
            except Exception:  # noqa: BLE001
                # A process edge: what waits is still on disk, and nothing else may end with this.
                _log.exception("samples could not be sent in a way nobody foresaw")
                await asyncio.sleep(self._retry_seconds)
            else:
                await self._queued.wait()

    def send_waiting(self) -> None:
        """Send everything that waits now. Blocks.

        Raises:
            HubUnreachable, HubRefused, HubAnswerBroken: the rest waits on.
            OSError: the outbox cannot be used.
        """
        for batch in batches(self._outbox.waiting()):
            read = [(item, self._outbox.read(item)) for item in batch]
            self._send([(item, sample) for item, sample in read if sample is not None])

    def _send(self, pairs: list[tuple[Waiting, Sample]]) -> None:
        if not pairs:
            return
        try:
            receipt = self._hub.send_samples(
                SampleUpload(samples=tuple(sample for _, sample in pairs))
            )
        except HubRefused as error:
            if error.status not in _ABOUT_THE_SAMPLE:
                raise
            self._isolate(pairs, error)
            return
        refused = {refusal.digest: refusal.reason for refusal in receipt.refused}
        for item, sample in pairs:
            if sample.digest in refused:
                self._drop(item, refused[sample.digest])
            elif sample.digest in receipt.accepted:
                self._log.sent(sample.digest, "accepted")
                self._outbox.remove([item])

    def _isolate(self, pairs: list[tuple[Waiting, Sample]], error: HubRefused) -> None:
        """One sample the hub cannot take must not hold up the others: halve until it is alone."""
        if len(pairs) == 1:
            self._drop(pairs[0][0], str(error))
            return
        middle = len(pairs) // 2
        self._send(pairs[:middle])
        self._send(pairs[middle:])

    def _drop(self, item: Waiting, reason: str) -> None:
        _log.warning("the hub refused sample %s: %s", item.digest, reason)
        self._log.sent(item.digest, "refused", reason)
        self._outbox.remove([item])
