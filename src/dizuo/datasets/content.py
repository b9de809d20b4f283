"""What a row is, independent of where it is kept: four kinds of values, and digests over them.

A row maps column names to bytes, text, numbers or JSON. Numbers are kept as 64-bit floats and read
back as whole numbers where they are whole, so integers beyond 2**53 are refused. A missing value
and null are the same.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from dizuo.core.digests import canonical_json, sha256_bytes, sha256_json
from dizuo.datasets.errors import RowRefused
from dizuo.datasets.model import ANSWER_COLUMNS

MAX_FIELD_BYTES = 8 * 1024 * 1024
"""The most that one value may take."""
MAX_COLUMNS = 200
_MAX_NAME_LENGTH = 128
_MAX_WHOLE_NUMBER = 2**53


class Kind(StrEnum):
    """The kinds of values a column can hold."""

    BYTES = "bytes"
    TEXT = "text"
    NUMBER = "number"
    JSON = "json"


def kind_of(value: Any) -> Kind:
    """The kind of a value in its normal form."""
    if isinstance(value, bytes):
        return Kind.BYTES
    if isinstance(value, str):
        return Kind.TEXT
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Kind.NUMBER
    return Kind.JSON


def normalise(row: Mapping[str, Any]) -> dict[str, Any]:
    """`row` in its normal form, in which equal rows are equal byte for byte.

    Raises:
        RowRefused: a name or a value cannot be kept; the message says which and why.
    """
    if len(row) > MAX_COLUMNS:
        raise RowRefused(f"the row has {len(row)} columns; at most {MAX_COLUMNS} are accepted")
    normal = {}
    for name, value in row.items():
        if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME_LENGTH:
            raise RowRefused(f"a column name must have 1 to {_MAX_NAME_LENGTH} characters")
        if value is not None:
            normal[name] = _normal_value(name, value)
    if not normal:
        raise RowRefused("the row is empty")
    return normal


def _normal_value(name: str, value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _normal_number(name, value)
    if isinstance(value, bytes | bytearray | memoryview):
        normal: Any = bytes(value)
        size = len(normal)
    else:
        normal, size = _normal_json(name, value)
    if size > MAX_FIELD_BYTES:
        raise RowRefused(
            f"the field {name} holds {size:,} bytes; at most {MAX_FIELD_BYTES:,} are accepted"
        )
    return normal


def _normal_number(name: str, value: int | float) -> int | float:
    if isinstance(value, int):
        if abs(value) > _MAX_WHOLE_NUMBER:
            raise RowRefused(f"the number in {name} is too large to be kept exactly")
        return value
    if not math.isfinite(value):
        raise RowRefused(f"the number in {name} is not finite")
    return whole_if_whole(value)


def whole_if_whole(value: float) -> int | float:
    """A float that is a whole number below 2**53 as an int, any other as it is."""
    if value.is_integer() and abs(value) <= _MAX_WHOLE_NUMBER:
        return int(value)
    return value


def _normal_json(name: str, value: Any) -> tuple[Any, int]:
    try:
        if isinstance(value, str):
            return value, len(value.encode())
        text = canonical_json(value)
        return json.loads(text), len(text)
    except UnicodeEncodeError:
        raise RowRefused(f"the text in {name} is not valid Unicode") from None
    except (TypeError, ValueError, RecursionError):
        kind = type(value).__name__
        raise RowRefused(f"the field {name} holds a {kind} that JSON cannot keep") from None


def row_digest(columns: Mapping[str, Any]) -> str:
    """The digest of a normal row: SHA-256 of its canonical JSON, each value under its kind, bytes
    as their own digest. It does not depend on the order of columns."""
    return sha256_json({name: _digest_form(value) for name, value in columns.items()})


def input_digest(columns: Mapping[str, Any]) -> str:
    """The digest of a normal row without its label and rejected answer."""
    return row_digest({name: one for name, one in columns.items() if name not in ANSWER_COLUMNS})


def _digest_form(value: Any) -> dict[str, Any]:
    kind = kind_of(value)
    return {kind.value: sha256_bytes(value) if kind is Kind.BYTES else value}


def content_digest(row_digests: Iterable[str]) -> str:
    """The digest of a whole version: over its sorted row digests, so neither the order of rows nor
    the files they lie in matter."""
    text = "dizuo dataset 1\n" + "\n".join(sorted(row_digests))
    return sha256_bytes(text.encode())


def to_wire(columns: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON, bytes as `{"base64": "…"}`."""
    return {
        name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in columns.items()
    }


def from_wire(columns: Mapping[str, Any]) -> dict[str, Any]:
    """A row from JSON: a value `{"base64": "…"}` becomes bytes.

    Raises:
        RowRefused: a value is not base64.
    """
    return {name: _from_base64(name, value) for name, value in columns.items()}


def _from_base64(name: str, value: Any) -> Any:
    if not (isinstance(value, dict) and value.keys() == {"base64"}):
        return value
    try:
        return base64.b64decode(value["base64"], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise RowRefused(f"the field {name} is not valid base64") from None
