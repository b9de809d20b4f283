"""Where the lineage's picture puts versions, whatever stands on what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dizuo.artifacts.model import Level
from dizuo.console.messages import Language, Words
from dizuo.console.stacks.lineage import Placed, drawn, place
from dizuo.console.stacks.states import States
from dizuo.gates.store import Verdict
from dizuo.stacks.browsing import Branch, StackCard


def card(name: str, level: Level, parent: str | None = None, version: int = 1) -> StackCard:
    return StackCard(
        name=name,
        version=version,
        level=level,
        family="text",
        digest=f"{name}:{version}",
        parent_digest=parent,
        run_id="run",
        bytes_total=2,
        bytes_added=1,
        created_ms=1,
        released_ms=None,
    )


BASE = card("base", Level.L0)


def industry(number: int) -> StackCard:
    return card(f"industry-{number}", Level.L1, BASE.digest)


def scenario(number: int, above: StackCard) -> Branch:
    below = (above,) if above is BASE else (above, BASE)
    return Branch(card(f"scenario-{number}", Level.L2, above.digest), below)


def rows(placed: list[Placed]) -> dict[str, int]:
    return {one.card.name: one.row for one in placed}


def test_a_parent_is_in_the_row_of_its_first_child() -> None:
    branches = [
        Branch(BASE, ()),
        scenario(9, BASE),
        Branch(industry(1), (BASE,)),
        scenario(1, industry(1)),
        scenario(2, industry(1)),
        scenario(3, industry(2)),
    ]
    assert rows(place(branches)) == {
        "base": 0,
        "scenario-9": 0,
        "industry-1": 1,
        "scenario-1": 1,
        "scenario-2": 2,
        "industry-2": 3,
        "scenario-3": 3,
    }


@st.composite
def forests(draw: st.DrawFn) -> list[Branch]:
    """Branches in any order, as a page of a search may have them."""
    found = []
    for number in draw(st.lists(st.integers(0, 30), unique=True, min_size=1, max_size=20)):
        above = draw(st.integers(-1, 3))
        found.append(scenario(number, BASE if above < 0 else industry(above)))
    return draw(st.permutations([*found, *(Branch(industry(n), (BASE,)) for n in range(2))]))


@given(forests())
def test_no_two_share_a_place_and_children_stand_beside_or_below(branches: list[Branch]) -> None:
    placed = place(branches)
    at = {one.card.digest: one for one in placed}
    expected = {card.digest for one in branches for card in (one.top, *one.below)}
    assert at.keys() == expected
    assert len({(one.x, one.y) for one in placed}) == len(placed)
    for one in placed:
        parent = at.get(one.card.parent_digest or "")
        if parent is not None:
            assert parent.x < one.x
            assert parent.row <= one.row
    leaves = len(expected - {one.card.parent_digest for one in placed})
    assert {one.row for one in placed} == set(range(leaves))


def test_a_node_tells_its_level_sites_release_and_gates_in_words() -> None:
    old = card("industry-1", Level.L1, BASE.digest, version=1)
    states = States({old.digest: 1234}, {old.digest: Verdict(old.digest, True, 1)})
    words = Words(Language.ENGLISH)
    drawing = str(drawn(words, [Branch(old, (BASE,))], states, {"industry-1": 2, "base": 1}))
    assert "L1 industry · 1,234 sites · older" in drawing
    assert "gates passed" in drawing
    assert 'href="/stacks/industry-1/1" class="node L1 old"' in drawing
    assert 'href="/stacks/base/1" class="node L0"' in drawing
    assert drawing.count('class="edge"') == 1


def test_a_long_name_keeps_its_version_and_its_whole_as_a_title() -> None:
    long = card("a" * 40 + "-end", Level.L0, version=123)
    drawing = str(drawn(Words(Language.CHINESE), [Branch(long, ())], States({}, {}), {}))
    assert f"<title>{long.ref}</title>" in drawing
    assert "…" in drawing
    assert "end:123</text>" in drawing
