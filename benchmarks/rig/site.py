"""A site that serves stacks: a real agent that came back from its disk, with no hub in reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.rig.shipping import Shipped
from dizuo.agent import generations
from dizuo.agent.generations import Generation
from dizuo.agent.home import Active, AgentHome, Enrolment
from dizuo.artifacts.layout import Layout
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.demo.processes import Fleet, Process, free_port, wait_until_answers
from dizuo.edge.wire import DesiredState, Direction

_NOBODY = "http://127.0.0.1:9"
"""Where a hub would be; the agent tries again now and then, ever more seldom."""


@dataclass(frozen=True, slots=True)
class Serving:
    """A site that answers at `url`."""

    url: str
    process: Process

    @property
    def pid(self) -> int:
        """The agent; engines are its children."""
        return self.process.popen.pid


def stage(
    home: Path, family: str, target: str, stacks: Sequence[Shipped], number: int = 1
) -> Generation:
    """Lay stacks that are in a home's layout out as one generation, each served under its name."""
    directions = tuple(
        Direction(
            served_as=one.name,
            name=one.name,
            version=1,
            digest=one.digest,
            family=family,
            target=target,
        )
        for one in stacks
    )
    place = AgentHome(home)
    desired = DesiredState(generation=number, stacks=directions)
    return generations.stage(Layout(place.layout), place.generations, desired)


@contextmanager
def serving(
    home: Path, generation: Generation, threads: int, settings: Mapping[str, str] | None = None
) -> Iterator[Serving]:
    """Run an agent in a home that serves this generation, with so many threads an engine, and with
    further settings as environment variables. Its site lets nothing out unless they say so."""
    place = AgentHome(home)
    place.write_enrolment(Enrolment(_NOBODY, "site", "site", DEFAULT_PROJECT, "none", "none"))
    place.write_active(Active(generation=generation.number))
    port = free_port()
    arguments = ["agent", "run", "--home", str(home), "--port", str(port)]
    with Fleet(home.parent / f"{home.name}-logs") as fleet:
        environment = {"DIZUO_AGENT_ENGINE_THREADS": str(threads), **(settings or {})}
        process = fleet.start("site", arguments, environment)
        url = f"http://127.0.0.1:{port}"
        wait_until_answers(process, f"{url}/v2/health/ready")
        yield Serving(url, process)
