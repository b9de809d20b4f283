"""The demo's town: one hub and its sites, real processes on this machine."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from dizuo.client.hub import HubClient
from dizuo.demo.processes import (
    STOP_SECONDS,
    Fleet,
    Process,
    ProcessFailed,
    free_port,
    wait_until_answers,
)
from dizuo.runs import process as worker_process
from dizuo.runs.folder import RunFolder

POLL_SECONDS = 0.5
_PARALLEL_RUNS = 2
_COMMAND_SECONDS = 60.0
_SITE_TIMEOUT_SECONDS = 60
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Town:
    """A running hub, its home folder, and its sites' inference addresses."""

    home: Path
    hub: HubClient
    hub_process: Process
    sites: dict[str, httpx2.Client]

    @property
    def addresses(self) -> dict[str, str]:
        """Where everything answers."""
        return {
            "hub": self.hub.url,
            **{name: str(client.base_url) for name, client in self.sites.items()},
        }


@contextmanager
def running_town(
    home: Path, fleet: Fleet, settings: Mapping[str, Mapping[str, str]], *, sampler_seed: int
) -> Iterator[Town]:
    """Start a hub in `home/hub` and let freshly set-up sites join it.

    Args:
        settings: each site's name, and what its agent's environment says beside what all have.

    Raises:
        ProcessFailed: one of them did not start; says where its log is.
    """
    _require_free(home / "hub")
    fleet.endings.append(lambda: end_trainers(home / "hub"))
    with ExitStack() as cleanup:
        process, client = _start_hub(home / "hub", fleet)
        cleanup.enter_context(client)
        for site in client.sites():
            client.remove_site(site["name"])
        sites = {}
        for name, own in settings.items():
            told = {**own, "DIZUO_AGENT_SAMPLER_SEED": str(sampler_seed)}
            site_client = _start_site(home, fleet, client, name, told)
            sites[name] = cleanup.enter_context(site_client)
        yield Town(home / "hub", client, process, sites)


def _require_free(home: Path) -> None:
    if (lock := home / "hub.lock").exists():
        with lock.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ProcessFailed(
                    f"A demo of this seed is still running in {home.parent}.",
                    next_step="End its processes first, or choose another --folder or --seed.",
                ) from error


def _start_hub(home: Path, fleet: Fleet) -> tuple[Process, HubClient]:
    if not (home / "keys" / "online").is_dir() or not any((home / "keys" / "online").iterdir()):
        run_command("keys init", ["--home", str(home), "keys", "init"])
    port = free_port()
    arguments = ["up", "--home", str(home), "--port", str(port)]
    settings = {
        "DIZUO_POLL_SECONDS": str(POLL_SECONDS),
        "DIZUO_MAX_PARALLEL_RUNS": str(_PARALLEL_RUNS),
    }
    process = fleet.start("hub", arguments, settings)
    wait_until_answers(process, f"http://127.0.0.1:{port}/api/v1/health")
    known = json.loads((home / "credentials.json").read_bytes())
    return process, HubClient(known["url"], known["token"])


def _start_site(
    home: Path, fleet: Fleet, hub: HubClient, name: str, settings: Mapping[str, str]
) -> httpx2.Client:
    folder = home / name
    shutil.rmtree(folder, ignore_errors=True)
    token = hub.make_join_token({})["token"]
    arguments = ["agent", "join", token, "--name", name, "--home", str(folder)]
    run_command("agent join", arguments)
    port = free_port()
    process = fleet.start(
        name,
        ["agent", "run", "--home", str(folder), "--port", str(port), "--egress-policy", "raw"],
        {
            "DIZUO_AGENT_WATCH_SECONDS": "1",
            "DIZUO_AGENT_RETRY_SECONDS": "0.5",
            **settings,
        },
    )
    wait_until_answers(process, f"http://127.0.0.1:{port}/v2/health/live")
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=_SITE_TIMEOUT_SECONDS)


def end_trainers(hub_home: Path, grace_seconds: float = STOP_SECONDS) -> None:
    """End what still trains for a hub that has ended (its workers outlive it): ask, and after a
    while make it. The next hub in this home goes on from there."""
    attempts = [one for path in hub_home.glob("runs/*/") for one in RunFolder(path).attempts()]
    workers = [worker for one in attempts if (worker := one.identity()) is not None]
    for worker in workers:
        worker_process.ask_to_stop(worker)
    deadline = time.monotonic() + grace_seconds
    while any(map(worker_process.is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    for worker in workers:
        if worker_process.is_alive(worker):
            worker_process.end(worker)


def run_command(
    name: str, arguments: Sequence[str], timeout_seconds: float = _COMMAND_SECONDS
) -> None:
    """Run one `dizuo` command to its end; errors call it by `name`, since arguments may be secret.

    Raises:
        ProcessFailed: it failed, and what it said; or it did not end.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dizuo.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:  # it holds the arguments
        raise ProcessFailed(
            f"dizuo {name} did not end within {timeout_seconds:.0f} s.",
            next_step="See what else this machine is doing, then try again.",
        ) from None
    if done.returncode != 0:
        raise ProcessFailed(f"dizuo {name} failed: {done.stderr.strip()}")
