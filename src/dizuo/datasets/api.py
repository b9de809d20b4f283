"""`/api/v1` for uploads and datasets; the routes of review are in `review_api`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from dizuo.access.http import Builder, DatabaseDep, Reader, operator
from dizuo.access.model import Principal, Role
from dizuo.core.numbers import VersionNumber
from dizuo.database.engine import Database
from dizuo.datasets import review_api, service, table, uploads
from dizuo.datasets.bodies import AddVersionBody
from dizuo.datasets.content import to_wire
from dizuo.datasets.drafting import draft_of
from dizuo.datasets.http import HomeDep, PageDep, WarehouseDep
from dizuo.datasets.model import DatasetVersion, StoredRow
from dizuo.datasets.names import DatasetRef

Json = dict[str, Any]
_UNLIMITED = 1 << 62
"""Whatever limit the app sets for bodies in general; uploads count their own bytes."""
router = APIRouter(prefix="/api/v1", tags=["datasets"])
router.include_router(review_api.router)


@router.put(
    "/uploads",
    status_code=201,
    dependencies=[Depends(operator(Role.BUILDER))],
    max_body_size=_UNLIMITED,
)
async def upload(request: Request, home: HomeDep) -> Json:
    """Keep the request's raw body; answers its digest."""
    uploads.check_announced(request.headers.get("content-length"))
    return (await uploads.receive(request.stream(), home)).as_dict()


@router.post("/datasets/{name}/versions", status_code=201)
def add_version(
    name: str, body: AddVersionBody, caller: Builder, home: HomeDep, warehouse: WarehouseDep
) -> Json:
    """Import an upload as a new version; answers the versions, counts and the first rejects."""
    path = uploads.upload_path(home, body.upload)
    with warehouse.database.reading() as session:
        draft = draft_of(session, name, body, caller.project_id)
    return service.import_file(warehouse, draft, path, body.format, caller.actor).as_dict()


@router.get("/datasets")
def list_datasets(caller: Reader, database: DatabaseDep) -> Json:
    """Every dataset with its newest version."""
    with database.reading() as session:
        found = service.listing(session, caller.project_id)
    return {"items": [summary.as_dict() for summary in found]}


@router.get("/datasets/{name}")
def show_dataset(name: str, caller: Reader, database: DatabaseDep) -> Json:
    """One dataset with all its versions."""
    with database.reading() as session:
        summary = service.show(session, name, caller.project_id)
        versions = service.versions(session, name, caller.project_id)
    return summary.as_dict() | {"versions": [version.as_dict() for version in versions]}


@router.get("/datasets/{name}/diff")
def diff_versions(
    name: str,
    caller: Reader,
    database: DatabaseDep,
    before: Annotated[VersionNumber, Query(alias="from")],
    after: Annotated[VersionNumber, Query(alias="to")],
) -> Json:
    """What changed from one version to another."""
    one, other = (_version(database, caller, name, number) for number in (before, after))
    return service.diff(one.pin, other.pin).as_dict()


@router.get("/datasets/{name}/versions/{number}")
def show_version(name: str, number: VersionNumber, caller: Reader, database: DatabaseDep) -> Json:
    """One version."""
    return _version(database, caller, name, number).as_dict()


@router.get("/datasets/{name}/versions/{number}/rejects")
def list_rejects(
    name: str,
    number: VersionNumber,
    caller: Reader,
    database: DatabaseDep,
    page: PageDep,
) -> Json:
    """The rows that were refused when this version was added."""
    version = _version(database, caller, name, number)
    rejects = service.read_rejects(version, offset=page.offset, limit=page.limit)
    return {"items": [reject.as_dict() for reject in rejects], "total": version.num_rejected}


@router.get("/datasets/{name}/versions/{number}/rows")
def list_rows(
    name: str,
    number: VersionNumber,
    caller: Reader,
    database: DatabaseDep,
    page: PageDep,
) -> Json:
    """Some rows of a version; bytes as `{"base64": "…"}`."""
    version = _version(database, caller, name, number)
    rows = table.read_page(version.pin, page.offset, page.limit)
    return {"items": [_row(row) for row in rows], "total": version.num_rows}


def _row(row: StoredRow) -> Json:
    return {"row_digest": row.row_digest, "source": row.source, "columns": to_wire(row.columns)}


def _version(database: Database, caller: Principal, name: str, number: int) -> DatasetVersion:
    with database.reading() as session:
        return service.find(session, DatasetRef(caller.project_id, name, number))
