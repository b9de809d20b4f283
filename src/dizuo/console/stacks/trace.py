"""A trace on a page: from the sites that run a version, stack by stack, down to the samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from dizuo.artifacts.model import Level
from dizuo.console.elements.markup import EMPTY, badge, join, link, tag
from dizuo.console.elements.telling import number
from dizuo.console.messages import Words
from dizuo.console.stacks.states import level_word, num_sites
from dizuo.core.digests import short
from dizuo.stacks.model import TraceStep

_NUM_OPEN = 3
"""So many earlier versions of a dataset are told at once; the others when asked for."""


def trace_chain(words: Words, steps: Sequence[TraceStep], known: Mapping[str, str]) -> Markup:
    """The steps of `sites.tracing.outline` as one chain, each with what it leads to.

    Args:
        words: the reader's.
        steps: from sites to samples.
        known: addresses of the stacks that the reader may see, by digest.
    """
    of: dict[str, list[TraceStep]] = {}
    for step in steps:
        of.setdefault(step.of, []).append(step)
    links = [_running(words, steps), *_released(words, steps)]
    links += [_stack(words, one, of, known) for one in steps if one.kind == "stack"]
    return tag("ol", *links, class_="chain")


def _running(words: Words, steps: Sequence[TraceStep]) -> Markup:
    count = sum(one.detail["num_sites"] for one in steps if one.kind == "sites")
    told = words("trace.running", sites=num_sites(words, count))
    return tag("li", link(told, "#sites") if count else tag("span", told))


def _released(words: Words, steps: Sequence[TraceStep]) -> list[Markup]:
    return [
        tag("li", words(f"trace.{one.detail['state']}", actor=one.detail["actor"]))
        for one in steps
        if one.kind == "release"
    ]


def _stack(
    words: Words, step: TraceStep, of: Mapping[str, list[TraceStep]], known: Mapping[str, str]
) -> Markup:
    address = known.get(step.digest)
    name = link(step.id, address) if address else step.id
    head = join([name, " ", level_word(words, Level(step.detail["level"])), _digest(step.digest)])
    own = of.get(step.digest, ())
    facts = [_fact(words, one, address) for one in own if one.kind != "dataset-version"]
    data = [_dataset(words, one, of) for one in own if one.kind == "dataset-version"]
    items = [one for one in (*facts, *data) if one]
    return tag("li", tag("p", head, class_="link"), tag("ul", *items) if items else EMPTY)


def _fact(words: Words, step: TraceStep, address: str | None) -> Markup:
    if step.kind == "gate-report":
        key, tone = ("passed", "good") if step.detail["passed"] else ("failed", "bad")
        report = words("stack.gates")
        named = link(report, f"{address}#gates") if address else report
        return tag("li", named, " ", badge(words(f"gate.{key}"), tone), _digest(step.digest))
    if step.kind == "run":
        return tag("li", words("trace.run"), " ", link(step.id, f"/runs/{step.id}"))
    if step.kind == "recipe":
        return tag("li", words("stack.recipe"), _digest(step.digest))
    return EMPTY


def _dataset(words: Words, step: TraceStep, of: Mapping[str, list[TraceStep]]) -> Markup:
    """A dataset version, the samples that entered with it, and the versions it grew from."""
    grown = _grown(step, of)
    shown, others = grown[:_NUM_OPEN], grown[_NUM_OPEN:]
    earlier = [
        tag("li", words(f"use.{one.detail['use']}"), " ", _version(words, one, of)) for one in shown
    ]
    if others:
        more = tag("summary", words("trace.earlier", count=number(len(others))))
        rest = tag("ul", *(tag("li", _version(words, one, of)) for one in others))
        earlier.append(tag("li", tag("details", more, rest)))
    inner = tag("ul", *earlier) if earlier else EMPTY
    return tag("li", words(f"use.{step.detail['use']}"), " ", _version(words, step, of), inner)


def _grown(step: TraceStep, of: Mapping[str, list[TraceStep]]) -> list[TraceStep]:
    """The versions that a dataset version was appended to, the newest first."""
    found: list[TraceStep] = []
    at: TraceStep | None = step
    while at is not None:
        appended = (one for one in of.get(at.digest, ()) if one.kind == "dataset-version")
        at = next(appended, None)
        if at is not None:
            found.append(at)
    return found


def _version(words: Words, step: TraceStep, of: Mapping[str, list[TraceStep]]) -> Markup:
    name, _, version = step.id.partition("@")
    rows = words("trace.rows", count=number(step.detail["num_rows"]))
    told = [link(step.id, f"/data/{name}/{version}"), tag("span", f" · {rows}", class_="muted")]
    for one in of.get(step.digest, ()):
        if one.kind == "samples":
            count = words("trace.samples", count=number(one.detail["num_samples"]))
            told.append(tag("span", " · ", tag("strong", count)))
    return join(told)


def _digest(digest: str) -> Markup:
    return tag("code", short(digest), title=digest, class_="digest")
