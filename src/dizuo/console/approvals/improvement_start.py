"""`/approvals/new`: choosing a stack whose recipe shall run again, and the form that starts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console.approvals.improvement_form import ImprovementForm
from dizuo.console.approvals.improvement_outlook import Outlook, look
from dizuo.console.approvals.improvement_wish import START, Basis, Wish
from dizuo.console.elements.lists import Place, search
from dizuo.console.elements.markup import Column, address, facts, join, link, panel, table, tag
from dizuo.console.elements.places import stack_ref_link
from dizuo.console.elements.telling import number
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.datasets import samples
from dizuo.improvements import candidates
from dizuo.improvements.candidates import Served
from dizuo.stacks.model import StackVersion
from dizuo.stacks.naming import find_stack

_NUM_ROWS = 25


@console_page(START, "improving.title", "approvals")
async def improvement_start(
    view: View,
    *,
    stack: str = "",
    served_as: str = "",
    from_site: str = "",
    holdout: str = "",
    min_samples: str = "",
    sites: str = "",
    search: str = "",
) -> None:
    """For builders. Without a stack, it is chosen first; where one alone is served under the name,
    that is it. Everything that is typed is in the address."""
    view.person.principal.require(Role.BUILDER)
    said = {"from_site": from_site, "holdout": holdout, "min_samples": min_samples, "sites": sites}
    said = {name: value.strip() for name, value in said.items() if value.strip()}
    project = view.project_id

    def choose(session: Session) -> StackVersion | _Choice:
        if stack:
            return find_stack(session, stack, project_id=project)
        choice = _choice(session, project, served_as.strip() or search.strip())
        only = [one.ref for one in choice.served if one.served_as == served_as.strip()]
        return find_stack(session, only[0], project_id=project) if len(only) == 1 else choice

    found = await view.read(choose)
    if isinstance(found, _Choice):
        ui.html(_chosen_from(view.words, found, said), sanitize=False).classes("rows")
    elif not found.recipe:
        ui.html(_without_recipe(view.words, found), sanitize=False).classes("rows")
    else:
        await _offer(view, Basis.of(found), served_as.strip(), said)


@dataclass(frozen=True, slots=True)
class _Choice:
    """What there is to choose from, and how many samples of each name are in each state."""

    search: str
    served: Sequence[Served]
    others: Sequence[str]
    counts: Mapping[str, Mapping[str, int]]


def _choice(session: Session, project_id: str, search: str) -> _Choice:
    text = search.lower()
    served = candidates.served(session, text, limit=_NUM_ROWS, project_id=project_id)
    others = candidates.others(session, text, limit=_NUM_ROWS, project_id=project_id)
    names = {one.served_as for one in served}
    counts = samples.count_by_name(session, names, project_id=project_id)
    return _Choice(search, served, others, counts)


def _chosen_from(words: Words, choice: _Choice, said: Mapping[str, str]) -> Markup:
    parts = [tag("h1", words("improving.title")), tag("p", words("improving.which"))]
    if choice.served or choice.others or choice.search:
        place = Place(START, query={**said, "search": choice.search})
        parts.append(search(words, place, words("improving.search"), "search"))
    if not choice.served and not choice.others:
        key = "list.none" if choice.search else "improving.nothing"
        way = link(words("runs.new"), "/runs/new")
        parts.append(_notice(words(key), way))
    if choice.served:
        parts.append(panel(words("improving.served"), _served(words, choice, said)))
    if choice.others:
        parts.append(panel(words("improving.others"), _others(choice.others, said)))
    return join(parts)


def _served(words: Words, choice: _Choice, said: Mapping[str, str]) -> Markup:
    columns = [
        Column(words("column.served_as")),
        Column(words("column.stack")),
        Column(words("improving.reviewed"), is_number=True),
        Column(words("review.waiting"), is_number=True),
        Column(words("improvement.num_sites"), is_number=True),
    ]
    rows = [_row(one, choice.counts.get(one.served_as, {}), said) for one in choice.served]
    return table(columns, rows, words("improving.served"))


def _row(one: Served, counts: Mapping[str, int], said: Mapping[str, str]) -> Sequence[object]:
    there = address(START, stack=one.ref, served_as=one.served_as, **said)
    return (
        link(one.served_as, there),
        one.ref,
        number(counts.get("reviewed", 0)),
        number(counts.get("returned", 0)),
        number(one.num_sites),
    )


def _others(others: Sequence[str], said: Mapping[str, str]) -> Markup:
    lines = (tag("li", link(ref, address(START, stack=ref, **said))) for ref in others)
    return tag("div", tag("ul", *lines, class_="plain-list"))


def _without_recipe(words: Words, stack: StackVersion) -> Markup:
    """What was brought in was not made by a recipe; a layer on it can be."""
    told = words("improving.without_recipe", stack=stack.ref)
    way = link(words("runs.new"), address("/runs/new", **{"from": stack.ref}))
    title = tag("h1", words("improving.title"))
    return join([title, _notice(told, way)])


def _notice(told: str, way: Markup) -> Markup:
    return tag("div", tag("p", told), tag("p", way), class_="notice")


async def _offer(view: View, basis: Basis, served_as: str, said: Mapping[str, str]) -> None:
    wish = Wish(served_as or basis.recipe.name, **said)
    asked, project = wish.asked(basis), view.project_id

    def begin(session: Session) -> tuple[Outlook, list[str], bool]:
        known = samples.known(session, "site", project, _NUM_ROWS)
        policy = view.parts.improver.policy(session, project)
        return look(session, asked), known, policy.require_approval

    found, known, asks = await view.read(begin)
    needs_approval = asks or not view.may(Role.RELEASER)
    head = [_head(view.words, basis, needs_approval), _suggested(known)]
    ui.html(join(head), sanitize=False).classes("rows")
    form = ImprovementForm(view, basis, wish, found)
    await form.picker.offer()
    # The key is this page's own: nobody else has the same fields before them.
    view.follow(f"improving {view.client.id}", form.look, form.show, seconds=5.0)


def _suggested(sites: Sequence[str]) -> Markup:
    """Sites that have returned samples, for the field that names one."""
    return tag("datalist", *(tag("option", value=one) for one in sites), id="known-sites")


def _head(words: Words, basis: Basis, needs_approval: bool) -> Markup:
    ref = basis.stack.ref
    back = tag("p", link(words("nav.approvals"), "/approvals"), class_="trail")
    title = tag("div", tag("h1", words("improving.heading", stack=ref)), class_="head")
    ending = "improving.then_asked" if needs_approval else "improving.then_by_itself"
    known = facts(
        [
            (words("improving.recipe_of"), join([stack_ref_link(ref), " · ", _another(words)])),
            (words("improving.into"), link(basis.dataset, f"/data/{basis.dataset}")),
        ]
    )
    told = tag("p", words("improving.means", dataset=basis.dataset), " ", words(ending))
    return join([tag("div", back, title, class_="titled"), told, known])


def _another(words: Words) -> Markup:
    return link(words("improving.another"), START)
