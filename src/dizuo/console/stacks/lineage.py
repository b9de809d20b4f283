"""Stacks and what they stand on as a picture: bases at the left, scenarios at the right.

Each version has a row of its own unless something stands on it; then it is in the row of the first
that does. So lines between a parent and its children never cross a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from dizuo.artifacts.model import Level
from dizuo.console.elements.markup import join, tag
from dizuo.console.elements.places import stack_address
from dizuo.console.messages import Words
from dizuo.console.stacks.states import States, num_sites
from dizuo.stacks.browsing import Branch, StackCard

_WIDTH, _HEIGHT, _GUTTER, _GAP, _HEAD = 216, 68, 36, 14, 30
_MARGIN = 2
_MAX_CHARACTERS = 24
_LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True)
class Placed:
    """A version in its row, counted from 0."""

    card: StackCard
    row: int

    @property
    def x(self) -> int:
        """Its left edge."""
        return _MARGIN + _LEVELS.index(self.card.level) * (_WIDTH + _GUTTER)

    @property
    def y(self) -> int:
        """Its upper edge."""
        return _HEAD + self.row * (_HEIGHT + _GAP)


@dataclass
class _Tree:
    """Versions by digest in the order in which they were met, and which stand on which."""

    cards: dict[str, StackCard] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    roots: list[str] = field(default_factory=list)

    def add(self, branch: Branch) -> None:
        """Take in a version and what it stands on."""
        chain = (branch.top, *branch.below)
        for index, card in enumerate(chain):
            if card.digest in self.cards:
                continue
            self.cards[card.digest] = card
            below = chain[index + 1].digest if index + 1 < len(chain) else None
            siblings = self.roots if below is None else self.children.setdefault(below, [])
            siblings.append(card.digest)


def place(branches: Sequence[Branch]) -> list[Placed]:
    """Every version of the branches once, in its row."""
    tree = _Tree()
    for branch in branches:
        tree.add(branch)
    placed: list[Placed] = []
    for root in tree.roots:
        _place(tree, root, placed, _next_row(placed))
    return placed


def _place(tree: _Tree, digest: str, placed: list[Placed], row: int) -> None:
    placed.append(Placed(tree.cards[digest], row))
    for index, child in enumerate(tree.children.get(digest, ())):
        _place(tree, child, placed, row if index == 0 else _next_row(placed))


def _next_row(placed: Sequence[Placed]) -> int:
    return max((one.row for one in placed), default=-1) + 1


def drawn(
    words: Words, branches: Sequence[Branch], states: States, newest: Mapping[str, int]
) -> Markup:
    """The picture, in which every version is a link to its page.

    Args:
        words: the reader's.
        branches: what to draw.
        states: of every version in them.
        newest: the newest version of each name; what is older is told to be.
    """
    placed = place(branches)
    at = {one.card.digest: one for one in placed}
    edges = [
        _edge(at[one.card.parent_digest], one) for one in placed if one.card.parent_digest in at
    ]
    nodes = [
        _node(words, one, states, is_old=one.card.version < newest.get(one.card.name, 0))
        for one in placed
    ]
    width = len(_LEVELS) * _WIDTH + (len(_LEVELS) - 1) * _GUTTER + 2 * _MARGIN
    height = _HEAD + (_next_row(placed)) * (_HEIGHT + _GAP)
    title = words("stacks.graph")
    whole = tag(
        "svg",
        *(_heading(words, level) for level in _LEVELS),
        join(edges),
        join(nodes),
        viewBox=f"0 0 {width} {height}",
        role="group",
        aria_label=title,
    )
    return tag("div", whole, class_="lineage", tabindex="0", role="region", aria_label=title)


def _heading(words: Words, level: Level) -> Markup:
    x = _MARGIN + _LEVELS.index(level) * (_WIDTH + _GUTTER)
    return tag("text", words(f"level.{level}"), x=x, y=16, class_=f"heading level-{level}")


def _edge(parent: Placed, child: Placed) -> Markup:
    """Out of the parent, down beside it, and into the child."""
    start, end = parent.x + _WIDTH, child.x
    y1, y2 = parent.y + _HEIGHT // 2, child.y + _HEIGHT // 2
    bend = start + _GUTTER // 2
    path = f"M{start} {y1}H{bend}V{y2}H{end}" if y1 != y2 else f"M{start} {y1}H{end}"
    return tag("path", d=path, class_="edge")


def _node(words: Words, one: Placed, states: States, *, is_old: bool) -> Markup:
    card = one.card
    level = words(f"level.{card.level}")
    second = f"{level} · {num_sites(words, states.sites_of(card.digest))}"
    key = states.gates_key(card.digest)
    released = words("stacks.unreleased" if card.released_ms is None else "stacks.released")
    third = join([tag("tspan", released), " · ", tag("tspan", words(f"gate.of_{key}"), class_=key)])
    if is_old:
        second = f"{second} · {words('stacks.older')}"
    x, y = one.x, one.y
    kind = f"node {card.level}" + (" old" if is_old else "")
    return tag(
        "a",
        tag("title", card.ref),
        tag("rect", x=x, y=y, width=_WIDTH, height=_HEIGHT, rx=7, class_="box"),
        tag("rect", x=x, y=y, width=5, height=_HEIGHT, rx=2.5, class_="band"),
        tag("text", _clipped(card.ref), x=x + 16, y=y + 22, class_="name"),
        tag("text", second, x=x + 16, y=y + 41),
        tag("text", third, x=x + 16, y=y + 58),
        href=stack_address(card.name, card.version),
        class_=kind,
    )


def _clipped(ref: str) -> str:
    """A long name without its middle, so that its version stays."""
    if len(ref) <= _MAX_CHARACTERS:
        return ref
    head = _MAX_CHARACTERS // 2
    return f"{ref[:head]}…{ref[head + 1 - _MAX_CHARACTERS :]}"
