"""The agent's process: its parts, put together, from start to SIGTERM.

What fails at once fails before anything is started: a bad setting, a folder that is in use or has
not joined, a port that is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import uvicorn

from dizuo.agent.egress_log import ByteBudget, EgressLog
from dizuo.agent.engine_host import EngineLimits
from dizuo.agent.errors import PortInUse
from dizuo.agent.fleet import FleetOptions
from dizuo.agent.home import AgentHome, Enrolment
from dizuo.agent.hub_client import HubClient, open_client
from dizuo.agent.local_api import LocalApi
from dizuo.agent.local_guard import GuardRules
from dizuo.agent.log_files import LOG_BYTES_AT_MOST, rotate_open
from dizuo.agent.memory import MemoryRules
from dizuo.agent.outbox import Outbox
from dizuo.agent.probe import ProbeRules
from dizuo.agent.sampler import Answered, Exits, Sampler, SamplerRules
from dizuo.agent.sampler_scores import Thresholds, load_scores
from dizuo.agent.sampler_thread import SamplerThread
from dizuo.agent.sender import Sender
from dizuo.agent.settings import AgentSettings
from dizuo.agent.slots import Slots
from dizuo.agent.state import SiteState
from dizuo.agent.supplies import Supplies
from dizuo.agent.sync import Backoff, Sync
from dizuo.agent.threads import in_thread
from dizuo.agent.updater import Places, Updater, UpdateRules
from dizuo.artifacts.layout import Layout
from dizuo.core.clock import now_ms
from dizuo.core.connections import KEEP_ALIVE_SECONDS
from dizuo.core.settings import InvalidSetting
from dizuo.edge.egress import policy
from dizuo.edge.trust import TrustStore

_BACKLOG = 1024
_TEND_SECONDS = 30.0
_log = logging.getLogger(__name__)


def run(settings: AgentSettings, announce: Callable[[str], None]) -> None:
    """Be the agent until SIGTERM or SIGINT.

    Args:
        settings: what the people of the site set.
        announce: told the local API's address once it takes requests.

    Raises:
        NotJoined, HomeInUse, HomeDamaged: the folder cannot be used.
        PortInUse: the address of the local API is taken.
        InvalidSetting, UnknownEgressPolicy, UnknownScore: a setting is wrong.
    """
    settings.require_safe_address()
    home = AgentHome(settings.home)
    enrolment = home.read_enrolment()
    with home.locked(), listen(settings) as listener, open_agent(settings, enrolment) as agent:
        asyncio.run(agent.serve(listener, announce))


@contextlib.contextmanager
def listen(settings: AgentSettings) -> Iterator[socket.socket]:
    """A socket that listens at the address of the local API.

    Whoever connects before the server takes over waits, and is not refused.

    Raises:
        PortInUse: another program has it.
        InvalidSetting: the host is not an address of this machine.
    """
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            _bind(bound, address, settings)
            bound.listen(_BACKLOG)
            yield bound
    except socket.gaierror as error:
        raise InvalidSetting(
            f"{settings.host!r} is not an address.", next_step="Use --host 127.0.0.1."
        ) from error


def _bind(bound: socket.socket, address: object, settings: AgentSettings) -> None:
    try:
        bound.bind(address)  # type: ignore[arg-type]
    except OSError as error:
        raise PortInUse(
            f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}).",
            next_step="Stop the program that has it, or choose another with --port.",
        ) from error


@dataclass(frozen=True, slots=True)
class Agent:
    """Every part of a running agent. Make one with `open_agent`."""

    settings: AgentSettings
    state: SiteState
    slots: Slots
    updater: Updater
    edge: HubClient
    outbox: Outbox
    sampler: Sampler
    egress_log: EgressLog

    async def serve(self, listener: socket.socket, announce: Callable[[str], None]) -> None:
        """Run until a signal, then finish what is in flight and end every engine."""
        loop = asyncio.get_running_loop()
        settings = self.settings
        sender = Sender(
            self.outbox,
            self.edge,
            self.egress_log,
            settings.retry_seconds,
            retry_seconds_at_most=settings.retry_seconds_at_most,
        )
        sampling = SamplerThread(
            self.sampler, self.egress_log, lambda: loop.call_soon_threadsafe(sender.wake)
        )
        self.state.inference_url = _url(self.settings, listener)
        self.state.count_samples = lambda: sampling.backlog + self.outbox.count()
        self.state.count_dropped = lambda: sampling.num_dropped
        server = _Server(self._uvicorn_config(sampling.offer))
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, server.stop)
        announce(self.state.inference_url)
        try:
            async with asyncio.TaskGroup() as group:
                work = (self._sync().run(), sender.run(), tend(AgentHome(self.settings.home)))
                tasks = [group.create_task(one) for one in work]
                await server.serve(sockets=[listener])
                for task in tasks:
                    task.cancel()
        finally:
            await self.updater.close()
            sampling.close()
            _log.info("the agent has stopped")

    def _sync(self) -> Sync:
        settings = self.settings
        backoff = Backoff(settings.retry_seconds, settings.retry_seconds_at_most)
        return Sync(
            self.edge,
            self.updater,
            self.state,
            backoff,
            poll_seconds=settings.poll_seconds,
            clock=now_ms,
        )

    def _uvicorn_config(self, answered: Callable[[Answered], None]) -> uvicorn.Config:
        settings = self.settings
        guard = GuardRules(loopback_only=settings.is_loopback, api_key=settings.api_key)
        api = LocalApi(self.slots, self.state, settings.request_bytes_at_most, answered, guard)
        return uvicorn.Config(
            api.app(),
            loop="asyncio",  # as on a site, also where the hub's packages bring faster ones
            http="h11",
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
            ssl_certfile=settings.tls_certificate,
            ssl_keyfile=settings.tls_key,
        )


async def tend(home: AgentHome, every_seconds: float = _TEND_SECONDS) -> None:
    """Keep the engines' log within its size, for ever. They write to it themselves, at any time."""
    while True:
        try:
            await in_thread(lambda: rotate_open(home.engine_log, LOG_BYTES_AT_MOST), name="tend")
        except OSError as error:
            _log.warning("engine.log cannot be shortened: %s", error)
        await asyncio.sleep(every_seconds)


class _Server(uvicorn.Server):
    """uvicorn, with the process's signals left to the agent, which has more to stop than HTTP."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Take no more connections, and end when the last request has its answer."""
        self.should_exit = True


def _url(settings: AgentSettings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    scheme = "https" if settings.has_tls else "http"
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


@contextlib.contextmanager
def open_agent(settings: AgentSettings, enrolment: Enrolment) -> Iterator[Agent]:
    """Put the parts together; connections to the hub are closed when the block ends.

    Raises:
        UnknownEgressPolicy, UnknownScore: a setting names what is not installed.
        HomeDamaged: a file of the folder cannot be read.
    """
    home = AgentHome(settings.home)
    egress_log = EgressLog(home.egress_log, now_ms)
    outbox = Outbox(home.outbox)
    sampler = make_sampler(settings, home, egress_log, outbox)
    layout = Layout(home.layout)
    state = SiteState(home, now_ms, settings.egress_policy)
    slots = Slots()
    with contextlib.ExitStack() as stack:
        edge, registry = (
            stack.enter_context(
                open_client(
                    enrolment.hub_url,
                    credential=credential,
                    ca=settings.hub_ca,
                    timeout_seconds=settings.http_timeout_seconds,
                )
            )
            for credential in (enrolment.edge_credential, enrolment.registry_credential)
        )
        supplies = Supplies(registry, TrustStore(home.tuf), layout, enrolment)
        updater = Updater(Places(home, layout, supplies, slots), state, _update_rules(settings))
        yield Agent(settings, state, slots, updater, HubClient(edge), outbox, sampler, egress_log)


def make_sampler(
    settings: AgentSettings, home: AgentHome, egress_log: EgressLog, outbox: Outbox
) -> Sampler:
    """The sampler that the settings ask for, with the budget that `home` keeps.

    Raises:
        UnknownEgressPolicy, UnknownScore: a setting names what is not installed.
        HomeDamaged: the budget's file cannot be read.
    """
    rules = SamplerRules(
        scores=load_scores(settings.sampler_scores),
        thresholds=Thresholds(settings.uncertain_at_most, settings.novel_at_least),
        control_share=settings.control_share,
        seed=settings.sampler_seed,
    )
    budget = ByteBudget(home.budget_file, settings.sample_bytes_per_day, now_ms)
    exits = Exits(
        policy(settings.egress_policy), egress_log, budget, outbox, settings.outbox_bytes_at_most
    )
    return Sampler(rules, exits, now_ms)


def _update_rules(settings: AgentSettings) -> UpdateRules:
    limits = EngineLimits(
        settings.engine_start_seconds,
        settings.engine_timeout_seconds,
        settings.requests_in_flight,
    )
    home = AgentHome(settings.home)
    return UpdateRules(
        fleet=FleetOptions(home.engine_log, settings.engine_threads, limits),
        probe=ProbeRules(
            settings.probe_agreement_at_least,
            settings.probe_p95_ms_at_most,
            settings.engine_bytes_at_most,
        ),
        memory=MemoryRules(settings.memory_bytes_at_most, settings.memory_reserve_bytes),
        watch_seconds=settings.watch_seconds,
        watch_answers=settings.watch_answers,
        drain_seconds=settings.drain_seconds,
    )
