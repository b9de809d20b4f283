"""What the tests of this room build: warehouses, rows, samples, files."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from dizuo.database.engine import Database
from dizuo.datasets.adding import Warehouse, add_version
from dizuo.datasets.model import Addition, Candidate, Draft, Reject
from dizuo.datasets.service import root_of
from dizuo.edge import wire

ACTOR = "operator:ann"
STACK = "sha256:" + "5" * 64


def warehouse_in(database: Database, home: Path) -> Warehouse:
    return Warehouse(database, root_of(home))


def words(*texts: str, label: Any = "a") -> list[Candidate | Reject]:
    return [
        Candidate(f"line {number}", {"text": text, "label": label})
        for number, text in enumerate(texts, start=1)
    ]


def distinct_words(number: int, *, start: int = 0) -> list[str]:
    """Texts of which no two are near duplicates: each has three letters of its own weight."""
    alphabet = [chr(33 + i) for i in range(94)]
    found = []
    for index in range(start, start + number):
        first, rest = index % 94, index // 94
        second = (first + 1 + rest % 93) % 94
        found.append(alphabet[first] * 3 + alphabet[second] * 2)
    return found


def add(
    warehouse: Warehouse, draft: Draft, records: Iterable[Candidate | Reject], **options: Any
) -> Addition:
    return add_version(warehouse, draft, records, ACTOR, **options)


def png(seed: int, side: int = 12) -> bytes:
    """A picture like no other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def base64_of(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def jsonl(*rows: Mapping[str, Any] | str) -> bytes:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def parquet_of(table: Mapping[str, Sequence[Any]]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(dict(table)), stream)
    return stream.getvalue()


def tar_of(files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], mode: str = "w") -> bytes:
    """A tar file; names are written as they are, hostile ones too."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items() if isinstance(files, Mapping) else files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def zip_of(files: Mapping[str, bytes]) -> bytes:
    """A zip file; names are written as they are, hostile ones too."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def folder_of(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def sample(row: Mapping[str, Any], **changes: Any) -> wire.Sample:
    """A sample as a site sends it, of the `words` family unless told otherwise."""
    values: dict[str, Any] = {
        "family": "words",
        "served_as": "reader",
        "stack_digest": STACK,
        "row": dict(row),
        "answer": "a",
        "confidence": 0.5,
        "reason": "uncertain",
        "taken_ms": 1_000,
    }
    values |= changes
    values.setdefault("digest", wire.sample_digest(values["row"], values["stack_digest"]))
    return wire.Sample(**values)
