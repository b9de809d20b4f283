"""What the family takes."""

from __future__ import annotations

NAME = "counting"
TARGETS = ("plain",)
PROTOCOL = "openai"
