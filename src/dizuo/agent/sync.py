"""The agent's two conversations: checking in with the hub, and following what it asks for.

They are apart so that a long update does not silence the site: the hub sees every step of it, and a
newer desired state is known when the update ends.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from dizuo.agent.hub_client import CALL_SECONDS, HubClient
from dizuo.agent.state import SiteState
from dizuo.agent.threads import in_thread
from dizuo.agent.updater import Updater, as_told
from dizuo.core.clock import Clock
from dizuo.core.errors import DizuoError
from dizuo.edge.site_machine import FALLEN_BACK
from dizuo.edge.wire import CheckIn, CheckInReply, DesiredState

STUBBORN_FACTOR = 10
"""A failure that will not pass by itself waits so many times longer than one that may."""
SOONEST_POLL_SECONDS = 0.05
LATEST_POLL_SECONDS = 3600.0
"""However often or seldom a hub asks to be asked."""
_CALL_MARGIN_SECONDS = 30.0
_JITTER = 0.1
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Backoff:
    """When a generation that failed may be tried again: longer each time, at once when the hub asks
    for another generation. Times are in seconds of any one clock."""

    first_seconds: float
    most_seconds: float
    generation: int | None = None
    num_failures: int = 0
    not_before: float = 0.0
    may_pass: bool = False

    def failed(self, generation: int, now: float, *, may_pass: bool) -> None:
        """An attempt at this generation failed."""
        if generation != self.generation:
            self.generation, self.num_failures = generation, 0
        self.num_failures += 1
        self.may_pass = may_pass
        first = self.first_seconds * (1 if may_pass else STUBBORN_FACTOR)
        wait = min(first * 2 ** min(self.num_failures - 1, 30), self.most_seconds)
        self.not_before = now + wait

    def relent(self) -> None:
        """The hub is back: what failed for want of it may be tried at once."""
        if self.may_pass:
            self.not_before = 0.0

    def wait_seconds(self, generation: int, now: float) -> float:
        """How long to wait before this generation may be tried; 0 is now."""
        return max(0.0, self.not_before - now) if generation == self.generation else 0.0


class Sync:
    """Runs until cancelled, whatever the hub answers and whatever an update meets.

    Args:
        hub: who is asked.
        updater: what follows.
        state: where the site is.
        backoff: when what failed may be tried again.
        poll_seconds: how often to check in while the hub has not said how often.
        clock: the time.
    """

    def __init__(
        self,
        hub: HubClient,
        updater: Updater,
        state: SiteState,
        backoff: Backoff,
        *,
        poll_seconds: float,
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._updater = updater
        self._state = state
        self._backoff = backoff
        self.poll_seconds = poll_seconds
        """How often the site checks in now."""
        self._num_unheard = 0
        self._clock = clock
        self._news = asyncio.Event()
        self._report = asyncio.Event()

    async def run(self) -> None:
        """Serve what is on disk, then check in and follow, for ever."""
        try:
            await self._updater.restore()
        except Exception as error:  # noqa: BLE001 - a process edge: the hub may bring what helps
            self._state.fail(self._state.running.generation, "resuming", as_told(error))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_in_for_ever())
            group.create_task(self._follow_for_ever())

    async def _check_in_for_ever(self) -> None:
        while True:
            self._report.clear()
            await self._check_in()
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # so that sites do not come in step
            await wait_for_event(self._report, self._pause_seconds() * jitter)

    def _pause_seconds(self) -> float:
        """Sooner than usual after a first failure, and no later than usual after many."""
        if not self._num_unheard:
            return self.poll_seconds
        doubled = self._backoff.first_seconds * 2 ** min(self._num_unheard - 1, 30)
        return float(min(self.poll_seconds, doubled))

    async def _check_in(self) -> None:
        try:
            reply = await _say(self._hub.check_in, self._state.check_in())
        except DizuoError as error:
            self._not_heard(str(error))
        except TimeoutError:
            self._not_heard("The hub did not answer in time. The site tries again.")
        except Exception as error:  # noqa: BLE001
            # A process edge: no answer, however odd, may end what serves.
            _log.exception("a check-in failed in a way nobody foresaw")
            self._not_heard(f"The check-in failed in a way nobody foresaw ({_kind(error)}).")
        else:
            self._heard(reply)
        await self._state.save()
        self._news.set()

    def _not_heard(self, why: str) -> None:
        if not self._state.hub_error:
            _log.warning("check-in failed: %s", why)
        self._state.hub_error = why
        self._num_unheard += 1

    def _heard(self, reply: CheckInReply) -> None:
        if self._state.hub_error:
            _log.info("the hub answers again")
            self._backoff.relent()
        self._state.hub_error = ""
        self._num_unheard = 0
        self._state.hub_contact_ms = self._clock()
        self._state.desired = reply.desired
        wished = max(SOONEST_POLL_SECONDS, reply.poll_seconds)
        self.poll_seconds = min(LATEST_POLL_SECONDS, wished)

    async def _follow_for_ever(self) -> None:
        while True:
            self._news.clear()
            desired = await self._wanted()
            if desired is None:
                await self._news.wait()
                continue
            now = asyncio.get_running_loop().time()
            wait = self._backoff.wait_seconds(desired.generation, now)
            if wait:
                await wait_for_event(self._news, wait)
                continue
            await self._attempt(desired)
            self._report.set()

    async def _wanted(self) -> DesiredState | None:
        """What to work towards; None where the site is there, or the hub has not spoken yet."""
        desired = self._state.desired
        if desired is None:
            return None
        if not same(desired, self._state.running):
            return desired
        self._state.error = None
        if self._state.state == FALLEN_BACK:
            await self._state.apply("resume_serving")
        return None

    async def _attempt(self, desired: DesiredState) -> None:
        try:
            if not self._updater.serves:
                await self._updater.restore()
            await self._updater.update(desired)
        except DizuoError as error:
            self._failed(desired, may_pass=error.retryable)
        except Exception as error:  # noqa: BLE001 - a process edge: `as_told` logs it
            told = as_told(error)
            self._state.fail(desired.generation, self._state.state, told)
            self._failed(desired, may_pass=told.retryable)

    def _failed(self, desired: DesiredState, *, may_pass: bool) -> None:
        now = asyncio.get_running_loop().time()
        self._backoff.failed(desired.generation, now, may_pass=may_pass)


def same(one: DesiredState, other: DesiredState) -> bool:
    """Whether two desired states ask for the same; the order of stacks means nothing."""
    return one.generation == other.generation and set(one.stacks) == set(other.stacks)


async def _say(call: Callable[[CheckIn], CheckInReply], body: CheckIn) -> CheckInReply:
    # The client bounds the body of an answer; a peer that drips its head is left behind here.
    async with asyncio.timeout(CALL_SECONDS + _CALL_MARGIN_SECONDS):
        return await in_thread(lambda: call(body), name="check-in")


def _kind(error: Exception) -> str:
    return type(error).__name__


async def wait_for_event(event: asyncio.Event, seconds: float) -> None:
    """Return when the event is set, or after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
