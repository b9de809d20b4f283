"""`/review`: the samples that wait, what they are expected to be worth, how reviewers agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from dizuo.access.model import Role
from dizuo.console import improvement_links
from dizuo.console.expected import CONFIDENCE, Expectation, Share, expect
from dizuo.console.frame import View, address, console_page
from dizuo.console.markup import EMPTY, Column, badge, join, link, panel, table, tag
from dizuo.console.messages import Words, catalogue
from dizuo.console.telling import number, when
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json
from dizuo.datasets import desk, opinions, samples
from dizuo.datasets.model import Sample
from dizuo.datasets.opinions import Agreement
from dizuo.datasets.samples import MACHINE, SampleFilter
from dizuo.gates.bootstrap import wilson

PAGE_SIZE = 25
_NUM_AGREEMENTS = 8
_NUM_SUGGESTED = 50
_SHOWN_CHARACTERS = 80
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


@console_page("/review", "review.title", "review")
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
    number_of_page = max(1, page)
    figures = await view.read(lambda session: _figures(session, wanted))
    listed = await view.read(lambda session: _listed(session, wanted, number_of_page))
    ui.html(_head(view, wanted), sanitize=False)
    shown = ui.html("", sanitize=False).classes("rows")
    counts = figures.counts
    total = counts.get(wanted.state, 0) if wanted.state else sum(counts.values())
    here = _Address(site.strip(), stack.strip(), reason.strip(), state)
    ui.html(_queue(words, listed, total, here, number_of_page), sanitize=False).classes("rows")

    def show(found: Figures) -> None:
        way = improvement_links.of_reviewed(view, wanted, found.counts)
        shown.set_content(join([way, _top(view, found)]))

    show(figures)
    key = f"review:{wanted.site}\n{wanted.served_as}\n{wanted.reason}"
    view.follow(key, lambda session: _figures(session, wanted), show, seconds=5.0)


@dataclass(frozen=True, slots=True)
class _Address:
    """What the page's address says."""

    site: str
    stack: str
    reason: str
    state: str

    def at(self, page: int) -> str:
        parts = {"site": self.site, "stack": self.stack, "reason": self.reason}
        return address("/review", **parts, state=self.state, page=page if page > 1 else 0)


def _figures(session: Session, wanted: SampleFilter) -> Figures:
    whole = replace(wanted, state="")
    return Figures(
        samples.count(session, whole),
        desk.num_held(session, wanted.project_id),
        opinions.num_open(session, wanted.project_id),
        expect(samples.tallies(session, whole)),
        opinions.agreement(session, wanted.project_id, limit=_NUM_AGREEMENTS),
    )


def _listed(session: Session, wanted: SampleFilter, page: int) -> Listed:
    found = samples.queue(session, wanted, limit=PAGE_SIZE, offset=(page - 1) * PAGE_SIZE)
    project = wanted.project_id
    return Listed(
        found,
        samples.known(session, "site", project, _NUM_SUGGESTED),
        samples.known(session, "served_as", project, _NUM_SUGGESTED),
        samples.known(session, "reason", project, _NUM_SUGGESTED),
    )


def _head(view: View, wanted: SampleFilter) -> Markup:
    words = view.words
    title = tag("h1", words("review.title"))
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
        _figure(words("review.waiting"), number(figures.counts.get("returned", 0))),
        _figure(words("review.held"), number(figures.num_held)),
        _figure(words("review.reviewed"), number(figures.counts.get("reviewed", 0))),
        _figure(words("review.used"), number(figures.counts.get("used", 0))),
        _figure(words("review.unusable"), number(figures.counts.get("unusable", 0))),
    ]
    to_settle: object = number(figures.num_open)
    if figures.num_open and view.may(Role.RELEASER):
        to_settle = link(to_settle, "/review/label?work=settle")
    return [*found, _figure(words("review.open"), to_settle)]


def _figure(name: str, value: object) -> Markup:
    return tag(
        "div", tag("div", value, class_="value"), tag("div", name, class_="name"), class_="figure"
    )


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


def _queue(words: Words, listed: Listed, total: int, here: _Address, page: int) -> Markup:
    content = (
        [_table(words, listed.found), _pager(words, total, here, page)]
        if listed.found
        else [tag("p", words("review.nothing"), class_="muted")]
    )
    return panel(words("review.queue"), _filters(words, listed, here), *content)


def _filters(words: Words, listed: Listed, here: _Address) -> Markup:
    states = [("", "returned"), *((one, one) for one in STATES[1:]), ("all", "all")]
    reasons = [("", words("review.any"))]
    known = dict.fromkeys([*listed.reasons, *([here.reason] if here.reason else [])])
    reasons += [(one, reason_of(words, one)) for one in known]
    return tag(
        "form",
        _typed(words, "site", here.site, listed.sites),
        _typed(words, "stack", here.stack, listed.stacks),
        _chosen(words, "reason", here.reason, reasons),
        _chosen(
            words, "state", here.state, [(one, words(f"review.state_{of}")) for one, of in states]
        ),
        tag("button", words("review.filter"), class_="button"),
        class_="filters",
        method="get",
        action="/review",
    )


def _typed(words: Words, name: str, value: str, known: Sequence[str]) -> Markup:
    options = [tag("option", value=one) for one in known]
    field = tag(
        "input", id=f"filter-{name}", name=name, value=value, list=f"known-{name}", size="16"
    )
    label = tag("label", words(f"column.{name}"), for_=f"filter-{name}")
    return tag("div", label, field, tag("datalist", *options, id=f"known-{name}"))


def _chosen(words: Words, name: str, value: str, options: Sequence[tuple[str, str]]) -> Markup:
    shown = [tag("option", text, value=one, selected=one == value) for one, text in options]
    label = tag("label", words(f"column.{name}"), for_=f"filter-{name}")
    return tag("div", label, tag("select", *shown, id=f"filter-{name}", name=name))


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


def short(answer: Any) -> str:
    """An answer in one line that is not too long."""
    text = answer if isinstance(answer, str) else canonical_json(answer).decode()
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def reason_of(words: Words, reason: str) -> str:
    """Why a sample was returned; by its own name where a package brought it."""
    key = f"review.reason_{reason}"
    return words(key) if key in catalogue() else reason


def _pager(words: Words, total: int, here: _Address, page: int) -> Markup:
    last = max(1, -(-total // PAGE_SIZE))
    first = (page - 1) * PAGE_SIZE + 1
    told = words(
        "review.range",
        first=number(first),
        last=number(min(total, page * PAGE_SIZE)),
        total=number(total),
    )
    back = link(words("review.before"), here.at(page - 1), rel="prev") if page > 1 else None
    on = link(words("review.after"), here.at(page + 1), rel="next") if page < last else None
    return tag("nav", tag("span", told), back, on, class_="pager", aria_label=words("review.pages"))
