"""What every table is made of.

Each room declares its rows in its own `store.py` on `Row`; all of them share this metadata, so one
migration history covers them (`dizuo/database/migrations`).
"""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, MetaData, String
from sqlalchemy.orm import DeclarativeBase, mapped_column

Id = Annotated[str, mapped_column(String(36), primary_key=True)]
"""A UUIDv7 primary key."""
Name = Annotated[str, mapped_column(String(128))]
Digest = Annotated[str, mapped_column(String(71))]
Millis = Annotated[int, mapped_column(BigInteger)]
"""Unix milliseconds, UTC."""
ProjectId = Annotated[str, mapped_column(String(64), default="default", index=True)]
Json = Annotated[dict[str, Any], mapped_column(JSON)]

DEFAULT_PROJECT = "default"


class Row(DeclarativeBase):
    """Base of every row. Constraint names are fixed so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
