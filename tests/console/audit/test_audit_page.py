"""The audit log in a real browser: found, linked, proved."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from sqlalchemy import update
from tests.console.approvals import decisions_scene
from tests.console.approvals.decisions_scene import OTHER
from tests.console.browsing import Visitor
from tests.console.conftest import Place

from dizuo.audit import service as audit
from dizuo.audit import store
from dizuo.audit.store import AuditRow


@pytest.fixture(scope="module", autouse=True)
def _scene(place: Place) -> None:
    decisions_scene.fill(place.database)
    with place.database.transaction() as session:
        for number in range(120):
            audit.record(session, "site:mill", "site.changed", "site:mill", {"generation": number})
        for _ in range(3):
            secret = f"site:{OTHER}-site"
            audit.record(session, secret, "site.changed", secret, project_id=OTHER)


def numbers(visitor: Visitor) -> list[int]:
    cells = visitor.page.locator("tbody th").all_inner_texts()
    return [int(cell) for cell in cells]


def test_pages_lead_to_older_entries_and_back(visitor: Visitor, place: Place) -> None:
    visitor.open("/audit", "Audit log")
    first = numbers(visitor)
    assert len(first) == 50
    assert first == sorted(first, reverse=True)
    visitor.page.get_by_role("link", name="Older").click()
    visitor.settle()
    expect(visitor.page.locator("tbody th").first).not_to_have_text(str(first[0]))
    second = numbers(visitor)
    assert second[0] < first[-1]
    assert f"before={first[-1]}" in visitor.page.url
    visitor.page.get_by_role("link", name="Newer").click()
    expect(visitor.page.locator("tbody th").first).to_have_text(str(first[0]))
    assert numbers(visitor) == first


def test_entries_are_found_and_the_search_has_an_address(visitor: Visitor) -> None:
    visitor.open("/audit")
    visitor.page.get_by_label("Who").fill("lin")
    visitor.page.get_by_label("What happened").select_option("improvement.reject")
    visitor.page.get_by_label("To what").press("Enter")
    expect(visitor.page.locator("tbody tr")).to_have_count(1)
    row = visitor.page.locator("tbody tr")
    expect(row).to_contain_text("person:lin")
    expect(row).to_contain_text("Rejected by person:lin: wrong dataset")
    expect(row.locator("time").first).to_contain_text("ago")
    expect(row.locator("time").nth(1)).to_contain_text("UTC")
    assert "actor=lin" in visitor.page.url
    address = visitor.page.url
    row.locator("th a").click()
    expect(visitor.page.locator("h1")).to_contain_text("Entry ")
    expect(visitor.page.get_by_text("Digest of the one before it")).to_be_visible()
    assert visitor.unfit() == []
    assert visitor.overflow() == []
    visitor.page.goto(address)
    assert visitor.page.get_by_label("Who").input_value() == "lin"
    visitor.open("/audit?actor=nobody")
    expect(visitor.page.get_by_text("No entry fits.")).to_be_visible()


def test_the_chain_is_proved_up_to_an_entry_and_digest(visitor: Visitor, place: Place) -> None:
    visitor.open("/audit", "Audit log")
    page = visitor.page
    earlier = page.get_by_label("Head of an earlier check")
    earlier.fill("not a digest")
    page.get_by_role("button", name="Verify").click()
    expect(page.get_by_text("A digest is sha256:")).to_be_visible()
    assert earlier.input_value() == "not a digest"
    with place.database.reading() as session:
        head = store.last(session)
    assert head is not None
    earlier.fill(head.digest)
    page.get_by_role("button", name="Verify").click()
    status = page.get_by_role("status")
    expect(status).to_contain_text(f"The log is whole: {head.sequence} entries hold.")
    expect(status).to_contain_text(head.digest)
    expect(status).to_contain_text("still in the log")
    assert visitor.unfit() == []
    assert visitor.overflow() == []


def test_what_was_changed_afterwards_is_found(visitor: Visitor, place: Place) -> None:
    with place.database.reading() as session:
        entry = store.newest(session, "default", 1)[0]
    where = AuditRow.sequence == entry.sequence
    with place.database.transaction() as session:
        session.execute(update(AuditRow).where(where).values(subject="stack:forged:1"))
    try:
        visitor.open("/audit")
        visitor.page.get_by_role("button", name="Verify").click()
        broken = f"The log is broken at entry {entry.sequence}"
        expect(visitor.page.get_by_role("status")).to_contain_text(broken)
        assert visitor.unfit() == []
    finally:
        with place.database.transaction() as session:
            session.execute(update(AuditRow).where(where).values(subject=entry.subject))


def test_entries_of_other_projects_are_not_there(visitor: Visitor, place: Place) -> None:
    with place.database.reading() as session:
        of_other = store.newest(session, OTHER, 1)[0]
    answer = visitor.page.goto(f"{place.url}/audit/{of_other.sequence}")
    assert answer is not None
    assert answer.status == 404
    assert OTHER not in visitor.page.content()
    visitor.faults.clear()  # the browser itself notes the 404
    visitor.open(f"/audit?actor=site:{OTHER}-site")
    expect(visitor.page.get_by_text("No entry fits.")).to_be_visible()
