"""What the routes of this room share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

from fastapi import Depends, Query, Request
from pydantic import BaseModel, Field

from dizuo.access.http import DatabaseDep
from dizuo.core.numbers import WholeNumber
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.service import root_of


def home_of(request: Request) -> Path:
    """The hub's folder."""
    return cast(Path, request.app.state.home)


HomeDep = Annotated[Path, Depends(home_of)]


def warehouse_of(home: HomeDep, database: DatabaseDep) -> Warehouse:
    """Where the hub's datasets live."""
    return Warehouse(database, root_of(home))


WarehouseDep = Annotated[Warehouse, Depends(warehouse_of)]


class Page(BaseModel):
    """Which part of a long list."""

    offset: WholeNumber = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


PageDep = Annotated[Page, Query()]
