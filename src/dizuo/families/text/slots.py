"""How much a text engine takes at once. Light."""

SLOTS = 4
"""Answers that are written at the same time."""
SLOT_TOKENS = 2048
"""Prompt and answer together, unless a layer asks for more or less (`task.context_tokens`) or the
model was trained for less."""
BATCH_TOKENS = 2048
"""Read in one go, of all slots together."""
