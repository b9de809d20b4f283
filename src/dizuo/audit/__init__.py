"""The hash-chained audit log: every state change writes an entry in its own transaction."""
