"""What a site returns of the requests it answers, and the order in which a reviewer sees that.

Both are the product's own: the agent's sampler by its default settings, with policy, log, budget
and outbox, and the hub's table of samples with its review queue. Only the line between the two is
left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from dizuo.agent.egress_log import EgressLog
from dizuo.agent.home import AgentHome
from dizuo.agent.outbox import Outbox
from dizuo.agent.runner import make_sampler
from dizuo.agent.sampler import Answered
from dizuo.agent.settings import AgentSettings
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.migrate import upgrade
from dizuo.datasets import samples
from dizuo.datasets.content import input_digest
from dizuo.datasets.samples import MAX_LISTED, SampleFilter
from dizuo.edge.wire import Direction, Sample
from dizuo.families import registry
from dizuo.families.base import Engine, Row

_SITE = "site"


@dataclass(frozen=True, slots=True)
class Desk:
    """A site that answers with one stack of an engine, and the hub that it returns samples to;
    both keep their files in `folder`."""

    engine: Engine
    direction: Direction
    folder: Path
    seed: int

    def returned(self, rows: Sequence[Row]) -> list[Sample]:
        """What the site's sampler lets out of requests of one row each, the oldest first."""
        settings = AgentSettings(
            home=self.folder / "site", egress_policy="raw", sampler_seed=self.seed
        )
        home = AgentHome(settings.home)
        home.create()
        outbox = Outbox(home.outbox)
        sampler = make_sampler(settings, home, EgressLog(home.egress_log, now_ms), outbox)
        spec = registry.spec(self.direction.family)
        for row in rows:
            request = spec.request([row])
            answer = self.engine.infer(self.direction.served_as, request)
            body = canonical_json(request)
            sampler.consider(Answered(self.direction, body, answer.observations))
        found = (outbox.read(item) for item in outbox.waiting())
        return [sample for sample in found if sample is not None]

    def review_order(self, returned: Sequence[Sample]) -> list[str]:
        """The digests of the inputs of samples, in the order of the hub's review queue."""
        with closing(Database(sqlite_url(self.folder / "hub.db"))) as database:
            upgrade(database)
            samples.receive(database, self.folder, _SITE, returned)
            with database.reading() as session:
                queue = [
                    sample.digest
                    for offset in range(0, len(returned), MAX_LISTED)
                    for sample in samples.queue(
                        session, SampleFilter(), limit=MAX_LISTED, offset=offset
                    )
                ]
        return [input_digest(samples.read_row(self.folder, digest)) for digest in queue]
