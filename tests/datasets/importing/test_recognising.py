"""What a file is taken for before anybody has said it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.datasets.scene import base64_of, jsonl, parquet_of, png, tar_of, zip_of

from dizuo.datasets.importing.base import Format
from dizuo.datasets.importing.recognising import likely_family, likely_format

PICTURES = {".hidden": b"x", "7/a.png": png(1), "7/b.png": png(2)}
ROWS = jsonl({"text": "one", "label": "a"}, "nonsense")
CASES: list[tuple[str, bytes, Format | None, str]] = [
    ("a.zip", zip_of(PICTURES), Format.IMAGES, "vision"),
    ("a.tar", tar_of(PICTURES), Format.IMAGES, "vision"),
    ("a.tgz", tar_of(PICTURES, "w:gz"), Format.IMAGES, "vision"),
    ("a.zip", zip_of({**PICTURES, "t/rows.csv": b"a,b\n"}), Format.CSV, ""),
    ("A.JSONL", ROWS, Format.JSONL, "words"),
    ("a.ndjson", jsonl({"image": base64_of(png(1)), "label": 7}), Format.JSONL, "vision"),
    ("a.csv", b"text,label\none,a\n", Format.CSV, "words"),
    ("a.parquet", parquet_of({"prompt": ["one"], "label": ["a"]}), Format.PARQUET, "text"),
    ("a.parquet", b"nonsense", Format.PARQUET, ""),
    ("a.zip", b"PK\x03\x04 broken", None, ""),
    ("a.zip", zip_of({}), None, ""),
    ("a.pdf", b"%PDF-1.7", None, ""),
]


@pytest.mark.parametrize(("name", "data", "form", "family"), CASES)
def test_format_and_family_are_told(
    tmp_path: Path, name: str, data: bytes, form: Format | None, family: str
) -> None:
    path = tmp_path / "upload"
    path.write_bytes(data)
    assert likely_format(path, name) is form
    if form is not None:
        assert likely_family(path, form) == family
    assert [one.name for one in tmp_path.iterdir() if one.name == "unused"] == []
