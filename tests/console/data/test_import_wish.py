"""What is typed into the form of an import, and what it means."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.datasets.scene import jsonl, warehouse_in

from dizuo.console.data.import_wish import ShownWish, Wish, draft, faults, filled
from dizuo.database.engine import Database
from dizuo.datasets import service
from dizuo.datasets.model import Candidate, Draft, Mode
from dizuo.families import registry

UPLOAD = "sha256:" + "7" * 64
WHOLE = Wish(
    upload=UPLOAD,
    file="x.jsonl",
    name="tickets",
    format="jsonl",
    family="text",
    mode="append",
    holdout="20",
)


def with_(**changes: str) -> Wish:
    return Wish(**{**WHOLE.fields, **changes})


@pytest.fixture
def stocked(database: Database, tmp_path: Path) -> Database:
    """With one dataset, `tickets`, of the family text."""
    rows = [Candidate("line 1", {"prompt": "one", "label": "a"})]
    asked = Draft("tickets", "text", "1")
    service.add_version(warehouse_in(database, tmp_path), asked, rows, "operator:mei")
    return database


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, {}),
        ({"holdout": ""}, {}),
        ({"holdout": "12,5 %"}, {}),
        ({"holdout": "90"}, {}),
        ({"name": ""}, {"name": "data.no_name"}),
        ({"name": "Bad"}, {"name": "data.bad_name"}),
        ({"name": "a" * 59}, {"name": "data.bad_name"}),
        ({"name": "../x"}, {"name": "data.bad_name"}),
        ({"format": "xml"}, {"format": "data.bad_format"}),
        ({"family": "none"}, {"family": "data.bad_family"}),
        ({"family": "vision"}, {"family": "data.other_family"}),
        ({"mode": "both"}, {"mode": "data.bad_mode"}),
        ({"holdout": "91"}, {"holdout": "data.bad_holdout"}),
        ({"holdout": "-1"}, {"holdout": "data.bad_holdout"}),
        ({"holdout": "nan"}, {"holdout": "data.bad_holdout"}),
        ({"holdout": "1e1"}, {"holdout": "data.bad_holdout"}),
        ({"name": "x!", "holdout": "?"}, {"name": "data.bad_name", "holdout": "data.bad_holdout"}),
    ],
)
def test_each_field_is_told_what_is_wrong_with_it(
    stocked: Database, changes: dict[str, str], found: dict[str, str]
) -> None:
    with stocked.reading() as session:
        assert faults(with_(**changes), session, "default") == found


def test_a_dataset_of_another_project_is_not_told(stocked: Database) -> None:
    with stocked.reading() as session:
        assert faults(with_(family="vision"), session, "elsewhere") == {}


def test_it_becomes_the_draft_that_the_api_makes(stocked: Database) -> None:
    with stocked.reading() as session:
        asked = draft(with_(holdout="12,5%"), session, "default")
        assert (asked.name, asked.family, asked.mode) == ("tickets", "text", Mode.APPEND)
        assert asked.holdout == 0.125
        assert asked.origin == f"import:{UPLOAD}:jsonl:append:0.125:after:1"
        nameless = draft(with_(name="", holdout=""), session, "default")
        assert (nameless.name, nameless.holdout) == ("unnamed-777777777777", None)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("Meter Digits (2).zip", "meter-digits-2"),
        ("tickets.2026.jsonl", "tickets"),
        ("投诉.csv", ""),
        ("---.csv", ""),
        ("a" * 100 + ".csv", "a" * 58),
    ],
)
def test_a_name_is_suggested(stocked: Database, tmp_path: Path, file: str, name: str) -> None:
    path = tmp_path / "upload"
    path.write_bytes(jsonl({"prompt": "one", "label": "a"}))
    with stocked.reading() as session:
        found = filled(Wish(upload=UPLOAD, file=file), session, path, "default")
    assert found.name == name
    assert found.family in registry.family_packages()


def test_what_was_said_is_kept(stocked: Database, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(b"x")
    with stocked.reading() as session:
        assert filled(WHOLE, session, path, "default") == WHOLE
        kept = filled(with_(family=""), session, path, "default")
        assert kept.family == "text"


def test_its_address_says_all_of_it() -> None:
    wish = Wish(upload=UPLOAD, file="投诉 & more.csv", name=" Bad Name ", holdout="20%")
    said = parse_qs(urlsplit(wish.address(checked=1)).query)
    assert said["name"] == ["Bad Name"]
    assert said["file"] == ["投诉 & more.csv"]
    assert said["checked"] == ["1"]
    assert len(Wish(name="x" * 5000).name) == 200
    assert ShownWish(**wish.fields, checked="1", work="w").address() == wish.address()
