"""The adapter slot of an exported graph: the names of its overridable inputs. Light."""

from __future__ import annotations

from dizuo.families.vision.adapter import HEAD_BIAS, HEAD_WEIGHT, Adapter, Floats

SLOT = "slot"


def slot_names(module: str) -> tuple[str, str]:
    """The graph's names for A and B of a module."""
    return f"backbone.{module}.lora_A.{SLOT}.weight", f"backbone.{module}.lora_B.{SLOT}.weight"


def slot_feeds(adapter: Adapter) -> dict[str, Floats]:
    """What overrides the slot to apply an adapter and its head."""
    feeds = {HEAD_WEIGHT: adapter.head_weight, HEAD_BIAS: adapter.head_bias}
    for module, pair in adapter.pairs.items():
        name_a, name_b = slot_names(module)
        feeds[name_a], feeds[name_b] = pair.a, pair.b
    return feeds
