"""What can be asked of the log in vain."""

from __future__ import annotations

from dizuo.core.errors import NotFound


class EntryNotFound(NotFound):
    """The project's log has no entry of this number."""

    code = "audit_entry_not_found"
