"""The evidence for and against an improvement, as markup: data, gates, bytes, sites."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from dizuo.console.approvals.evidence import NUM_SITES, Evidence, Learned
from dizuo.console.elements.markup import Column, badge, facts, join, table, tag
from dizuo.console.elements.places import dataset_link, site_link, stack_ref_link
from dizuo.console.elements.telling import num_bytes, number
from dizuo.console.messages import Words
from dizuo.console.sentences import spoken
from dizuo.console.sites.standing import site_state
from dizuo.console.stacks.gate_panel import verdict_badge
from dizuo.gates.report import GateReport, RuleResult
from dizuo.sites.serving import ServingSite
from dizuo.stacks.model import StackVersion

_KIND = "person:"


def evidence(words: Words, found: Evidence) -> Markup:
    """All that there is, each part under a heading of its own."""
    return join(
        [
            _part(words("evidence.gates"), _gates(words, found)),
            tag(
                "div",
                _part(words("evidence.learned"), _learned(words, found.learned)),
                _part(words("evidence.bytes"), _sizes(words, found)),
                class_="grid",
            ),
            _part(_sites_title(words, found), _sites(words, found)),
        ]
    )


def _caption(found: Evidence, title: str) -> str:
    """What a table shows and of which stack: several improvements may stand on one page."""
    return f"{title} · {found.improvement.stack}"


def _part(title: str, *children: object) -> Markup:
    return tag("div", tag("h3", title), *children, class_="part")


def who(actor: str) -> str:
    """Somebody as people call them: a person by name alone, everything else with its kind."""
    return actor.removeprefix(_KIND)


def _learned(words: Words, learned: tuple[Learned, ...]) -> Markup:
    if not learned:
        return tag("p", words("evidence.learned_nothing"), class_="muted")
    return facts((dataset_link(one.ref), _amount(words, one)) for one in learned)


def _amount(words: Words, one: Learned) -> object:
    if one.version is None:
        return words("evidence.dataset_gone")
    rows = words(
        "evidence.rows", whole=number(one.version.num_rows), added=number(one.version.num_added)
    )
    if not one.reviewers:
        return rows
    by = ", ".join(
        words("evidence.reviewer", name=who(name), count=number(count))
        for name, count in one.reviewers.items()
    )
    return join([rows, tag("br"), tag("span", words("evidence.reviewed", by=by), class_="muted")])


def _gates(words: Words, found: Evidence) -> Markup:
    if found.report is None:
        return tag("p", words("evidence.no_report"), class_="muted")
    columns = [
        Column(words("evidence.rule")),
        Column(words("gates.measured"), is_number=True),
        Column(words("gates.interval"), is_number=True),
        Column(words("evidence.against")),
        Column(words("evidence.verdict")),
    ]
    rows = [_rule(words, rule) for rule in found.report.rules]
    shown = table(columns, rows, _caption(found, words("evidence.gates")))
    return join([_against_incumbent(words, found), _passed(words, found.report), shown])


def _passed(words: Words, report: GateReport) -> Markup:
    tone = "good" if report.passed else "bad"
    said = words("evidence.met", part=report.num_passed, whole=len(report.rules))
    return tag("p", badge(said, tone))


def _against_incumbent(words: Words, found: Evidence) -> Markup:
    if found.incumbent is None:
        return tag("p", words("evidence.no_incumbent"), class_="muted")
    before, after = words("evidence.incumbent", stack="\0").split("\0")
    return tag("p", before, stack_ref_link(found.incumbent.ref), after)


def _rule(words: Words, rule: RuleResult) -> tuple[object, ...]:
    under = tag("span", spoken(words, rule.reason), class_="under")
    return (
        join([spoken(words, rule.sentence), tag("br"), under]),
        "–" if rule.measured is None else f"{rule.measured:.4g}",
        _interval(words, rule),
        stack_ref_link(rule.against) if rule.against else "–",
        verdict_badge(words, rule.verdict),
    )


def _interval(words: Words, rule: RuleResult) -> str:
    if rule.low is None or rule.high is None or rule.confidence is None:
        return "–"
    return words(
        "evidence.range",
        low=f"{rule.low:.4g}",
        high=f"{rule.high:.4g}",
        confidence=f"{rule.confidence:.0%}",
    )


def _sizes(words: Words, found: Evidence) -> Markup:
    stack = found.stack
    if stack is None:
        return tag("p", words("evidence.no_stack"), class_="muted")
    return facts(_size_facts(words, stack, found.incumbent))


def _size_facts(
    words: Words, stack: StackVersion, incumbent: StackVersion | None
) -> Iterator[tuple[object, object]]:
    yield words("evidence.bytes_added"), num_bytes(stack.bytes_added)
    yield words("column.whole"), num_bytes(stack.bytes_total)
    if incumbent is not None:
        yield words("evidence.bytes_incumbent"), num_bytes(incumbent.bytes_total)
    yield words("stack.targets"), ", ".join(stack.targets)


def _sites_title(words: Words, found: Evidence) -> str:
    request = found.improvement.request
    return words("evidence.sites", count=number(len(request.sites)), name=request.served_as)


def _sites(words: Words, found: Evidence) -> Markup:
    columns = [
        Column(words("column.site")),
        Column(words("evidence.site_runs")),
        Column(words("column.state")),
    ]
    rows = [_site(words, name, site) for name, site in found.sites]
    shown = table(columns, rows, _caption(found, _sites_title(words, found)))
    num_others = len(found.improvement.request.sites) - NUM_SITES
    if num_others <= 0:
        return shown
    others = tag("p", words("evidence.sites_more", count=number(num_others)), class_="muted")
    return join([shown, others])


def _site(words: Words, name: str, site: ServingSite | None) -> tuple[object, ...]:
    if site is None:
        return name, "–", badge(words("evidence.site_gone"), "warn")
    return site_link(name), _running(words, site), site_state(words, site.state)


def _running(words: Words, site: ServingSite) -> object:
    running = stack_ref_link(site.running) if site.running else words("sites.runs_nothing")
    if site.desired in ("", site.running):
        return running
    return join([running, tag("span", " → ", class_="muted"), stack_ref_link(site.desired)])
