"""How much a text engine takes at once. Light."""

SLOTS = 4
"""Answers that are written at the same time."""
SLOT_TOKENS = 2048
"""Prompt and answer together, unless a layer asks for more or less (`task.context_tokens`) or the
model was trained for less."""
SLOT_STEP = 256
"""llama.cpp makes each slot a multiple of so many tokens."""
BATCH_TOKENS = 2048
"""Read in one go, of all slots together."""


def cached_tokens(wanted: int) -> int:
    """The tokens that llama.cpp keeps memory for in each slot, where so many are wanted."""
    return -(-wanted // SLOT_STEP) * SLOT_STEP


def window(wanted: int, context_length: int) -> int:
    """The tokens of prompt and answer together that an engine takes in each slot.

    Args:
        wanted: how many there are to be.
        context_length: how many the model was trained to read; no slot is used beyond.
    """
    return min(cached_tokens(wanted), context_length)
