"""What named sites serve under one name: asked of the database alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.sites.store import SiteRow


@dataclass(frozen=True, slots=True)
class ServingSite:
    """A site, its state, and what it runs and shall run under a name: `name:version`, or empty for
    nothing."""

    name: str
    state: str
    running: str
    desired: str


def serving(
    session: Session,
    names: Collection[str],
    served_as: str,
    *,
    project_id: str = DEFAULT_PROJECT,
) -> dict[str, ServingSite]:
    """What each of these sites serves under `served_as`; sites that are gone are left out."""
    query = select(
        SiteRow.name, SiteRow.state, SiteRow.running_stacks, SiteRow.desired_stacks
    ).where(SiteRow.project_id == project_id, SiteRow.name.in_(names))
    return {
        name: ServingSite(name, state, _under(running, served_as), _under(desired, served_as))
        for name, state, running, desired in session.execute(query)
    }


def _under(stacks: list[dict[str, Any]], served_as: str) -> str:
    found = (f"{one['name']}:{one['version']}" for one in stacks if one["served_as"] == served_as)
    return next(found, "")
