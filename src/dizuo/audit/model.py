"""The nouns of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dizuo.core.digests import sha256_json

GENESIS = "sha256:" + "0" * 64
"""What the first entry of a log names as its predecessor."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One state change.

    `actor` is who caused it (`operator:ann`, `site:site3`, `workflow:<id>`), `action` what happened
    (`release.signed`), `subject` what it happened to (`stack:meter-reading:1`), `detail` its
    reasons. `digest` covers every other field, `previous` among them, so an entry cannot be
    changed, removed or put elsewhere without breaking the chain after it.
    """

    sequence: int
    project_id: str
    at_ms: int
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    previous: str
    digest: str

    def expected_digest(self) -> str:
        """The digest that this entry's fields call for."""
        return sha256_json(
            {
                "sequence": self.sequence,
                "project_id": self.project_id,
                "at_ms": self.at_ms,
                "actor": self.actor,
                "action": self.action,
                "subject": self.subject,
                "detail": self.detail,
                "previous": self.previous,
            }
        )


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What verifying found: how many entries hold, and the first that does not, with why."""

    num_entries: int
    head: str
    broken_at: int | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether the whole chain holds."""
        return self.broken_at is None
