"""The door: command groups found by entry point, thin over the client of `/api/v1`."""
