"""Every format, and what bad input of each gets."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.datasets.scene import base64_of, folder_of, jsonl, parquet_of, tar_of

from dizuo.datasets.content import MAX_FIELD_BYTES
from dizuo.datasets.errors import DatasetUnwritable, SourceRefused
from dizuo.datasets.importing import unpacking
from dizuo.datasets.importing.base import Format, read_source
from dizuo.datasets.importing.tables import MAX_LINE_BYTES
from dizuo.datasets.model import Candidate, Reject

COLUMNS = ("image", "label")
Read = Callable[[Path, Format], list[Candidate | Reject]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_all(path: Path, form: Format) -> list[Candidate | Reject]:
        return list(read_source(path, form, COLUMNS, tmp_path / "scratch"))

    return read_all


def file_of(folder: Path, data: bytes, name: str = "source") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_bytes(data)
    return path


def taken(records: list[Candidate | Reject]) -> list[tuple[str, dict[str, Any]]]:
    return [(r.place, dict(r.columns)) for r in records if isinstance(r, Candidate)]


def refused(records: list[Candidate | Reject]) -> list[tuple[str, str]]:
    return [(r.place, r.reason) for r in records if isinstance(r, Reject)]


def test_jsonl_lines_are_rows(read: Read, tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + jsonl(
        {"image": base64_of(b"one"), "label": "7", "size": 3, "tags": ["x"]}, "", {"label": "8"}
    )
    assert taken(read(file_of(tmp_path, data), Format.JSONL)) == [
        ("line 1", {"image": b"one", "label": "7", "size": 3, "tags": ["x"]}),
        ("line 3", {"label": "8"}),
    ]


LINES: list[tuple[bytes, str]] = [
    (b"nonsense", "the line is not JSON"),
    (b'{"image": ', "the line is not JSON"),
    (b"[1, 2]", "the line is not a JSON object"),
    (b'"text"', "the line is not a JSON object"),
    (b"\xff\xfe{}", "the line is not UTF-8 text"),
    (b"[" * 200_000, "the line is not JSON"),
    (b'{"x": ' + b"9" * 5000 + b"}", "the line is not JSON"),
    (b'{"image": {"base64": "?"}}', "the field image is not valid base64"),
    (b'{"image": {"path": "a.png"}}', "the field image names 'a.png', which is not beside"),
    (b'{"image": {"path": "../../etc/passwd"}}', "which is not beside the table"),
    (b'{"image": {"path": "/etc/passwd"}}', "which is not beside the table"),
    (b'{"image": {"path": 7}}', "which is not beside the table"),
    (b'{"x": "' + b"0" * MAX_LINE_BYTES + b'"}', "the line is longer than 16,777,216 bytes"),
]


@pytest.mark.parametrize(("line", "reason"), LINES, ids=[reason for _, reason in LINES])
def test_a_bad_line_is_refused_alone(read: Read, tmp_path: Path, line: bytes, reason: str) -> None:
    data = jsonl({"label": "1"}) + line + b"\n" + jsonl({"label": "3"})
    records = read(file_of(tmp_path, data), Format.JSONL)
    assert [place for place, _ in taken(records)] == ["line 1", "line 3"]
    [(place, why)] = refused(records)
    assert place == "line 2"
    assert reason in why


def test_csv_records_are_rows_of_text(read: Read, tmp_path: Path) -> None:
    data = 'label,note\n7,"two\nlines, one cell"\n\n8,\n'.encode("utf-8-sig")
    assert taken(read(file_of(tmp_path, data), Format.CSV)) == [
        ("line 2", {"label": "7", "note": "two\nlines, one cell"}),
        ("line 5", {"label": "8"}),
    ]


def test_a_csv_header_says_what_a_column_holds(read: Read, tmp_path: Path) -> None:
    table = b"image:path,thumb:base64,label\na/1.png,dGh1bWI=,7\nb.png,,8\nimage,?,9\n"
    folder = folder_of(tmp_path / "f", {"rows.csv": table, "a/1.png": b"one"})
    records = read(folder, Format.CSV)
    assert taken(records) == [("line 2", {"image": b"one", "thumb": b"thumb", "label": "7"})]
    assert refused(records) == [
        ("line 3", "the field image names 'b.png', which is not beside the table"),
        ("line 4", "the field image names 'image', which is not beside the table"),
    ]


CSV_ROWS: list[tuple[bytes, str]] = [
    (b"7", "it has 1 values where the header has 2"),
    (b"7,8,9", "it has 3 values where the header has 2"),
    (b"\xff,8", "the line is not UTF-8 text"),
    (b'"a"b,8', "the record is not CSV"),
    (b"0" * (MAX_LINE_BYTES + 1) + b",8", "the line is longer than"),
    (b'"' + b"0" * MAX_FIELD_BYTES + b"\n" + b"0" * MAX_FIELD_BYTES + b'",8', "not CSV"),
]


@pytest.mark.parametrize(("row", "reason"), CSV_ROWS, ids=[reason for _, reason in CSV_ROWS])
def test_a_bad_csv_record_is_refused_alone(
    read: Read, tmp_path: Path, row: bytes, reason: str
) -> None:
    data = b"label,note\n1,a\n" + row + b"\n3,c\n"
    records = read(file_of(tmp_path, data), Format.CSV)
    assert [columns["label"] for _, columns in taken(records)] == ["1", "3"]
    [(place, why)] = refused(records)
    assert place == "line 3"
    assert reason in why


def test_a_quote_that_never_closes_is_refused(read: Read, tmp_path: Path) -> None:
    records = read(file_of(tmp_path, b'label,note\n1,a\n2,"b\n3,c\n'), Format.CSV)
    assert len(taken(records)) == 1
    assert refused(records)[0][0] == "line 3"


@pytest.mark.parametrize("header", [b"", b"a,a", b"a,,b", b'"a', b"\xff,b", b"image:path,image"])
def test_a_csv_file_without_a_header_is_refused(read: Read, tmp_path: Path, header: bytes) -> None:
    with pytest.raises(SourceRefused, match="not a header of distinct column names"):
        read(file_of(tmp_path, header + b"\n1,2\n"), Format.CSV)


def test_parquet_rows_are_rows(read: Read, tmp_path: Path) -> None:
    images = [{"bytes": b"one", "path": "1.png"}, {"bytes": b"two", "path": None}]
    data = parquet_of({"image": images, "label": [7, None], "note": ["a", "b"]})
    assert taken(read(file_of(tmp_path, data), Format.PARQUET)) == [
        ("row 1", {"image": b"one", "label": 7, "note": "a"}),
        ("row 2", {"image": b"two", "label": None, "note": "b"}),
    ]


@pytest.mark.parametrize("cut", [4, 100, -5])
def test_a_parquet_file_that_was_cut_off_is_refused(read: Read, tmp_path: Path, cut: int) -> None:
    data = parquet_of({"label": [str(number) for number in range(1000)]})
    with pytest.raises(SourceRefused, match="not a Parquet file that can be read to its end"):
        read(file_of(tmp_path, data[:cut]), Format.PARQUET)


def test_a_parquet_file_with_a_broken_page_is_refused(read: Read, tmp_path: Path) -> None:
    data = bytearray(parquet_of({"label": [str(number) for number in range(1000)]}))
    data[20:60] = b"\xff" * 40
    with pytest.raises(SourceRefused, match="not a Parquet file"):
        read(file_of(tmp_path, bytes(data)), Format.PARQUET)


IMAGES = {"7/a.png": b"one", "deep/down/8/b.png": b"two"}


def test_a_folder_names_the_labels(read: Read, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "f", IMAGES | {".hidden/c.png": b"x", "7/.DS_Store": b"x"})
    assert taken(read(folder, Format.IMAGES)) == [
        ("7/a.png", {"image": b"one", "label": "7"}),
        ("deep/down/8/b.png", {"image": b"two", "label": "8"}),
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_file_is_read_as_its_folder(read: Read, tmp_path: Path, mode: str) -> None:
    names = {f"./{name}": data for name, data in IMAGES.items()}
    path = file_of(tmp_path, tar_of(names, mode))
    assert [place for place, _ in taken(read(path, Format.IMAGES))] == list(IMAGES)


def test_files_of_a_folder_that_cannot_be_rows_are_refused_by_name(
    read: Read, tmp_path: Path
) -> None:
    folder = folder_of(
        tmp_path / "f",
        IMAGES | {"a.png": b"x", "7/empty.png": b"", "7/large.png": b"0" * (MAX_FIELD_BYTES + 1)},
    )
    (folder / "7" / "link.png").symlink_to("/etc/passwd")
    os.mkfifo(folder / "7" / "pipe.png")
    records = read(folder, Format.IMAGES)
    assert len(taken(records)) == 2
    assert dict(refused(records)) == {
        "7/link.png": "it is not a regular file",
        "7/pipe.png": "it is not a regular file",
        "a.png": "it lies in no folder that would name its label",
        "7/empty.png": "the file is empty",
        "7/large.png": "it holds 8,388,609 bytes; at most 8,388,608 are accepted",
    }


def test_hostile_members_of_a_tar_file_are_refused_and_nothing_leaves_the_folder(
    read: Read, tmp_path: Path
) -> None:
    import tarfile

    stream = io.BytesIO(
        tar_of(
            [
                ("7/a.png", b"one"),
                ("../evil.png", b"x"),
                ("/abs/evil.png", b"x"),
                ("7/../../evil.png", b"x"),
                ("7/a.png", b"again"),
                ("7/large.png", b"0" * (MAX_FIELD_BYTES + 1)),
                (".cache/x.png", b"x"),
            ]
        )
    )
    with tarfile.open(fileobj=stream, mode="a") as archive:
        link = tarfile.TarInfo("7/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        folder = tarfile.TarInfo("8")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    records = read(file_of(tmp_path / "in", stream.getvalue()), Format.IMAGES)
    assert taken(records) == [("7/a.png", {"image": b"one", "label": "7"})]
    assert refused(records) == [
        ("../evil.png", "its path leads out of the folder"),
        ("/abs/evil.png", "its path leads out of the folder"),
        ("7/../../evil.png", "its path leads out of the folder"),
        ("7/a.png", "a file of this name came before"),
        ("7/large.png", "it holds 8,388,609 bytes; at most 8,388,608 are accepted"),
        ("7/link.png", "it is not a regular file"),
    ]
    assert not list(tmp_path.rglob("evil.png"))
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["0"]


def test_a_tar_file_that_was_cut_off_is_refused(read: Read, tmp_path: Path) -> None:
    whole = tar_of({f"7/{n}.png": os.urandom(3000) for n in range(20)}, "w:gz")
    with pytest.raises(SourceRefused, match=r"broken or was cut off after \d+ files"):
        read(file_of(tmp_path, whole[: len(whole) // 2]), Format.IMAGES)


@pytest.mark.parametrize(("limit", "value"), [("MAX_UNPACKED_BYTES", 450), ("MAX_FILES", 4)])
def test_a_tar_file_that_unpacks_to_too_much_is_refused(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    path = file_of(tmp_path, tar_of({f"7/{n}.png": b"x" * 100 for n in range(5)}))
    monkeypatch.setattr(unpacking, limit, value)
    with pytest.raises(SourceRefused, match="unpacks to more than"):
        read(path, Format.IMAGES)


def test_a_full_disk_while_unpacking_is_not_blamed_on_the_tar_file(
    read: Read, tmp_path: Path
) -> None:
    """The scratch folder cannot be written, or has no room; that is our trouble."""
    source = file_of(tmp_path, tar_of(IMAGES))
    (tmp_path / "scratch").write_bytes(b"a file where the folder should be")
    with pytest.raises(DatasetUnwritable, match="What was sent cannot be unpacked: File exists"):
        read(source, Format.IMAGES)


def test_no_room_while_unpacking_is_not_blamed_on_the_tar_file(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = file_of(tmp_path, tar_of(IMAGES))

    def open_full(_path: Path, mode: str, **_options: Any) -> Any:
        return open("/dev/full", "wb", buffering=0) if "x" in mode else open(_path, mode)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(DatasetUnwritable, match="cannot be unpacked: No space left") as caught:
        read(source, Format.IMAGES)
    assert caught.value.retryable


def test_a_source_that_goes_away_is_not_blamed_on_the_dataset(tmp_path: Path) -> None:
    line = jsonl({"label": "1"})
    folder = folder_of(tmp_path / "f", {"a.jsonl": line, "b.jsonl": line})
    rows = read_source(folder, Format.JSONL, ("image", "label"), tmp_path / "scratch")
    next(rows)
    (folder / "b.jsonl").unlink()
    with pytest.raises(SourceRefused, match="cannot be read to its end: No such file") as caught:
        list(rows)
    assert "Send it again" in caught.value.next_step


def test_a_table_in_a_tar_file_names_the_files_beside_it(read: Read, tmp_path: Path) -> None:
    rows = jsonl(
        {"image": {"path": "a/1.png"}, "label": "7"},
        {"image": "./a/2.png", "label": "a/1.png"},
        {"image": {"path": "a/large.png"}},
    )
    large = b"0" * (MAX_FIELD_BYTES + 1)
    files = {"rows.jsonl": rows, "a/1.png": b"one", "a/2.png": b"two"}
    folder = folder_of(tmp_path / "f", files | {"a/large.png": large})
    for source in (folder, file_of(tmp_path / "in", tar_of(files))):
        assert taken(read(source, Format.JSONL)) == [
            ("line 1", {"image": b"one", "label": "7"}),
            ("line 2", {"image": b"two", "label": "a/1.png"}),
        ]
    reason = "the field image holds 8,388,609 bytes; at most 8,388,608 are accepted"
    assert refused(read(folder, Format.JSONL)) == [("line 3", reason)]


def test_several_tables_are_told_apart(read: Read, tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "f", {"b.jsonl": jsonl({"label": "2"}), "a.jsonl": jsonl({"label": "1"})}
    )
    assert [place for place, _ in taken(read(folder, Format.JSONL))] == [
        "a.jsonl line 1",
        "b.jsonl line 1",
    ]


WHOLE: list[tuple[Callable[[Path], Path], Format, str]] = [
    (lambda folder: folder / "none.jsonl", Format.JSONL, "none.jsonl cannot be read"),
    (lambda folder: file_of(folder, b""), Format.JSONL, "The file source is empty"),
    (lambda folder: file_of(folder, b""), Format.IMAGES, "The file source is empty"),
    (lambda folder: file_of(folder, b"x"), Format.IMAGES, "neither a folder nor a tar or zip file"),
    (lambda folder: file_of(folder, b"x"), Format.PARQUET, "not a Parquet file"),
    (lambda folder: folder_of(folder, {}), Format.IMAGES, "There is no file in the folder"),
    (lambda folder: folder_of(folder, {"a.txt": b"x"}), Format.CSV, r"There is no \.csv file"),
]


@pytest.mark.parametrize(("make", "form", "sentence"), WHOLE, ids=[case[2] for case in WHOLE])
def test_a_source_that_is_not_one_is_refused_whole(
    read: Read, tmp_path: Path, make: Callable[[Path], Path], form: Format, sentence: str
) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceRefused, match=sentence):
        read(make(tmp_path / "in"), form)
