"""The labelling desk: one sample at a time before each reviewer, and none before two.

What somebody has before them is claimed in the database for some minutes. The page that shows it
renews the claim under its token; another page of the same person takes it over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.ids import new_id
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.datasets import desk_store, opinions, review, samples, store
from dizuo.datasets.desk_store import ClaimRow, OpinionRow, SkipRow
from dizuo.datasets.errors import ClaimLost, NothingToUndo, ReviewConflict
from dizuo.datasets.model import Sample
from dizuo.datasets.review import Verdict
from dizuo.datasets.samples import MACHINE, SampleFilter
from dizuo.datasets.store import SampleRow

CLAIM_MS = 5 * 60_000
SKIP_MS = 4 * 3_600_000
"""So long a sample that somebody skipped does not come back to them."""
SECOND_WITHIN_MS = 14 * 24 * 3_600_000
"""Verdicts older than this get no second opinion any more."""
DEFAULT_SECOND_SHARE = 0.05
_TAIL = func.substr(SampleRow.digest, 64, 8)
"""The last eight digits of a digest: as good as drawn at random, and not what the queue is sorted
by."""
_MAX_TRIES = 100


class Look(StrEnum):
    """What somebody looks at a sample for: a verdict, a second opinion on one, or to decide between
    the two."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"


LABELLING = (Look.SECOND, Look.FIRST)
"""Second opinions come first: there are few of them, and they say how far labels can be trusted."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody at the desk; `second_share` of all verdicts get a second opinion."""

    name: str
    project_id: str = DEFAULT_PROJECT
    second_share: float = DEFAULT_SECOND_SHARE


@dataclass(frozen=True, slots=True)
class Held:
    """A sample before somebody. What an earlier reviewer said of it is left out of it; for a third
    look, `said` is what the two said."""

    sample: Sample
    look: Look
    token: str
    said: tuple[Any, ...] = ()


def take(
    session: Session,
    wanted: SampleFilter,
    reviewer: Reviewer,
    *,
    looks: Sequence[Look] = LABELLING,
) -> Held | None:
    """Put the next sample before somebody, in the caller's transaction; None if there is none.

    What they have before them already comes again if the filter lets it through, and belongs to
    the new token alone; else they let go of it. Of several who ask at once, each gets another.
    """
    wanted = replace(wanted, state="", project_id=reviewer.project_id)
    own = _own(session, wanted, reviewer, looks)
    if own is not None:
        return own
    desk_store.drop_claims(session, reviewer.project_id, reviewer.name)
    for look in looks:
        eligible = _eligible(look, wanted, reviewer)
        query = _first(look, eligible, wanted, reviewer)
        for _ in range(_MAX_TRIES):
            sample_id = session.scalar(query)
            if sample_id is None:
                break
            held = _claim(session, sample_id, look, reviewer)
            if held is None:
                continue
            if session.scalar(eligible.where(SampleRow.id == sample_id)) is not None:
                return held
            desk_store.drop_claim(session, held.token)  # judged between being chosen and claimed
    return None


def _own(
    session: Session, wanted: SampleFilter, reviewer: Reviewer, looks: Sequence[Look]
) -> Held | None:
    known = desk_store.claim_of(session, reviewer.project_id, reviewer.name)
    if known is None or known.until_ms <= now_ms() or Look(known.look) not in looks:
        return None
    query = _eligible(Look(known.look), wanted, reviewer).where(SampleRow.id == known.sample_id)
    if session.scalar(query) is None:
        return None
    return _claim(session, known.sample_id, Look(known.look), reviewer)


def _first(
    look: Look, eligible: Select[Any], wanted: SampleFilter, reviewer: Reviewer
) -> Select[Any]:
    """The first of the eligible ones that is open to this reviewer.

    A hundred thousand may wait for a first look. Of these only so many are read as there may be
    hidden ones before it; which they are is told by the queue's index alone.
    """
    order = samples.in_order()
    query = desk_store.open_to(eligible, reviewer.name, now_ms()).order_by(*order).limit(1)
    if look is not Look.FIRST:
        return query
    waiting = replace(wanted, state=MACHINE.initial)
    front = samples.narrowed(select(SampleRow.digest), waiting).order_by(*order)
    near = front.limit(desk_store.num_hidden(reviewer.name) + 1).subquery()
    return query.join(near, SampleRow.digest == near.c.digest)


def _eligible(look: Look, wanted: SampleFilter, reviewer: Reviewer) -> Select[Any]:
    """The ids of samples that this reviewer may look at for this."""
    query = samples.narrowed(select(SampleRow.id), wanted)
    if look is Look.FIRST:
        return query.where(SampleRow.state == MACHINE.initial)
    query = query.where(SampleRow.state.in_(opinions.JUDGED), SampleRow.reviewer != reviewer.name)
    opinion = select(OpinionRow.id).where(OpinionRow.sample_id == SampleRow.id)
    if look is Look.THIRD:
        divided = opinion.where(
            OpinionRow.agrees.is_(False),
            OpinionRow.settled_ms.is_(None),
            OpinionRow.reviewer != reviewer.name,
            OpinionRow.first_reviewer != reviewer.name,
        )
        return query.where(divided.exists())
    query = query.where(~opinion.exists(), SampleRow.reviewed_ms > now_ms() - SECOND_WITHIN_MS)
    if reviewer.second_share >= 1:
        return query
    below = f"{int(reviewer.second_share * 2**32):08x}"
    return query.where(_TAIL.op("<")(below))


def _claim(session: Session, sample_id: str, look: Look, reviewer: Reviewer) -> Held | None:
    now, token = now_ms(), new_id()
    row = ClaimRow(
        sample_id=sample_id,
        project_id=reviewer.project_id,
        reviewer=reviewer.name,
        token=token,
        look=look.value,
        until_ms=now + CLAIM_MS,
    )
    if not desk_store.claim(session, row, now):
        return None
    sample = store.to_sample(samples.find_row(session, sample_id, reviewer.project_id))
    blank = replace(sample, label=None, reviewer="", reviewed_ms=None)
    said = opinions.both(session, sample_id) if look is Look.THIRD else ()
    return Held(blank, look, token, said)


def renew(session: Session, token: str) -> None:
    """Keep what a page shows before its reviewer for some minutes more.

    Raises:
        ClaimLost: it is theirs no longer.
    """
    _require(session, token).until_ms = now_ms() + CLAIM_MS
    session.flush()


def _require(session: Session, token: str) -> ClaimRow:
    """A claim that has run out still holds as long as nobody else has taken the sample."""
    found = desk_store.claim_by_token(session, token)
    if found is None:
        raise ClaimLost(
            "This sample is no longer before you: it was let go, or is open elsewhere.",
            next_step="Go on with the next one.",
        )
    return found


def release(session: Session, token: str) -> None:
    """Let go of what a page shows; that is harmless if it is not its own any more."""
    desk_store.drop_claim(session, token)


def skip(session: Session, token: str) -> None:
    """Let go of a sample, and do not show it to the same reviewer for some hours.

    Raises:
        ClaimLost: it is theirs no longer.
    """
    claim, now = _require(session, token), now_ms()
    session.execute(delete(SkipRow).where(SkipRow.until_ms <= now))
    session.merge(
        SkipRow(sample_id=claim.sample_id, reviewer=claim.reviewer, until_ms=now + SKIP_MS)
    )
    desk_store.drop_claim(session, token)


def decide(session: Session, home: Path, token: str, label: Any) -> Look:
    """Give the sample before a reviewer its label (None: not usable), in the caller's transaction.

    Raises:
        ClaimLost: it is not before them any more.
        InvalidInput: the family does not take this label for this sample.
        ReviewConflict, TransitionRefused: it was judged otherwise meanwhile, not at the desk.
        SampleDamaged: its content is gone.
    """
    claim = _require(session, token)
    key, actor, project_id = claim.sample_id, claim.reviewer, claim.project_id
    look = Look(claim.look)
    if look is Look.FIRST:
        review.judge(session, home, key, Verdict(label), actor, project_id=project_id)
    elif look is Look.SECOND:
        opinions.give(session, home, key, label, actor, project_id=project_id)
    else:
        opinions.settle(session, home, key, label, actor, project_id=project_id)
    desk_store.drop_claim(session, token)
    return look


def undo(session: Session, reviewer: Reviewer) -> tuple[Held, Any]:
    """Take back what somebody said last, and put that sample before them again. Returns it, and
    what they had said of it.

    Raises:
        NothingToUndo: they have said nothing that can still be taken back.
        ReviewConflict: somebody else looks at that sample now, or has given a second opinion.
    """
    verdict = desk_store.last_verdict_by(session, reviewer.project_id, reviewer.name)
    opinion = desk_store.last_opinion_by(session, reviewer.project_id, reviewer.name)
    if opinion is not None and (verdict is None or opinion.given_ms > (verdict.reviewed_ms or 0)):
        said, sample_id = _drop_opinion(session, opinion), opinion.sample_id
        look = Look.SECOND
    elif verdict is not None:
        said, sample_id = _drop_verdict(session, verdict), verdict.id
        look = Look.FIRST
    else:
        raise NothingToUndo(
            "You have said nothing yet that could be taken back.", next_step="Label this one."
        )
    desk_store.drop_claims(session, reviewer.project_id, reviewer.name)
    held = _claim(session, sample_id, look, reviewer)
    if held is None:
        raise ReviewConflict(
            "A second reviewer looks at that sample now, so its verdict stays.",
            next_step="Go on with the next one.",
        )
    return held, said


def _drop_verdict(session: Session, row: SampleRow) -> Any:
    said = row.label
    if row.state == "used":
        raise NothingToUndo(
            "What you said last has gone into a dataset already.",
            next_step="Go on with the next one.",
        )
    if desk_store.opinion_of(session, row.id) is not None:
        raise ReviewConflict(
            "A second reviewer has looked at that sample, so its verdict stays.",
            next_step="Go on with the next one.",
        )
    review.undo(session, row.id, row.reviewer, project_id=row.project_id)
    return said


def _drop_opinion(session: Session, row: OpinionRow) -> Any:
    if row.settled_ms is not None:
        raise NothingToUndo(
            "What you said last has been settled already.", next_step="Go on with the next one."
        )
    sample = samples.find_row(session, row.sample_id, row.project_id, lock=True)
    session.delete(row)
    session.flush()
    audit.record(
        session,
        row.reviewer,
        "sample.second_opinion_undone",
        f"sample:{sample.digest}",
        {},
        project_id=row.project_id,
    )
    return opinions.parse(row.said)


def num_held(session: Session, project_id: str) -> int:
    """How many samples are before somebody now."""
    query = select(func.count()).where(
        ClaimRow.project_id == project_id, ClaimRow.until_ms > now_ms()
    )
    return session.scalar(query) or 0
