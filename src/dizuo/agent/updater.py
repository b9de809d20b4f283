"""One update, from a desired state to a generation that serves, and back when it fails.

The order of steps is that of the site machine: verify everything, fetch what is missing, stage,
probe beside what serves, switch, watch. `active.json` moves only after the watch, so whatever
happens before, a restart comes back with the last good generation.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from dizuo.agent import generations
from dizuo.agent.errors import GenerationReversed, StorageFailed, UpdateBroken, WatchFailed
from dizuo.agent.fleet import Fleet, FleetOptions, start_fleet
from dizuo.agent.generations import Generation
from dizuo.agent.home import Active, AgentHome
from dizuo.agent.memory import MemoryRules, fits_beside
from dizuo.agent.probe import ProbeRules, probe_fleet
from dizuo.agent.slots import Slots
from dizuo.agent.state import SiteState
from dizuo.agent.supplies import Supplies
from dizuo.agent.threads import in_thread
from dizuo.artifacts.disk import telling_full_disk
from dizuo.artifacts.layout import Layout
from dizuo.core.errors import DizuoError
from dizuo.edge.trust import SignedStack
from dizuo.edge.wire import DesiredState

WATCH_ERRORS_AT_LEAST = 3
WATCH_ERROR_SHARE = 0.1
"""The watch fails when an engine dies, or when at least so many requests failed through no fault of
theirs and they are more than this share of all."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UpdateRules:
    """What a new generation must keep, and how long things may take: as the settings say, which
    alone have defaults."""

    fleet: FleetOptions
    probe: ProbeRules
    memory: MemoryRules
    watch_seconds: float
    watch_answers: int
    drain_seconds: float


@dataclass(frozen=True, slots=True)
class Places:
    """Where an update takes things from and puts them."""

    home: AgentHome
    layout: Layout
    supplies: Supplies
    slots: Slots


class Updater:
    """Holds what serves, and replaces it. One call at a time, on the event loop."""

    def __init__(self, places: Places, state: SiteState, rules: UpdateRules) -> None:
        self._places = places
        self._state = state
        self._rules = rules
        self._serving: Fleet | None = None
        self._candidate: Fleet | None = None

    @property
    def serves(self) -> bool:
        """Whether a generation serves, if only an empty one."""
        return self._serving is not None

    async def restore(self) -> None:
        """After a start: serve the newest generation on disk that is whole, hub or no hub.

        A damaged one is put aside, so that the next contact with the hub brings it again.
        """
        active = self._state.active
        for number in (active.generation, active.previous):
            if number is None or self.serves:
                continue
            try:
                self._serve(await self._start_again(number))
            except (DizuoError, OSError) as error:
                self._state.fail(number, "resuming", as_told(error))
                continue
            if self._state.running.stacks:
                await self._state.apply("resume_serving")

    async def _start_again(self, number: int) -> Fleet:
        generation = await in_thread(lambda: self._load_whole(number), name="verify")
        return await start_fleet(generation, self._rules.fleet)

    def _load_whole(self, number: int) -> Generation:
        """A generation whose every file is what was signed; blocks. A damaged one is put aside."""
        generation = generations.load(self._places.home.generations, number)
        damaged = generations.damaged_files(generation)
        if damaged:
            generations.repair(self._places.layout, generation)
            raise generations.damage(generation, damaged[0])
        return generation

    async def update(self, desired: DesiredState) -> None:
        """Bring the site to a desired state, or back to where it was.

        Raises:
            DizuoError: why it could not be reached; it is in the site's state, with the step.
        """
        before = self._serving
        try:
            await self._reach(desired)
        except Exception as error:
            told = as_told(error)
            self._state.fail(
                desired.generation, "watching" if self._state.watching else self._state.state, told
            )
            self._state.watching = False
            await self._fall_back(before)
            raise told from error
        self._state.error = None
        self._state.watching = False
        await self._state.save()
        await self._retire(before)

    async def _reach(self, desired: DesiredState) -> None:
        await self._state.apply("verify")
        self._require_progress(desired)
        signed = await in_thread(lambda: self._places.supplies.verify(desired), name="verify")
        if desired.stacks:
            await self._state.apply("fetch")
            await in_thread(lambda: self._fetch(desired, signed), name="fetch")
            await self._state.apply("stage")
        generation = await in_thread(lambda: self._stage(desired), name="stage")
        if desired.stacks:
            await self._probe(generation)
        self._candidate = self._candidate or await start_fleet(generation, self._rules.fleet)
        await self._state.apply("switch")
        before, candidate = self._serving, self._candidate
        self._serve(candidate)
        self._state.watching = True
        await self._state.apply("serve" if desired.stacks else "clear", note="On trial.")
        await self._watch(candidate)
        await self._commit(candidate.generation, before)
        self._candidate = None
        self._state.note = ""

    def _require_progress(self, desired: DesiredState) -> None:
        running = self._state.running
        if self.serves and desired.generation <= running.generation:
            raise GenerationReversed(
                f"The hub asks for generation {desired.generation}, but generation "
                f"{running.generation} serves; generations only grow.",
                next_step="If the hub was restored from a backup, change the site's set once.",
            )

    def _fetch(self, desired: DesiredState, signed: Mapping[str, SignedStack]) -> None:
        counted = self._places.home.fetched(desired.generation)
        with telling_full_disk(f"generation {desired.generation}"):
            for direction in desired.stacks:
                self._places.supplies.fetch(direction, signed[direction.served_as], counted.add)

    def _stage(self, desired: DesiredState) -> Generation:
        return generations.stage(self._places.layout, self._places.home.generations, desired)

    async def _probe(self, generation: Generation) -> None:
        serving = self._serving
        note = ""
        if serving is not None and not await self._fits_beside(serving, generation):
            note = (
                "Memory does not hold two generations: the old one stops before the new one is "
                "tried, and starts again if it fails."
            )
        await self._state.apply("probe", note=note)
        if note and serving is not None:
            self._places.slots.switch({})
            self._serving = None
            await serving.stop(self._rules.drain_seconds)
        self._candidate = await start_fleet(generation, self._rules.fleet)
        measured = await probe_fleet(self._candidate, self._rules.probe)
        _log.info("probe of generation %d: %s", generation.number, measured)

    async def _fits_beside(self, serving: Fleet, generation: Generation) -> bool:
        rules = self._rules.memory
        return await in_thread(lambda: fits_beside(serving, generation, rules), name="memory")

    def _serve(self, fleet: Fleet) -> None:
        self._places.slots.switch(fleet.routes)
        self._serving = fleet
        self._state.running = fleet.generation.state

    async def _watch(self, fleet: Fleet) -> None:
        answers, errors = fleet.num_answers, fleet.num_errors
        enough = self._rules.watch_answers
        try:
            async with asyncio.timeout(self._rules.watch_seconds if fleet.hosts else 0):
                while not enough or fleet.num_answers - answers < enough:
                    fleet.changed.clear()
                    judge_watch(fleet, fleet.num_answers - answers, fleet.num_errors - errors)
                    await fleet.changed.wait()
        except TimeoutError:
            pass
        judge_watch(fleet, fleet.num_answers - answers, fleet.num_errors - errors)

    async def _commit(self, generation: Generation, before: Fleet | None) -> None:
        active = self._state.active
        counted = self._places.home.fetched(generation.number)
        fetched = await in_thread(counted.read, name="commit")
        first = active.generation is None
        moved = Active(
            generation=generation.number,
            previous=before.generation.number if before else active.generation,
            bytes_first_install=fetched if first else active.bytes_first_install,
            bytes_last_update=0 if first else fetched,
        )
        await self._state.commit(moved)

    async def _fall_back(self, before: Fleet | None) -> None:
        """Serve what served before the attempt, if anything did, and end what the attempt began."""
        candidate, self._candidate = self._candidate, None
        if before is not None and self._serving is before:
            pass  # nothing was touched yet
        elif before is not None and not before.stopped:
            self._serve(before)
        else:
            self._places.slots.switch({})
            self._serving = None
            self._state.running = DesiredState(generation=0)
        if candidate is not None:
            await candidate.stop(self._rules.drain_seconds)
        if before is not None and self._serving is None:
            await self._restart(before)
        await self._state.apply("fall_back" if self._serving else "give_up")

    async def _restart(self, before: Fleet) -> None:
        try:
            self._serve(await self._start_again(before.generation.number))
        except (DizuoError, OSError) as error:
            _log.error("generation %d does not start again: %s", before.generation.number, error)

    async def _retire(self, before: Fleet | None) -> None:
        if before is not None and self._serving is not before:
            await before.stop(self._rules.drain_seconds)
        active = self._state.active
        keep = {number for number in (active.generation, active.previous) if number is not None}
        root, layout = self._places.home.generations, self._places.layout
        try:
            await in_thread(lambda: generations.collect(root, layout, keep), name="collect")
        except (DizuoError, OSError) as error:
            _log.warning("old generations could not be removed: %s", error)

    async def close(self) -> None:
        """End every engine, after what is in flight."""
        self._places.slots.switch({})
        fleets = [fleet for fleet in (self._serving, self._candidate) if fleet is not None]
        self._serving = self._candidate = None
        await asyncio.gather(*(fleet.stop(self._rules.drain_seconds) for fleet in fleets))


def judge_watch(fleet: Fleet, num_answers: int, num_errors: int) -> None:
    """Hold a generation's first moments against the rules.

    Raises:
        WatchFailed: an engine died, or too many requests failed.
    """
    number = fleet.generation.number
    if fleet.num_crashes:
        raise WatchFailed(
            f"An engine of generation {number} died while it was watched.",
            next_step="See engine.log in the agent's folder.",
        )
    too_many = num_errors > (num_answers + num_errors) * WATCH_ERROR_SHARE
    if num_errors >= WATCH_ERRORS_AT_LEAST and too_many:
        raise WatchFailed(
            f"{num_errors} of the first {num_answers + num_errors} requests to generation "
            f"{number} failed.",
            next_step="See engine.log in the agent's folder.",
        )


def as_told(error: Exception) -> DizuoError:
    """An error of an update as the hub is told it."""
    if isinstance(error, DizuoError):
        return error
    if isinstance(error, OSError):
        return StorageFailed(
            f"The agent's folder cannot be used ({error.strerror or error}).",
            next_step="Check that the disk is not full and that the agent may write there.",
        )
    _log.error("an update failed in a way nobody foresaw", exc_info=error)
    return UpdateBroken(
        f"The update failed in a way nobody foresaw ({type(error).__name__}).",
        next_step="See the agent's log.",
    )
