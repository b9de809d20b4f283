"""Sees every transaction that any database of this process commits, and which of them wrote rows of
the product without an audit entry.

What may change without one is listed here, column by column: nothing in it is a decision, and all
of it is overwritten again and again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, event

from dizuo.database.tables import Row

LOG = "audit_entries"
UNAUDITED: Mapping[str, frozenset[str]] = {
    # A site's heartbeat: that it lives, what it was last told, and its counters.
    "sites": frozenset(
        {
            "last_seen_ms",
            "told_generation",
            "answers",
            "samples_waiting",
            "bytes_first_install",
            "bytes_last_update",
        }
    ),
    # A run's lease: that its worker lives.
    "runs": frozenset({"lease_ms"}),
    # Why an improvement waits, in words; its state does not change with them.
    "improvements": frozenset({"reason"}),
    # That a person's session is in use.
    "console_sessions": frozenset({"seen_ms"}),
}
COUNTERS = frozenset({"sign_in_tries", "figures", "site_hours", "sample_claims"})
"""Tables of which nothing needs an entry: what comes of a try at signing in has one, histories only
repeat what is elsewhere, and who is looking at a sample now changes nothing about it."""
_WRITES = re.compile(
    r"""\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(?P<table>\w+)"?"""
    r"(?:\s+SET\s+(?P<set>.*?)(?:\s+WHERE\b.*)?$)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass
class AuditWatch:
    """The transactions that broke the rule, each by the tables and columns that it wrote."""

    broken: list[str] = field(default_factory=list)
    num_audited: int = 0
    _written: dict[Connection, list[str]] = field(default_factory=dict)

    def executed(self, connection: Connection, cursor: Any, statement: str, *_more: object) -> None:
        found = _WRITES.match(statement)
        if found is None or cursor.rowcount == 0:
            return
        table, assigned = found["table"], found["set"]
        if table not in Row.metadata.tables or table in COUNTERS:
            return  # a counter, or DBOS's or Alembic's own
        columns = set(re.findall(r'(?:^|,)\s*"?(\w+)"?\s*=', assigned or ""))
        if columns and columns <= UNAUDITED.get(table, frozenset()):
            return
        what = f"{table}({', '.join(sorted(columns)) or statement.split(maxsplit=1)[0]})"
        self._written.setdefault(connection, []).append(what)

    def committed(self, connection: Connection) -> None:
        written = self._written.pop(connection, [])
        if any(what.startswith(f"{LOG}(") for what in written):
            self.num_audited += 1
        elif written:
            self.broken.append(" ".join(written))

    def rolled_back(self, connection: Connection) -> None:
        self._written.pop(connection, None)


@contextmanager
def watching() -> Iterator[AuditWatch]:
    """Watch every engine of this process."""
    watch = AuditWatch()
    listeners: list[tuple[str, Callable[..., None]]] = [
        ("after_cursor_execute", watch.executed),
        ("commit", watch.committed),
        ("rollback", watch.rolled_back),
    ]
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield watch
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)
