"""Second opinions: how far reviewers agree, and a third look where they do not.

A share of the samples is given to a second reviewer who does not learn what the first one said.
The first verdict counts until somebody settles a disagreement.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.core.digests import canonical_json
from dizuo.core.ids import new_id
from dizuo.datasets import desk_store, review, samples
from dizuo.datasets.desk_store import OpinionRow
from dizuo.datasets.errors import ReviewConflict
from dizuo.datasets.review import Verdict
from dizuo.datasets.store import SampleRow

JUDGED = ("reviewed", "unusable")
"""States of a sample whose verdict can still be replaced."""


def give(
    session: Session, home: Path, key: str, label: Any, actor: str, *, project_id: str
) -> bool:
    """Keep a second reviewer's label (None: not usable), in the caller's transaction. Returns
    whether it is what the first one said.

    Raises:
        SampleMissing: there is no such sample.
        InvalidInput: the family does not take this label for this sample.
        ReviewConflict: it has no first verdict, or that is the reviewer's own, or it has a second
            opinion already.
    """
    row = samples.find_row(session, key, project_id, lock=True)
    _require_one_verdict(session, row, actor)
    if label is not None:
        review.check_label(home, row, label)
    first, said = _said(row.label), _said(label)
    opinion = OpinionRow(
        id=new_id(),
        project_id=project_id,
        sample_id=row.id,
        served_as=row.served_as,
        first_reviewer=row.reviewer,
        first_said=first,
        reviewer=actor,
        said=said,
        is_class=not any(isinstance(one, dict | list) for one in (row.label, label)),
        agrees=first == said,
        given_ms=now_ms(),
        settled_by="",
        settled_ms=None,
    )
    session.add(opinion)
    session.flush()
    detail = {"label": label, "agrees": opinion.agrees}
    subject = f"sample:{row.digest}"
    audit.record(session, actor, "sample.second_opinion", subject, detail, project_id=project_id)
    return opinion.agrees


def _require_one_verdict(session: Session, row: SampleRow, actor: str) -> None:
    if row.state not in JUDGED or row.reviewer == actor:
        raise ReviewConflict(
            "This sample has no verdict of somebody else that a second opinion could go with.",
            next_step="Go on with the next sample.",
        )
    if desk_store.opinion_of(session, row.id) is not None:
        raise ReviewConflict(
            "This sample has a second opinion already.", next_step="Go on with the next sample."
        )


def _said(label: Any) -> str:
    """A label as canonical JSON; whole numbers as the texts that they are as classes."""
    return canonical_json(str(label) if type(label) is int else label).decode()


def parse(said: str) -> Any:
    """The label that a row keeps."""
    return json.loads(said)


def settle(
    session: Session, home: Path, key: str, label: Any, actor: str, *, project_id: str
) -> None:
    """Decide between two reviewers, in the caller's transaction: the label (None: not usable)
    becomes the sample's verdict.

    Raises:
        SampleMissing, InvalidInput: as `give`.
        ReviewConflict: there is no open disagreement, or one of the two is this reviewer.
        TransitionRefused: the sample has been used already.
    """
    row = samples.find_row(session, key, project_id, lock=True)
    opinion = desk_store.opinion_of(session, row.id)
    if opinion is None or opinion.agrees or opinion.settled_ms is not None:
        raise ReviewConflict(
            "About this sample no two reviewers disagree.", next_step="Go on with the next sample."
        )
    if actor in (opinion.reviewer, opinion.first_reviewer):
        raise ReviewConflict(
            "This sample waits for the look of somebody who has not judged it yet.",
            next_step="Leave it to somebody else.",
        )
    review.judge(session, home, key, Verdict(label, correct=True), actor, project_id=project_id)
    opinion.settled_by, opinion.settled_ms = actor, now_ms()
    session.flush()
    subject = f"sample:{row.digest}"
    audit.record(session, actor, "sample.settled", subject, {"label": label}, project_id=project_id)


def both(session: Session, sample_id: str) -> tuple[Any, ...]:
    """What the first and the second reviewer said of a sample, in an order that does not tell who;
    None is that it cannot be used. Nothing without a second opinion."""
    opinion = desk_store.opinion_of(session, sample_id)
    if opinion is None:
        return ()
    return tuple(parse(said) for said in sorted({opinion.first_said, opinion.said}))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far reviewers agree about the samples of one stack's name.

    `kappa` is Cohen's (J. Cohen, "A coefficient of agreement for nominal scales", Educational and
    Psychological Measurement 20, 1960, pages 37-46) over those that were given classes, "cannot be
    used" being one; None where there are none, or where chance alone would agree always. JSON
    agrees where it is the same as a whole.
    """

    served_as: str
    num_pairs: int
    num_agreeing: int
    num_class_pairs: int
    kappa: float | None


def agreement(session: Session, project_id: str, *, limit: int) -> list[Agreement]:
    """The agreement on the samples of each stack's name, those with most second opinions first."""
    agreeing = func.count().filter(OpinionRow.agrees)
    query = (
        select(OpinionRow.served_as, func.count(), agreeing)
        .where(OpinionRow.project_id == project_id)
        .group_by(OpinionRow.served_as)
        .order_by(func.count().desc(), OpinionRow.served_as)
        .limit(limit)
    )
    found = []
    for served_as, num_pairs, num_agreeing in session.execute(query):
        pairs = _class_pairs(session, project_id, served_as)
        found.append(Agreement(served_as, num_pairs, num_agreeing, pairs.total(), kappa(pairs)))
    return found


def _class_pairs(session: Session, project_id: str, served_as: str) -> Counter[tuple[str, str]]:
    query = select(OpinionRow.first_said, OpinionRow.said, func.count()).where(
        OpinionRow.project_id == project_id,
        OpinionRow.served_as == served_as,
        OpinionRow.is_class.is_(True),
    )
    rows = session.execute(query.group_by(OpinionRow.first_said, OpinionRow.said))
    return Counter({(first, second): count for first, second, count in rows})


def kappa(pairs: Counter[tuple[str, str]]) -> float | None:
    """Cohen's kappa of how often the first and the second said what; see `Agreement`."""
    total = pairs.total()
    if not total:
        return None
    first = _sums((one, count) for (one, _), count in pairs.items())
    second = _sums((other, count) for (_, other), count in pairs.items())
    seen = sum(count for (one, other), count in pairs.items() if one == other) / total
    chance = sum(count * second[said] for said, count in first.items()) / total**2
    return None if chance >= 1 else (seen - chance) / (1 - chance)


def _sums(counts: Iterable[tuple[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for said, count in counts:
        found[said] += count
    return found


def num_open(session: Session, project_id: str) -> int:
    """How many disagreements wait for a third look."""
    query = (
        select(func.count())
        .select_from(OpinionRow)
        .join(SampleRow, SampleRow.id == OpinionRow.sample_id)
        .where(
            OpinionRow.project_id == project_id,
            OpinionRow.agrees.is_(False),
            OpinionRow.settled_ms.is_(None),
            SampleRow.state.in_(JUDGED),
        )
    )
    return session.scalar(query) or 0
