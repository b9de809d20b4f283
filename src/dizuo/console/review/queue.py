"""`/review`: the samples that wait, what they are expected to be worth, how reviewers agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console.approvals import improvement_links
from dizuo.console.elements.lists import Chosen, Place, Typed, narrowing, pager
from dizuo.console.elements.markup import (
    EMPTY,
    Column,
    address,
    badge,
    figure,
    join,
    link,
    panel,
    table,
    tag,
)
from dizuo.console.elements.telling import number, when
from dizuo.console.frame import View, console_page
from dizuo.console.messages import Words
from dizuo.console.review.drawing import reason_of, short
from dizuo.console.review.expected import CONFIDENCE, Expectation, Share, expect
from dizuo.core.clock import now_ms
from dizuo.datasets import desk, opinions, samples
from dizuo.datasets.model import Sample
from dizuo.datasets.opinions import Agreement
from dizuo.datasets.samples import MACHINE, SampleFilter
from dizuo.gates.bootstrap import wilson

_PAGE_SIZE = 25
_NUM_AGREEMENTS = 8
_NUM_SUGGESTED = 50
STATES = ("returned", "reviewed", "used", "unusable")
_TONES = {"returned": "busy", "reviewed": "good", "used": "neutral", "unusable": "warn"}


@dataclass(frozen=True, slots=True)
class Figures:
    """What stands on top, of the samples that the filter lets through."""

    counts: Mapping[str, int]
    num_held: int
    num_open: int
    expectation: Expectation
    agreement: Sequence[Agreement]


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the table, and what can be chosen in its filters."""

    found: Sequence[Sample]
    sites: Sequence[str]
    stacks: Sequence[str]
    reasons: Sequence[str]


@console_page("/review", "nav.review", "review")
async def review(
    view: View, *, site: str = "", stack: str = "", reason: str = "", state: str = "", page: int = 1
) -> None:
    """The queue, in its order; every filter is in the address."""
    words = view.words
    wanted = SampleFilter(
        site=site.strip(),
        served_as=stack.strip(),
        reason=reason.strip(),
        state={"": MACHINE.initial, "all": ""}.get(state, state),
        project_id=view.project_id,
    )
    query = {"site": wanted.site, "stack": wanted.served_as, "reason": wanted.reason}
    place = Place("/review", page, {**query, "state": state}, _PAGE_SIZE)
    figures = await view.read(lambda session: _figures(session, wanted))
    listed = await view.read(lambda session: _listed(session, wanted, place))
    ui.html(_head(view, wanted), sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")
    counts = figures.counts
    total = counts.get(wanted.state, 0) if wanted.state else sum(counts.values())
    ui.html(_queue(words, listed, total, place), sanitize=False).classes("rows")

    def show(found: Figures) -> None:
        way = improvement_links.of_reviewed(view, wanted, found.counts)
        shown.set_content(join([way, _top(view, found)]))

    show(figures)
    key = f"review:{wanted.site}\n{wanted.served_as}\n{wanted.reason}"
    view.follow(key, lambda session: _figures(session, wanted), show, seconds=5.0)


def _figures(session: Session, wanted: SampleFilter) -> Figures:
    whole = replace(wanted, state="")
    return Figures(
        samples.count(session, whole),
        desk.num_held(session, wanted.project_id),
        opinions.num_open(session, wanted.project_id),
        expect(samples.tallies(session, whole)),
        opinions.agreement(session, wanted.project_id, limit=_NUM_AGREEMENTS),
    )


def _listed(session: Session, wanted: SampleFilter, place: Place) -> Listed:
    found = samples.queue(session, wanted, limit=place.size, offset=place.offset)
    project = wanted.project_id
    return Listed(
        found,
        samples.known(session, "site", project, _NUM_SUGGESTED),
        samples.known(session, "served_as", project, _NUM_SUGGESTED),
        samples.known(session, "reason", project, _NUM_SUGGESTED),
    )


def _head(view: View, wanted: SampleFilter) -> Markup:
    words = view.words
    title = tag("h1", words("nav.review"))
    if not view.may(Role.BUILDER):
        return tag("div", title, class_="head")
    query = {"site": wanted.site, "stack": wanted.served_as, "reason": wanted.reason}
    start = link(words("review.start"), address("/review/label", **query), class_="button primary")
    return tag("div", title, start, class_="head")


def _top(view: View, figures: Figures) -> Markup:
    words = view.words
    return join(
        [
            tag("div", *_counts(view, figures), class_="figures"),
            tag(
                "div",
                _expected(words, figures.expectation),
                _agreement(words, figures.agreement),
                class_="grid",
            ),
        ]
    )


def _counts(view: View, figures: Figures) -> list[Markup]:
    words = view.words
    found = [
        figure(words("review.waiting"), number(figures.counts.get("returned", 0))),
        figure(words("review.held"), number(figures.num_held)),
        figure(words("review.reviewed"), number(figures.counts.get("reviewed", 0))),
        figure(words("review.used"), number(figures.counts.get("used", 0))),
        figure(words("review.unusable"), number(figures.counts.get("unusable", 0))),
    ]
    to_settle: object = number(figures.num_open)
    if figures.num_open and view.may(Role.RELEASER):
        to_settle = link(to_settle, "/review/label?work=settle")
    return [*found, figure(words("review.open"), to_settle)]


def _expected(words: Words, expectation: Expectation) -> Markup:
    title = words("review.expected")
    if expectation.corrections is None:
        return panel(title, tag("p", words("review.expected_nothing"), class_="muted"))
    low, about, high = expectation.corrections
    sentence = words("review.expected_sum", about=number(about), low=number(low), high=number(high))
    columns = [
        Column(words("column.returned_because")),
        Column(words("column.waiting"), is_number=True),
        Column(words("column.answer_changed"), is_number=True),
        Column(words("column.corrections"), is_number=True),
    ]
    rows = [_share(words, one) for one in expectation.shares]
    unknown = expectation.num_unknown
    return panel(
        title,
        tag("p", sentence),
        table(columns, rows, title),
        tag("p", words("review.expected_unknown", count=number(unknown))) if unknown else EMPTY,
        tag("p", words("review.expected_is"), class_="muted"),
        tag("p", words("review.expected_is_not"), class_="muted"),
    )


def _share(words: Words, share: Share) -> Sequence[object]:
    reason = reason_of(words, share.reason)
    if share.changed is None or share.corrections is None:
        return reason, number(share.num_waiting), "–", "–"
    changed = share.changed
    low, about, high = share.corrections
    return (
        reason,
        number(share.num_waiting),
        with_interval(words, changed.point, changed.low, changed.high, changed.num_rows),
        words("review.about", about=number(about), low=number(low), high=number(high)),
    )


def with_interval(words: Words, point: float, low: float, high: float, rows: int) -> str:
    """A share with its interval, and of how many."""
    return words(
        "review.share",
        share=f"{point:.0%}",
        low=f"{low:.0%}",
        high=f"{high:.0%}",
        rows=number(rows),
    )


def _agreement(words: Words, agreement: Sequence[Agreement]) -> Markup:
    title = words("review.agreement")
    if not agreement:
        return panel(title, tag("p", words("review.no_agreement"), class_="muted"))
    columns = [
        Column(words("column.stack")),
        Column(words("column.agree"), is_number=True),
        Column(words("column.kappa"), is_number=True),
    ]
    rows = [_agreeing(words, one) for one in agreement]
    note = tag("p", words("review.agreement_is"), class_="muted")
    return panel(title, table(columns, rows, title), note)


def _agreeing(words: Words, one: Agreement) -> Sequence[object]:
    share = wilson(one.num_agreeing, one.num_pairs, CONFIDENCE)
    told = with_interval(words, share.point, share.low, share.high, one.num_pairs)
    return one.served_as, told, "–" if one.kappa is None else f"{one.kappa:.2f}"


def _queue(words: Words, listed: Listed, total: int, place: Place) -> Markup:
    title = words("review.queue")
    shown = (
        _table(words, listed.found)
        if listed.found
        else tag("p", words("review.nothing"), class_="muted")
    )
    return panel(title, _filters(words, listed, place), shown, pager(words, place, total, title))


def _filters(words: Words, listed: Listed, place: Place) -> Markup:
    states = [("", "returned"), *((one, one) for one in STATES[1:]), ("all", "all")]
    reasons = [(one, reason_of(words, one)) for one in listed.reasons]
    return narrowing(
        words,
        place,
        Typed("site", words("column.site"), listed.sites),
        Typed("stack", words("column.stack"), listed.stacks),
        Chosen("reason", words("column.returned_because"), [("", words("review.any")), *reasons]),
        Chosen(
            "state",
            words("column.state"),
            [(one, words(f"review.state_{of}")) for one, of in states],
        ),
    )


def _table(words: Words, found: Sequence[Sample]) -> Markup:
    columns = [
        Column(words("column.sample")),
        Column(words("column.answer")),
        Column(words("column.confidence"), is_number=True),
        Column(words("column.returned_because")),
        Column(words("column.site")),
        Column(words("column.stack")),
        Column(words("column.state")),
        Column(words("column.taken")),
    ]
    return table(columns, [_row(words, one) for one in found], words("review.queue"))


def _row(words: Words, sample: Sample) -> Sequence[object]:
    state: object = badge(words(f"review.state_{sample.state}"), _TONES[sample.state])
    if sample.label is not None:
        state = join([state, " ", tag("span", short(sample.label))])
    return (
        tag("code", sample.digest.removeprefix("sha256:")[:10]),
        short(sample.answer),
        f"{sample.confidence:.0%}",
        reason_of(words, sample.reason),
        sample.site,
        sample.served_as,
        state,
        when(words, sample.taken_ms, now_ms()),
    )
