"""Who reviewed what a dataset version learned: asked of the database alone."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dizuo.datasets.store import SampleRow


def of_version(session: Session, dataset_version_id: str) -> Mapping[str, int]:
    """How many of the samples that entered with a dataset version each reviewer labelled, those
    with the most first."""
    number = func.count()
    query = (
        select(SampleRow.reviewer, number)
        .where(SampleRow.dataset_version_id == dataset_version_id)
        .group_by(SampleRow.reviewer)
        .order_by(number.desc(), SampleRow.reviewer)
    )
    return dict(iter(session.execute(query)))
