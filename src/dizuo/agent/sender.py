"""Empties the outbox into the hub.

A sample leaves the disk only when the hub itself has answered for it: in a receipt, or by its own
code for a body too large when the sample was all of the body. What a proxy answers, and what an
agent and a hub of other versions do not understand of each other, keeps every sample.
"""

from __future__ import annotations

import asyncio
import logging

from dizuo.agent.egress_log import EgressLog
from dizuo.agent.errors import HubAnswerBroken, HubRefused, HubUnreachable
from dizuo.agent.hub_client import HubClient
from dizuo.agent.outbox import Outbox, Waiting
from dizuo.agent.threads import in_thread
from dizuo.core.errors import DizuoError
from dizuo.edge.wire import MAX_SAMPLES_PER_UPLOAD, Sample, SampleReceipt, SampleUpload

UPLOAD_BYTES = 8_000_000
"""Samples are put together up to so many bytes; a larger one goes alone."""
_TOO_LARGE = "body_too_large"
"""The hub's code for a body of more bytes than it will ever take."""
_NOT_UNDERSTOOD = "invalid_input"
"""The hub's code for a body that is not of the form it knows: that of another version, perhaps."""
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
        retry_seconds: how long to wait after the hub could not take it; doubles with each further
            time that it answered and did not.
        retry_seconds_at_most: the longest such wait.
    """

    def __init__(
        self,
        outbox: Outbox,
        hub: HubClient,
        log: EgressLog,
        retry_seconds: float,
        *,
        retry_seconds_at_most: float = 900.0,
    ) -> None:
        self._outbox = outbox
        self._hub = hub
        self._log = log
        self._retry_seconds = retry_seconds
        self._retry_seconds_at_most = retry_seconds_at_most
        self._num_refusals = 0
        self._last: set[str] = set()
        """Digests that were sent and neither taken nor refused for good: the others go first."""
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
                await asyncio.sleep(self._wait_seconds(error))
            except Exception as error:  # noqa: BLE001
                # A process edge: what waits is still on disk, and nothing else may end with this.
                _log.exception("samples could not be sent in a way nobody foresaw")
                await asyncio.sleep(self._wait_seconds(error))
            else:
                self._num_refusals = 0
                await self._queued.wait()

    def _wait_seconds(self, error: Exception) -> float:
        if isinstance(error, HubUnreachable):  # the line is down, and may be up in a moment
            return self._retry_seconds
        self._num_refusals += 1
        longer = self._retry_seconds * 2.0 ** min(self._num_refusals - 1, 30)
        return max(self._retry_seconds, min(longer, self._retry_seconds_at_most))

    def send_waiting(self) -> None:
        """Send everything that waits now. Blocks.

        Raises:
            HubUnreachable, HubRefused, HubAnswerBroken: the rest waits on.
            OSError: the outbox cannot be used.
        """
        waiting = self._outbox.waiting()
        self._last.intersection_update(item.digest for item in waiting)
        for batch in batches(sorted(waiting, key=lambda item: item.digest in self._last)):
            read = [(item, self._outbox.read(item)) for item in batch]
            self._send([(item, sample) for item, sample in read if sample is not None])

    def _send(self, pairs: list[tuple[Waiting, Sample]]) -> None:
        if not pairs:
            return
        upload = SampleUpload(samples=tuple(sample for _, sample in pairs))
        try:
            receipt = self._hub.send_samples(upload)
        except HubRefused as error:
            if error.status != 413 and error.hub_code not in (_TOO_LARGE, _NOT_UNDERSTOOD):
                raise
            self._isolate(pairs, error)
        else:
            self._settle(pairs, receipt)

    def _settle(self, pairs: list[tuple[Waiting, Sample]], receipt: SampleReceipt) -> None:
        """Do as the hub says of each sample."""
        refused = {refusal.digest: refusal.reason for refusal in receipt.refused}
        unsaid = set()
        for item, sample in pairs:
            if sample.digest in refused:
                self._drop(item, refused[sample.digest])
            elif sample.digest in receipt.accepted:
                self._log.sent(sample.digest, "accepted")
                self._outbox.remove([item])
            else:
                unsaid.add(item.digest)
        if unsaid:
            self._last |= unsaid
            raise HubAnswerBroken(
                f"The hub did not say what became of {len(unsaid)} of {len(pairs)} samples.",
                next_step="They are sent again later.",
            )

    def _isolate(self, pairs: list[tuple[Waiting, Sample]], error: HubRefused) -> None:
        """One sample that is not taken must not hold up the others: halve until it is alone."""
        if len(pairs) > 1:
            middle = len(pairs) // 2
            self._send(pairs[:middle])
            self._send(pairs[middle:])
        elif error.hub_code == _TOO_LARGE:
            self._drop(pairs[0][0], str(error))
        else:
            self._last.add(pairs[0][0].digest)
            raise error

    def _drop(self, item: Waiting, reason: str) -> None:
        _log.warning("the hub refused sample %s: %s", item.digest, reason)
        self._log.sent(item.digest, "refused", reason)
        self._outbox.remove([item])
