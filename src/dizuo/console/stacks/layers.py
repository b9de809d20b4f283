"""What a stack version is made of: its layers with their bytes in each target, and its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from dizuo.artifacts.model import Level, StackIndex
from dizuo.console.elements.markup import Column, badge, join, table, tag
from dizuo.console.elements.places import stack_link
from dizuo.console.elements.telling import num_bytes
from dizuo.console.messages import Words
from dizuo.console.stacks.states import level_word
from dizuo.stacks.browsing import StackCard


@dataclass(frozen=True, slots=True)
class LayerBytes:
    """A layer of a stack and its bytes in each target."""

    level: Level
    name: str
    by_target: Mapping[str, int]


def layers_of(index: StackIndex) -> list[LayerBytes]:
    """The layers of a stack, its base first."""
    found: dict[tuple[Level, str], dict[str, int]] = {}
    for target, manifest in index.targets.items():
        for layer in manifest.layers:
            size = sum(blob.size_bytes for blob in layer.blobs)
            found.setdefault((layer.level, layer.name), {})[target] = size
    return [LayerBytes(level, name, sizes) for (level, name), sizes in sorted(found.items())]


def layers_table(
    words: Words,
    layers: list[LayerBytes],
    targets: tuple[str, ...],
    chain: Mapping[Level, StackCard],
) -> Markup:
    """The layers from L0 down; those below the last one are the parent's, and shared with it.

    Args:
        words: the reader's.
        layers: base first, the stack's own last.
        targets: columns, in the recipe's order.
        chain: the stack and those below it, by level.
    """
    title = words("stack.layers")
    columns = [
        Column(words("column.level")),
        Column(words("stack.from")),
        Column(words("stack.share")),
        *(Column(target, is_number=True) for target in targets),
    ]
    rows = []
    for place, layer in enumerate(layers):
        is_own = place == len(layers) - 1
        share = badge(words("stack.added"), "busy") if is_own else badge(words("stack.shared"))
        card = chain.get(layer.level)
        whose = stack_link(card.name, card.version) if card else layer.name
        sizes = [num_bytes(layer.by_target.get(target, 0)) for target in targets]
        rows.append((level_word(words, layer.level), whose, share, *sizes))
    bars = [_bar(words, layers, target) for target in targets]
    return join([table(columns, rows, title), tag("div", *bars, class_="bars")])


def _bar(words: Words, layers: list[LayerBytes], target: str) -> Markup:
    """One target's bytes as a bar, layer after layer."""
    sizes = [(layer, layer.by_target.get(target, 0)) for layer in layers]
    whole = sum(size for _, size in sizes) or 1
    parts = [
        tag("span", style=f"flex-grow:{size / whole:.5f}", class_=f"part {layer.level}")
        for layer, size in sizes
        if size
    ]
    told = ", ".join(f"{words(f'level.{layer.level}')} {num_bytes(size)}" for layer, size in sizes)
    label = words("stack.bar", target=target, parts=told)
    bar = tag("div", *parts, class_="bar", role="img", aria_label=label)
    return tag("div", tag("span", target, class_="muted small"), bar, class_="barred")


def recipe_text(words: Words, recipe: str) -> Markup:
    """A recipe with its lines numbered; numbers are not copied with the text."""
    if not recipe:
        return tag("p", words("stack.no_recipe"), class_="muted")
    lines = [tag("code", line + "\n") for line in recipe.splitlines()]
    return tag("pre", *lines, class_="lines")
