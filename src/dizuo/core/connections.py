"""How long servers keep connections that nobody asks anything on."""

from __future__ import annotations

KEEP_ALIVE_SECONDS = 75
"""Longer than clients keep them: httpx and OpenAI's clients 5 s, proxies 60 s. A server that gives
up first closes some while the next request is on its way, and nobody knows whether it was read."""
