"""Bad datasets at `dizuo data add`: good rows are kept, each other row has its line; with nothing
left the addition is refused whole."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.door import ok
from tests.e2e.pictures import one_picture
from tests.e2e.refusals import RunningHub, refused, refused_by_a_process, refused_over_http

TEN_MEGABYTES = 10_000_000


def row(image: bytes = one_picture(1), label: Any = "tall") -> str:
    """One line of JSONL."""
    return json.dumps({"image": {"base64": base64.b64encode(image).decode()}, "label": label})


def lines(*rows: str) -> bytes:
    return "\n".join(rows).encode() + b"\n"


def packed(*members: tuple[str, bytes]) -> bytes:
    """A tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


# what is in the file beside one good row: the place and the reason of each reject
REJECTS: dict[str, tuple[bytes, list[tuple[str, str]]]] = {
    "a line that is not JSON": (lines(row(), "{nope"), [("line 2", "the line is not JSON")]),
    "a line that is a list": (lines("[1]", row()), [("line 1", "the line is not a JSON object")]),
    "a line that is not text": (
        lines(row()) + b"\xff\xfe\n",
        [("line 2", "the line is not UTF-8 text")],
    ),
    "an image that is not one": (
        lines(row(b"nope"), row(one_picture(2)[:60]), row()),
        [("line 1", "the image cannot be read"), ("line 2", "the image cannot be read")],
    ),
    "no image": (lines('{"label": "tall"}', row()), [("line 1", "there is no image")]),
    "a label that is none": (
        lines(row(), row(one_picture(3), "")),
        [("line 2", "the label is neither text nor a whole number")],
    ),
    "10 MB in an image": (
        lines(row(), row(one_picture(4) + bytes(TEN_MEGABYTES))),
        [("line 2", "the field image holds 10,000,")],
    ),
    "10 MB in a label": (
        lines(row(), row(one_picture(5), "x" * TEN_MEGABYTES)),
        [("line 2", "the field label holds 10,000,000 bytes")],
    ),
}


@pytest.mark.parametrize("case", REJECTS, ids=list(REJECTS))
def test_good_rows_are_kept_and_each_other_has_its_line(
    at_hub: RunningHub, tmp_path: Path, case: str
) -> None:
    content, expected = REJECTS[case]
    name = case.replace(" ", "-").lower()
    (tmp_path / "rows.jsonl").write_bytes(content)
    added = ok(
        "data", "add", name, str(tmp_path / "rows.jsonl"), "--family", "vision", "--json"
    ).json
    assert [version["num_rows"] for version in added["versions"]] == [1]
    assert added["num_rejected"] == len(expected)
    rejects = ok("data", "show", f"{name}@1", "--rejects", "--json").json["rejects"]
    assert [reject["place"] for reject in rejects] == [place for place, _ in expected]
    for reject, (_, reason) in zip(rejects, expected, strict=True):
        assert reject["reason"].startswith(reason)
    (said,) = [
        line
        for line in ok("data", "show", f"{name}@1", "--rejects").out.splitlines()
        if line.strip().startswith(f"{expected[0][0]}: ")
    ]
    assert expected[0][1] in said


def test_a_folder_with_files_that_are_no_pictures(at_hub: RunningHub, tmp_path: Path) -> None:
    files = {
        "tall/good.png": one_picture(1),
        "tall/text.png": b"hello",
        "tall/empty.png": b"",
        "tall/cut.png": one_picture(2)[:50],
        "loose.png": one_picture(3),
    }
    for name, data in files.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(data)
    added = ok(
        "data", "add", "folder", str(tmp_path / "folder"), "--family", "vision", "--json"
    ).json
    assert {reject["place"]: reject["reason"] for reject in added["rejects"]} == {
        "loose.png": "it lies in no folder that would name its label",
        "tall/cut.png": "the image cannot be read",
        "tall/empty.png": "the file is empty",
        "tall/text.png": "the image cannot be read",
    }
    assert added["num_accepted"] == 1


# the file's name, its content, flags: the code, what is said, the next step
REFUSED: dict[str, tuple[str, bytes, tuple[str, ...], str, str, str]] = {
    "no row that is JSON": (
        "rows.jsonl",
        b"{nope\n",
        (),
        "source_refused",
        "None of the 1 rows .* the first, at line 1: the line is not JSON",
        "nothing was changed",
    ),
    "no image that is one": (
        "rows.jsonl",
        lines(row(b"nope")),
        (),
        "source_refused",
        "at line 1: the image cannot be read",
        "nothing was changed",
    ),
    "an empty file": ("rows.jsonl", b"", (), "source_refused", "is empty", ""),
    "blank lines": (
        "rows.jsonl",
        b"\n\n",
        (),
        "source_refused",
        "There are no rows in",
        "right file",
    ),
    "only 10 MB in one field": (
        "rows.jsonl",
        lines(row(bytes(TEN_MEGABYTES))),
        (),
        "source_refused",
        "the field image holds 10,000,000 bytes; at most 8,388,608 are accepted",
        "",
    ),
    "only a line of 20 MB": (
        "rows.jsonl",
        b"x" * 2 * TEN_MEGABYTES,
        (),
        "source_refused",
        "the line is longer than 16,777,216 bytes",
        "",
    ),
    "a name that tells no format": (
        "rows.docx",
        b"x",
        (),
        "format_unknown",
        r"What rows\.docx holds cannot be told from its name",
        "--format: csv, images, jsonl",
    ),
    "an unknown format": (
        "rows.docx",
        b"x",
        ("--format", "docx"),
        "format_unknown",
        "There is no format 'docx'",
        "Use one of: csv, images, jsonl, parquet",
    ),
    "a table as pictures": (
        "rows.jsonl",
        lines(row()),
        ("--format", "images"),
        "source_refused",
        "What was sent is neither a folder nor a tar or zip file",
        "label/file.png",
    ),
    "a CSV without a header": (
        "rows.csv",
        b"\xff\xfe\x00",
        (),
        "source_refused",
        "The first line of the file is not a header of distinct column names",
        "image:path,label",
    ),
    "a Parquet file that is none": (
        "rows.parquet",
        b"PAR1nope",
        (),
        "source_refused",
        "is not a Parquet file that can be read to its end",
        "written whole",
    ),
    "a tar file that was cut": (
        "rows.tar",
        packed(("tall/a.png", one_picture(1)))[:600],
        (),
        "source_refused",
        "The tar file is broken or was cut off after 0 files",
        "Pack it again",
    ),
    "a tar file that leads out": (
        "rows.tar",
        packed(("../../../escaped/a.png", one_picture(1))),
        (),
        "source_refused",
        r"at \.\./\.\./\.\./escaped/a\.png: its path leads out of the folder",
        "",
    ),
    "a family that is not there": (
        "rows.jsonl",
        lines(row()),
        ("--family", "smell"),
        "unknown_family",
        "There is no family 'smell'",
        "Installed families: .*vision",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
def test_with_nothing_left_it_is_refused_whole(
    at_hub: RunningHub, tmp_path: Path, case: tuple[str, bytes, tuple[str, ...], str, str, str]
) -> None:
    name, content, flags, code, says, next_step = case
    (tmp_path / name).write_bytes(content)
    with at_hub.unchanged():
        told = refused("data", "add", "refused", str(tmp_path / name), "--family", "vision", *flags)
    told.matches(code, says, next_step)
    assert not list(at_hub.home.rglob("escaped"))


def test_a_refused_addition_leaves_the_version_before_it(
    at_hub: RunningHub, tmp_path: Path
) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"{nope\n")
    with at_hub.unchanged():
        refused("data", "add", "bars", str(tmp_path / "rows.jsonl"))
        refused("data", "add", "bars", str(tmp_path / "rows.jsonl"), "--replace")


def test_a_path_that_is_not_there_or_holds_nothing(at_hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with at_hub.unchanged():
        refused("data", "add", "x", str(tmp_path / "no.jsonl"), "--family", "vision").matches(
            "cannot_send", r"no\.jsonl cannot be read: No such file", "Check the path"
        )
        refused("data", "add", "x", str(tmp_path / "empty"), "--family", "vision").matches(
            "cannot_send", "There are no files in", "Check the path"
        )
        refused(
            "data", "add", "Bad Name", str(at_hub.home.parent / "bars"), "--family", "vision"
        ).matches("invalid_input", "'Bad Name' cannot be the name of a dataset", "small letters")


def test_an_archive_over_http_never_leads_out_of_its_folder(at_hub: RunningHub) -> None:
    good, bad = ("tall/good.png", one_picture(9)), one_picture(8)
    archive = packed(("../../../escaped/a.png", bad), ("/tmp/escaped/b.png", bad), good)
    with at_hub.http() as http:
        upload = http.put("/api/v1/uploads", content=archive).json()["digest"]
        body = {"upload": upload, "format": "images", "family": "vision"}
        added = http.post("/api/v1/datasets/from-a-tar/versions", json=body).json()
    assert added["num_accepted"] == 1
    assert [(reject["place"], reject["reason"]) for reject in added["rejects"]] == [
        ("../../../escaped/a.png", "its path leads out of the folder"),
        ("/tmp/escaped/b.png", "its path leads out of the folder"),
    ]
    assert not list(at_hub.home.parent.rglob("escaped"))
    assert not Path("/tmp/escaped").exists()


Body = Callable[[str], dict[str, Any]]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (lambda _: {"upload": "../../etc/passwd"}, 400, "'../../etc/passwd' is not a digest"),
        (lambda _: {"upload": "sha256:" + "0" * 64}, 404, "There is no upload sha256:000"),
        (lambda _: {"format": "docx"}, 400, r"wrong at body\.format"),
        (lambda _: {"holdout": 2}, 400, r"wrong at body\.holdout"),
        (lambda _: {"mode": "sideways"}, 400, r"wrong at body\.mode"),
        (lambda _: {"colour": "red"}, 400, r"wrong at body\.colour"),
    ],
)
def test_an_import_over_http_that_is_asked_for_wrongly(
    at_hub: RunningHub, body: Body, status: int, says: str
) -> None:
    with at_hub.http() as http:
        upload = http.put("/api/v1/uploads", content=lines(row())).json()["digest"]
        asked = {"upload": upload, "format": "jsonl", "family": "vision", **body(upload)}
        with at_hub.unchanged():
            answer = http.post("/api/v1/datasets/asked-wrongly/versions", json=asked)
    told = refused_over_http(answer, status)
    told.matches(told.code, says)


def test_as_a_shell_sees_it(at_hub: RunningHub, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"{nope\n")
    with at_hub.unchanged():
        said = refused_by_a_process(
            "data", "add", "x", str(tmp_path / "rows.jsonl"), "--family", "vision"
        )
    assert "at line 1: the line is not JSON." in said
