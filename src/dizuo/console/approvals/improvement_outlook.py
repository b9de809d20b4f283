"""What an improvement that is about to be asked for would find: samples of its name, and sites."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from dizuo.console.approvals.improvement_wish import Wish
from dizuo.console.elements.markup import EMPTY, address, figure, join, link, tag
from dizuo.console.elements.telling import number
from dizuo.console.messages import Words
from dizuo.console.review.expected import Expectation, expect
from dizuo.datasets import samples
from dizuo.datasets.samples import SampleFilter
from dizuo.sites import running


@dataclass(frozen=True, slots=True)
class Outlook:
    """How many of the samples that are asked for are in each state, what those that wait are
    expected to be worth, and how many sites serve something under their name."""

    asked: SampleFilter
    counts: Mapping[str, int]
    expectation: Expectation
    num_serving: int


def look(session: Session, asked: SampleFilter) -> Outlook:
    """How it is now."""
    return Outlook(
        asked,
        samples.count(session, asked),
        expect(samples.tallies(session, asked)),
        running.num_serving(session, asked.served_as, project_id=asked.project_id),
    )


def outlook(words: Words, found: Outlook, wish: Wish) -> Markup:
    """In figures, and in a sentence on when it would begin."""
    asked = found.asked
    title = words("improving.samples", name=asked.served_as)
    if asked.site:
        title = words("improving.samples_from", name=asked.served_as, site=asked.site)
    figures = [
        figure(words(f"review.{key}"), number(found.counts.get(state, 0)))
        for key, state in (("waiting", "returned"), ("reviewed", "reviewed"), ("used", "used"))
    ]
    desk = address("/review/label", stack=asked.served_as, site=asked.site)
    return join(
        [
            tag("h2", title),
            tag("div", *figures, class_="figures small"),
            tag("p", _beginning(words, found.counts.get("reviewed", 0), wish), role="status"),
            tag("p", _worth(words, found.expectation), class_="muted"),
            tag("p", link(words("review.start"), desk)) if found.counts.get("returned") else EMPTY,
        ]
    )


def _beginning(words: Words, num_reviewed: int, wish: Wish) -> str:
    least = wish.least()
    if least is None:
        return ""
    if num_reviewed >= least:
        return words("improving.begins_now", number=number(num_reviewed))
    missing = least - num_reviewed
    return words("improving.begins_later", number=number(missing), least=number(least))


def _worth(words: Words, expectation: Expectation) -> str:
    if expectation.corrections is None:
        return words("review.expected_nothing")
    low, about, high = expectation.corrections
    return words("review.expected_sum", about=number(about), low=number(low), high=number(high))
