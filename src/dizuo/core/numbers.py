"""Whole numbers that people and programs send: bounded, so that every database and reader keeps
them exactly."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

MAX_WHOLE_NUMBER = 2**53 - 1
"""The largest that every JSON reader keeps exact; a column of a database holds it too."""

WholeNumber = Annotated[int, Field(ge=0, le=MAX_WHOLE_NUMBER)]
VersionNumber = Annotated[int, Field(ge=1, le=MAX_WHOLE_NUMBER)]
"""A version of a stack or a dataset; they are counted from 1."""
