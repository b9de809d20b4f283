"""A hub as far as runs go: a process that supervises a home until it is killed.

`python -m tests.runs.hub_process HOME` prints `leading` once it acts.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.runs.conftest import QUICK

from dizuo.artifacts.layout import Layout
from dizuo.database.engine import Database, sqlite_url
from dizuo.runs.kinds import RunContext, installed_kinds
from dizuo.runs.supervisor import Supervisor


def main(home: Path) -> None:
    context = RunContext(Database(sqlite_url(home / "hub.db")), Layout(home / "layout"), home)
    supervisor = Supervisor(context, installed_kinds(), QUICK)
    supervisor.start()
    supervisor.leading.wait()
    print("leading", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
