"""What the console works on: the hub's parts, given to it once they run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dizuo.artifacts.layout import Layout
from dizuo.database.engine import Database
from dizuo.improvements.improver import Improver
from dizuo.releases.repository import Repository
from dizuo.runs.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Parts:
    """A running hub, as its rooms know it; `url` is how sites reach it. `second_share` of verdicts
    on samples get a second opinion."""

    home: Path
    url: str
    poll_seconds: float
    second_share: float
    database: Database
    layout: Layout
    repository: Repository
    supervisor: Supervisor
    improver: Improver
