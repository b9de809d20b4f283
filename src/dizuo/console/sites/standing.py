"""Sites, releases and rollouts in words: their states, how fresh they are, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from dizuo.console.elements.markup import badge, tag
from dizuo.console.elements.places import stack_link
from dizuo.console.elements.telling import ago
from dizuo.console.messages import Words, catalogue
from dizuo.console.overview.history import MINUTE_MS
from dizuo.console.sentences import spoken
from dizuo.edge.wire import Direction, SiteError
from dizuo.releases.model import ReleaseState
from dizuo.sites.model import Site
from dizuo.sites.rollout_model import EntryState, RolloutState
from dizuo.sites.service import ONLINE_PERIODS, online_since_ms

SITE_TONES = {"serving": "good", "updating": "busy", "fallen_back": "bad", "empty": "neutral"}
ROLLOUT_TONES = {
    "pending": "neutral",
    "progressing": "busy",
    "done": "good",
    "failed": "bad",
    "stopped": "warn",
    "rolled_back": "warn",
    "superseded": "neutral",
}
_PERSON = "by "
_REMOVED = "the site was removed"


@dataclass(frozen=True, slots=True)
class Freshness:
    """Whether a site is online, and for how many minutes it was not heard of, at least one if it is
    not. They are counted up to the last full minute of the clock, so that all that are shown change
    at the same moment, and not in between."""

    is_online: bool
    num_minutes: int

    @classmethod
    def of(cls, site: Site, poll_seconds: float, now_ms: int) -> Freshness:
        """How fresh what is known of a site is now."""
        is_online = site.last_seen_ms >= online_since_ms(poll_seconds, now_ms)
        minute = now_ms - now_ms % MINUTE_MS
        num_minutes = max(0, minute - site.last_seen_ms) // MINUTE_MS
        return cls(is_online, num_minutes if is_online else max(1, num_minutes))


def freshness(words: Words, fresh: Freshness) -> Markup:
    """As a word with its tone; how long ago is left out where it is hardly any time."""
    past = ago(words, 0, fresh.num_minutes * MINUTE_MS)
    if not fresh.is_online:
        return badge(words("seen.offline", ago=past), "warn")
    if fresh.num_minutes < ONLINE_PERIODS:
        return badge(words("seen.online"), "good")
    return badge(words("seen.online_ago", ago=past), "good")


def site_state(words: Words, state: str) -> Markup:
    """A site's own word about itself."""
    return badge(words(f"site_state.{state}"), SITE_TONES.get(state, "neutral"))


def rollout_state(words: Words, state: RolloutState | EntryState) -> Markup:
    """Where a rollout, or one site of it, is."""
    return badge(words(f"rollout_state.{state.value}"), ROLLOUT_TONES[state.value])


def release_state(words: Words, state: ReleaseState) -> Markup:
    """Where a release is."""
    tone = "good" if state is ReleaseState.SIGNED else "warn"
    return badge(words(f"release_state.{state.value}"), tone)


def direction(words: Words, one: Direction) -> Markup:
    """What is served, and under which name if that is another one."""
    stack = stack_link(one.name, one.version)
    if one.served_as == one.name:
        return stack
    before, after = words("sites.as", stack="\0", name=one.served_as).split("\0")
    return tag("span", before, stack, after, class_="said")


def directions(words: Words, stacks: Iterable[Direction]) -> Markup:
    """A whole set, one a line."""
    lines = [tag("li", direction(words, one)) for one in stacks]
    if not lines:
        return tag("span", words("sites.runs_nothing"), class_="muted")
    return tag("ul", *lines, class_="plain-list")


def fault(words: Words, error: SiteError) -> str:
    """Why a site's last attempt failed."""
    known = catalogue()
    step = words(f"step.{error.step}") if f"step.{error.step}" in known else error.step
    if f"fault.{error.code}" in known:
        kind = words(f"fault.{error.code}")
        return words("fault.told_kind", step=step, kind=kind, message=spoken(words, error.message))
    return words("fault.told", step=step, message=spoken(words, error.message))


def reason(words: Words, text: str) -> str:
    """Why a rollout or a site of it is where it is. Reasons are kept as English sentences; those of
    a known kind are told in a person's language."""
    if text == _REMOVED:
        return words("rollouts.site_removed")
    if text.startswith(_PERSON):
        return words("rollouts.by_person", name=text.removeprefix(_PERSON).partition(":")[2])
    site, fell, rest = text.partition(" fell back (")
    if fell:
        return words("rollouts.fell_back", site=site, fault=_coded(words, rest.removesuffix(")")))
    return _coded(words, text)


def _coded(words: Words, text: str) -> str:
    """`code: message`, as rollouts keep what sites told them."""
    code, _, message = text.partition(": ")
    if message and f"fault.{code}" in catalogue():
        return f"{words(f'fault.{code}')}: {spoken(words, message)}"
    return spoken(words, text)
