"""Imports in a real browser: dropped and chosen files, good, bad and nonsense."""

from __future__ import annotations

import base64
import json
import time

import httpx2
import pytest
from playwright.sync_api import FilePayload
from tests.console.browsing import Visitor
from tests.console.conftest import Place
from tests.console.data.data_scene import add, picture_zip, ticket, ticket_lines, warehouse
from tests.console.data.test_data import fits, signed_in, texts

from dizuo.core.digests import sha256_bytes
from dizuo.database.engine import Database
from dizuo.datasets import service
from dizuo.datasets.writing import locked

_DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const event = new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true});
    document.getElementById("drop").dispatchEvent(event);
  }
}"""


def drop(visitor: Visitor, name: str, data: bytes) -> None:
    """Drop a file made in the page onto the place for it."""
    visitor.page.evaluate(_DROP, [name, base64.b64encode(data).decode()])


def choose(visitor: Visitor, name: str, data: bytes) -> None:
    """Choose a file in the browser's own dialogue, opened by the keyboard."""
    file = FilePayload(name=name, mimeType="application/octet-stream", buffer=data)
    with visitor.page.expect_file_chooser() as opened:
        visitor.page.locator("#file").focus()
        visitor.page.keyboard.press("Enter")
    opened.value.set_files(file)


def arrived(visitor: Visitor) -> None:
    visitor.page.wait_for_url("**/data/import?*upload=sha256*")
    visitor.settle()


def figures(visitor: Visitor) -> dict[str, str]:
    """The preview's figures, once they are there."""
    visitor.page.locator(".figures.small").wait_for()
    names, values = texts(visitor, ".figure .name"), texts(visitor, ".figure .value")
    return dict(zip(names, values, strict=True))


def press(visitor: Visitor, text: str) -> None:
    visitor.page.locator("main button", has_text=text).click()


def names(database: Database) -> set[str]:
    with database.reading() as session:
        return {one.name for one in service.search(session, limit=1000)[0]}


def test_a_zip_of_pictures_is_dropped_looked_at_and_added(visitor: Visitor, place: Place) -> None:
    visitor.open("/data/import", "Import data")
    fits(visitor, "import-file")
    drop(visitor, "Meter Digits.zip", picture_zip(20))
    arrived(visitor)
    told = figures(visitor)
    assert (told["Rows in the file"], told["To add"], told["Cannot be used"]) == ("21", "20", "1")
    assert visitor.page.locator("#name").input_value() == "meter-digits"
    assert visitor.page.locator("#family").input_value() == "vision"
    assert visitor.page.locator("#format").input_value() == "images"
    drawn = "Array.from(document.querySelectorAll('.gallery img')).every(i => i.naturalWidth)"
    visitor.page.wait_for_function(drawn)
    assert "digits/0/notes.txt" in visitor.page.locator("main").inner_text()
    assert "meter-digits" not in names(place.database)
    fits(visitor, "import-preview")
    press(visitor, "Add to the dataset")
    visitor.page.locator("h2", has_text="Added").wait_for()
    assert "20 rows taken, 0 were there already, 1 not taken." in texts(visitor, "main p")
    fits(visitor, "import-added")
    visitor.page.locator("a", has_text="1 not taken, and why").click()
    visitor.page.wait_for_url("**/data/meter-digits/1/rejects")
    visitor.page.locator("th", has_text="digits/0/notes.txt").wait_for()
    visitor.page.go_back()
    visitor.page.locator("a", has_text="meter-digits@1").click()
    visitor.page.wait_for_url("**/data/meter-digits/1")


def test_json_lines_are_chosen_by_keyboard_and_bad_fields_lose_nothing(visitor: Visitor) -> None:
    visitor.open("/data/import", "Import data")
    choose(visitor, "投诉.jsonl", ticket_lines(60))
    arrived(visitor)
    assert figures(visitor)["To add"] == "60"
    assert visitor.page.locator("#name").input_value() == ""
    assert texts(visitor, ".field-error") == []
    visitor.page.locator("#name").fill("Bad Name!")
    visitor.page.locator("#holdout").fill("ninety")
    visitor.page.locator("#mode").select_option("replace")
    press(visitor, "Add to the dataset")
    visitor.page.locator("#name-error").wait_for()
    assert "Use small letters" in visitor.page.locator("#name-error").inner_text()
    assert "from 0 to 90" in visitor.page.locator("#holdout-error").inner_text()
    assert visitor.page.locator("#name").input_value() == "Bad Name!"
    assert visitor.page.locator("#holdout").input_value() == "ninety"
    assert visitor.page.locator("#mode").input_value() == "replace"
    fits(visitor, "import-errors")
    visitor.page.locator("#name").fill("complaints")
    visitor.page.locator("#holdout").fill("20%")
    press(visitor, "Look again")
    visitor.page.wait_for_url("**name=complaints*")
    assert int(figures(visitor)["To hold out"]) > 0
    visitor.page.locator("#holdout").focus()
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("h2", has_text="Added").wait_for()
    versions = texts(visitor, "tbody th")
    assert versions[:2] == ["complaints@1", "complaints-test@1"]


def test_the_same_again_changes_nothing(visitor: Visitor, place: Place) -> None:
    add(place, "again", "text", [ticket(number) for number in range(10)])
    visitor.open("/data/import?name=again", "Import data")
    drop(visitor, "x.jsonl", b"".join(json.dumps(ticket(n)).encode() + b"\n" for n in range(10)))
    arrived(visitor)
    assert visitor.page.locator("#name").input_value() == "again"
    assert figures(visitor)["There already"] == "10"
    press(visitor, "Add to the dataset")
    visitor.page.locator("h2", has_text="Everything was there already").wait_for()
    with place.database.reading() as session:
        assert service.newest(session, "again") == 1


def test_a_dataset_of_another_family_is_told_at_its_field(visitor: Visitor, place: Place) -> None:
    add(place, "of-text", "text", [ticket(1)])
    visitor.open("/data/import", "Import data")
    drop(visitor, "of-text.zip", picture_zip(3))
    arrived(visitor)
    assert visitor.page.locator("#family").input_value() == "text"
    visitor.page.locator("#family").select_option("vision")
    press(visitor, "Add to the dataset")
    visitor.page.locator("#family-error").wait_for()
    with place.database.reading() as session:
        assert service.newest(session, "of-text") == 1


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("nonsense.jsonl", b"\x00\xff nonsense \n" * 5, "No row of this file can be used"),
        ("table.parquet", b"PAR1 nonsense", "not a Parquet file"),
        ("folder.zip", picture_zip(3)[:300] + b"0" * 50, "The zip file is broken"),
        ("empty-header.csv", b"\n,,\n", "not a header"),
    ],
)
def test_nonsense_is_told_and_changes_nothing(
    visitor: Visitor, place: Place, name: str, data: bytes, sentence: str
) -> None:
    before = names(place.database)
    visitor.open("/data/import", "Import data")
    drop(visitor, name, data)
    arrived(visitor)
    if visitor.page.locator("#format").input_value() == "":
        assert "cannot be told" in visitor.page.locator("#format-error").inner_text()
        visitor.page.locator("#format").select_option("images")
        press(visitor, "Look again")
    visitor.page.locator(".notice.bad", has_text=sentence).wait_for()
    press(visitor, "Add to the dataset")
    visitor.page.locator("h2", has_text="Nothing was added").wait_for()
    visitor.page.locator("a", has_text="Back to the form").click()
    visitor.page.locator("#name").wait_for()
    assert visitor.page.locator("#name").input_value() == name.partition(".")[0]
    assert names(place.database) == before


def test_what_is_no_single_file_is_told(visitor: Visitor, place: Place) -> None:
    visitor.open("/data/import", "Import data")
    drop(visitor, "empty.jsonl", b"")
    alert = visitor.page.locator("#drop [role=alert]")
    visitor.page.locator("#drop [role=alert]", has_text="The upload is empty").wait_for()
    visitor.faults.clear()  # the browser itself notes the refusal
    two = "() => { const t = new DataTransfer(); for (const n of ['a', 'b'])"
    two += " t.items.add(new File(['x'], n)); document.getElementById('drop').dispatchEvent("
    two += "new DragEvent('drop', {dataTransfer: t, bubbles: true, cancelable: true})); }"
    visitor.page.evaluate(two)
    assert "one file at a time" in alert.inner_text()
    assert visitor.page.evaluate("document.activeElement.id") == "file"
    assert not list((place.home / "uploads").glob("*.part"))


def test_a_cancelled_upload_leaves_nothing(visitor: Visitor, place: Place) -> None:
    visitor.open("/data/import", "Import data")
    session = visitor.context.new_cdp_session(visitor.page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    session.send("Network.emulateNetworkConditions", slow)
    drop(visitor, "large.jsonl", b"x" * 4_000_000)
    cancel = visitor.page.locator("#drop [data-part=cancel]")
    cancel.wait_for()
    assert visitor.page.evaluate("document.activeElement.dataset.part") == "cancel"
    assert "Sending large.jsonl" in visitor.page.locator("#drop [role=status]").inner_text()
    visitor.page.keyboard.press("Enter")
    visitor.page.locator("#drop [role=alert]", has_text="Cancelled").wait_for()
    parts = place.home / "uploads"
    deadline = time.monotonic() + 30
    while list(parts.glob("*.part")):  # the hub hears of it a moment later
        assert time.monotonic() < deadline
        visitor.page.wait_for_timeout(20)
    assert not (place.home / "uploads" / sha256_bytes(b"x" * 4_000_000)[7:]).exists()


def test_an_import_that_is_stopped_leaves_nothing(visitor: Visitor, place: Place) -> None:
    """Another writer holds the dataset, so the import waits until it is stopped."""
    with locked((warehouse(place).place("default", "stopped"),)):
        visitor.open("/data/import", "Import data")
        drop(visitor, "stopped.jsonl", ticket_lines(30, start=900))
        arrived(visitor)
        assert figures(visitor)["To add"] == "30"
        press(visitor, "Add to the dataset")
        visitor.page.locator("h2", has_text="Adding to stopped").wait_for()
        fits(visitor, "import-adding")
        under_way = visitor.page.url
        press(visitor, "Stop")
        visitor.page.locator("#name").wait_for()
        assert visitor.page.locator("#name").input_value() == "stopped"
    visitor.page.goto(under_way)
    visitor.page.locator("h2", has_text="Nothing was added").wait_for()
    assert "The import was stopped" in visitor.page.locator("[role=alert]").inner_text()
    assert "stopped" not in names(place.database)


def test_uploads_and_additions_need_a_builder(place: Place) -> None:
    reader, builder = signed_in(place, "rui"), signed_in(place, "bo")
    at = f"{place.url}/data/import"
    refused = httpx2.put(f"{at}/upload", content=b"x", headers=reader)
    assert refused.status_code == 403
    assert "builder" in refused.json()["message"]
    sent = httpx2.put(f"{at}/upload", content=ticket_lines(3, start=500), headers=builder)
    assert sent.status_code == 201
    fields = {"upload": sent.json()["digest"], "name": "by-reader", "format": "jsonl"}
    fields |= {"family": "text", "mode": "append"}
    httpx2.post(f"{at}/add", data=fields, headers=reader)
    assert "by-reader" not in names(place.database)
    foreign = builder | {"Origin": "https://elsewhere.example"}
    assert httpx2.post(f"{at}/add", data=fields, headers=foreign).status_code == 403
    assert httpx2.put(f"{at}/upload", content=b"x").status_code in (401, 403)


@pytest.mark.parametrize("upload", ["nonsense", "sha256:" + "0" * 64])
def test_an_upload_that_is_gone_is_told(visitor: Visitor, upload: str) -> None:
    visitor.open(f"/data/import?upload={upload}&file=x.jsonl")
    assert visitor.page.locator("[role=alert]").inner_text()
    visitor.faults.clear()  # the browser itself notes the refusal


def test_an_import_that_nobody_remembers_shows_the_form(visitor: Visitor) -> None:
    visitor.open("/data/import", "Import data")
    drop(visitor, "later.jsonl", ticket_lines(3, start=700))
    arrived(visitor)
    visitor.page.goto(f"{visitor.page.url}&work=0190-unknown")
    visitor.page.locator(".notice", has_text="no longer knows").wait_for()
    assert figures(visitor)["To add"] == "3"
