"""How stack versions are: sites that run them, gates, release; in words for every list of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from dizuo.artifacts.model import Level
from dizuo.console.elements.markup import badge, tag
from dizuo.console.elements.telling import number
from dizuo.console.messages import Words
from dizuo.gates import service as gates
from dizuo.gates.store import Verdict
from dizuo.sites import running


@dataclass(frozen=True, slots=True)
class States:
    """By digest: how many sites run a version, and its newest verdict; what there is none of is
    left out."""

    num_sites: Mapping[str, int]
    verdicts: Mapping[str, Verdict]

    def sites_of(self, digest: str) -> int:
        """How many sites run a version."""
        return self.num_sites.get(digest, 0)

    def gates_key(self, digest: str) -> str:
        """Which word of the catalogue's `gate.` says whether a version passed."""
        verdict = self.verdicts.get(digest)
        if verdict is None:
            return "none"
        return "passed" if verdict.passed else "failed"


def states_of(session: Session, project_id: str, digests: Collection[str]) -> States:
    """How these versions are, in a project."""
    return States(
        running.num_sites(session, digests, project_id=project_id),
        gates.verdicts_of(session, digests, project_id=project_id),
    )


GATE_TONES = {"passed": "good", "failed": "bad", "none": "neutral"}


def gates_badge(words: Words, states: States, digest: str) -> Markup:
    """Whether a version passed its gates."""
    key = states.gates_key(digest)
    return badge(words(f"gate.{key}"), GATE_TONES[key])


def release_badge(words: Words, released_ms: int | None) -> Markup:
    """Whether a version is released."""
    if released_ms is None:
        return badge(words("stacks.unreleased"))
    return badge(words("stacks.released"), "good")


def num_sites(words: Words, count: int) -> str:
    """A number of sites."""
    return words("stacks.site" if count == 1 else "stacks.sites", count=number(count))


def level_word(words: Words, level: Level) -> Markup:
    """A level in its colour, with its name."""
    return tag("span", words(f"level.{level}"), class_=f"level level-{level}")
