"""What may need care, and how it is marked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.releases.stacks import HubClock

from dizuo.console.messages import Language, Words
from dizuo.console.overview.figures import Disk
from dizuo.console.overview.health import SOON_MS, Health, Signing, health_panel, signing_of
from dizuo.core.clock import now_ms
from dizuo.releases.keys import init_keys
from dizuo.releases.repository import Repository
from dizuo.sites.model import SiteCounts

WORDS = Words(Language.ENGLISH)
NOW = 1_800_000_000_000
FINE = SiteCounts({"serving": 3}, 3, 0)
ROOM = Disk(90, 100)
DAY_MS = 86_400_000


def test_signatures_are_good_until_the_first_of_those_that_take_a_person(tmp_path: Path) -> None:
    assert signing_of(Repository(tmp_path)) == Signing(None)
    init_keys(tmp_path)
    repository = Repository(tmp_path)
    expiries = repository.expiries_ms()
    found = signing_of(repository)
    assert found == Signing(min(expiries["root"], expiries["targets"]))
    assert found.until_ms is not None
    assert not found.is_short(now_ms())
    assert found.is_short(found.until_ms - SOON_MS + 1)
    for days, overdue in ((4.4, ()), (5, ("timestamp",)), (17, ("timestamp", "snapshot"))):
        late = Repository(tmp_path, clock=HubClock(int(days * DAY_MS)))
        assert signing_of(late) == Signing(found.until_ms, overdue=overdue)
    (tmp_path / "tuf" / "timestamp.json").write_text("{")
    assert signing_of(repository) == Signing(None, is_damaged=True)


@pytest.mark.parametrize(
    ("sites", "signing", "disk", "told"),
    [
        (FINE, Signing(NOW + 365 * DAY_MS), ROOM, []),
        (SiteCounts({"serving": 3}, 1, 0), Signing(NOW + 365 * DAY_MS), ROOM, ["state=offline"]),
        (
            SiteCounts({"serving": 1, "fallen_back": 2}, 3, 0),
            Signing(NOW + 365 * DAY_MS),
            ROOM,
            ["state=fallen_back"],
        ),
        (FINE, Signing(NOW + DAY_MS), ROOM, ["soon over: dizuo keys renew"]),
        (
            FINE,
            Signing(NOW + 365 * DAY_MS, overdue=("timestamp", "snapshot")),
            ROOM,
            ["not signed again in time: timestamp, snapshot", "keys/online"],
        ),
        (FINE, Signing(None), ROOM, ["no keys yet"]),
        (FINE, Signing(None, is_damaged=True), ROOM, ["the signed files are damaged"]),
        (FINE, Signing(NOW + 365 * DAY_MS), Disk(1, 100), ['badge-bad">1 B of 100 B free']),
    ],
)
def test_what_needs_care_is_marked(
    sites: SiteCounts, signing: Signing, disk: Disk, told: list[str]
) -> None:
    said = health_panel(WORDS, Health(sites, signing, disk), NOW)
    marks = ("state=offline", "state=fallen_back", "soon over", "no keys", "damaged", "badge-bad")
    assert all(one in said for one in told)
    assert any(mark in said for mark in marks) is bool(told)
