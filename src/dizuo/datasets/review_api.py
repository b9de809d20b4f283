"""`/api/v1/review`: the queue of returned samples, verdicts, and collecting what was reviewed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query

from dizuo.access.http import Builder, DatabaseDep, Reader
from dizuo.datasets import review, samples, service
from dizuo.datasets.bodies import CollectBody, QueueQuery, ReviewBody
from dizuo.datasets.content import to_wire
from dizuo.datasets.http import HomeDep, WarehouseDep
from dizuo.datasets.samples import SampleFilter

Json = dict[str, Any]
router = APIRouter(prefix="/review", tags=["review"])


@router.get("")
def list_queue(
    caller: Reader,
    database: DatabaseDep,
    query: Annotated[QueueQuery, Query()],
) -> Json:
    """Samples in the order of `samples.queue`, and how many there are in each state."""
    wanted = SampleFilter(
        site=query.site,
        reason=query.reason,
        served_as=query.served_as,
        project_id=caller.project_id,
    )
    shown = replace(wanted, state="" if query.state == "all" else query.state)
    with database.reading() as session:
        found = samples.queue(session, shown, limit=query.limit, offset=query.offset)
        counts = samples.count(session, wanted)
    return {"items": [sample.as_dict() for sample in found], "counts": counts}


@router.post("/dataset", status_code=201)
def collect(body: CollectBody, caller: Builder, home: HomeDep, warehouse: WarehouseDep) -> Json:
    """Put reviewed samples into a dataset as a new version."""
    with warehouse.database.reading() as session:
        family = service.choose_family(session, body.family, body.name, caller.project_id)
    asked = body.model_dump() | {"family": family}
    collection = review.Collection(**asked, project_id=caller.project_id)
    return review.collect(warehouse, home, collection, caller.actor).as_dict()


@router.get("/{key}")
def show_sample(key: str, caller: Reader, database: DatabaseDep, home: HomeDep) -> Json:
    """One sample with its row; bytes as `{"base64": "…"}`."""
    with database.reading() as session:
        sample = samples.find(session, key, caller.project_id)
    return sample.as_dict() | {"row": to_wire(samples.read_row(home, sample.digest))}


@router.post("/{key}")
def judge(
    key: str, body: ReviewBody, caller: Builder, database: DatabaseDep, home: HomeDep
) -> Json:
    """Give a sample its label, or say that it cannot be used."""
    verdict = review.Verdict(body.label, correct=body.correct)
    with database.transaction() as session:
        judged = review.judge(
            session, home, key, verdict, caller.actor, project_id=caller.project_id
        )
    return judged.as_dict()
