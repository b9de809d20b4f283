"""Writing what a site shall run: one more generation of its desired set."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id
from dizuo.edge.wire import DesiredState, Direction
from dizuo.releases import service as releases
from dizuo.sites import store
from dizuo.sites.errors import DirectionBlocked
from dizuo.sites.model import Site


@dataclass(frozen=True, slots=True)
class Director:
    """Directs sites of one project within one transaction, to signed stacks only.

    `cause` is kept with each generation it writes (`rollout:<id>`), `actor` is who wants it.
    """

    session: Session
    signed_digests: frozenset[str]
    cause: str
    actor: str

    @classmethod
    def of(cls, session: Session, project_id: str, cause: str, actor: str) -> Director:
        """A director that knows what is signed now."""
        signed = releases.signed_digests(session, project_id=project_id)
        return cls(session, signed, cause, actor)

    def put(self, site: Site, served_as: str, direction: Direction | None) -> Site:
        """Let a site serve `direction` (or nothing) under a name, beside what it serves else.

        The caller holds the site's row. The generation grows by one.

        Raises:
            DirectionBlocked: a stack of the new set is no longer signed; the site would refuse the
                whole set, so it is not sent.
        """
        kept = [one for one in site.desired.stacks if one.served_as != served_as]
        wanted = [*kept, direction] if direction else kept
        for one in wanted:
            self._require_signed(site, one)
        state = DesiredState(
            generation=site.desired.generation + 1,
            stacks=tuple(sorted(wanted, key=lambda one: one.served_as)),
        )
        self._keep(site, state)
        return store.change(self.session, site, {"desired": state})

    def _require_signed(self, site: Site, direction: Direction) -> None:
        if direction.digest not in self.signed_digests:
            stack = f"{direction.name}:{direction.version}"
            raise DirectionBlocked(
                f"{site.name} would be directed to {stack}, which is not signed any more.",
                next_step=f"Roll out another version as {direction.served_as} there first.",
            )

    def _keep(self, site: Site, state: DesiredState) -> None:
        row = store.SiteDirectionRow(
            id=new_id(),
            project_id=site.project_id,
            site_id=site.id,
            generation=state.generation,
            stacks=[one.model_dump() for one in state.stacks],
            cause=self.cause,
            created_ms=now_ms(),
        )
        store.add_direction(self.session, row)
        served = {
            one.served_as: {"stack": f"{one.name}:{one.version}", "digest": one.digest}
            for one in state.stacks
        }
        detail = {"generation": state.generation, "served": served, "cause": self.cause}
        audit.record(
            self.session,
            self.actor,
            "site.directed",
            site.subject,
            detail,
            project_id=site.project_id,
        )
