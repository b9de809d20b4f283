"""Ways to the form that starts an improvement, for those who may; nothing for others."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from dizuo.access.model import Role
from dizuo.console.approvals.improvement_wish import START
from dizuo.console.elements.markup import EMPTY, address, link, tag
from dizuo.console.frame import View
from dizuo.datasets.samples import SampleFilter
from dizuo.stacks.model import StackVersion


def start_button(view: View) -> Markup:
    """On the page of improvements."""
    if not view.may(Role.BUILDER):
        return EMPTY
    return link(view.words("improving.title"), START, class_="button primary")


def of_stack(view: View, stack: StackVersion) -> Markup:
    """On the page of a version whose recipe can run again."""
    if not stack.recipe or not view.may(Role.BUILDER):
        return EMPTY
    return tag("p", link(view.words("improving.of_stack"), address(START, stack=stack.ref)))


def of_reviewed(view: View, wanted: SampleFilter, counts: Mapping[str, int]) -> Markup:
    """On the page of samples, once some of them are reviewed."""
    if not counts.get("reviewed") or not view.may(Role.BUILDER):
        return EMPTY
    there = address(START, served_as=wanted.served_as, from_site=wanted.site)
    return tag("p", link(view.words("improving.of_reviewed"), there))
