"""What may need care: sites that are silent or fell back, signatures, room on the disk."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, address, badge, facts, join, link, panel, tag
from dizuo.console.elements.telling import exactly, num_bytes, number
from dizuo.console.messages import Words
from dizuo.console.overview.figures import Disk
from dizuo.edge.site_machine import FALLEN_BACK
from dizuo.releases.errors import KeysMissing, RepositoryDamaged
from dizuo.releases.repository import Repository
from dizuo.sites.model import SiteCounts

SOON_MS = 30 * 24 * 3_600_000
"""How long before signatures expire somebody is told to renew them."""
_OFFLINE_ROLES = ("root", "targets")
"""Those that the hub cannot sign again by itself."""


@dataclass(frozen=True, slots=True)
class Signing:
    """Until when sites trust what the hub's offline keys signed; None where nothing is signed, or
    it `is_damaged`. The hub should have signed the `overdue` roles again by itself."""

    until_ms: int | None
    is_damaged: bool = False
    overdue: tuple[str, ...] = ()

    def is_short(self, now_ms: int) -> bool:
        """Whether that is soon, or over."""
        return self.until_ms is not None and self.until_ms - now_ms < SOON_MS


def signing_of(repository: Repository) -> Signing:
    """As the repository's newest metadata says."""
    try:
        expiries, overdue = repository.expiries_ms(), repository.overdue()
    except KeysMissing:
        return Signing(None)
    except RepositoryDamaged:
        return Signing(None, is_damaged=True)
    return Signing(min(expiries[role] for role in _OFFLINE_ROLES), overdue=overdue)


@dataclass(frozen=True, slots=True)
class Health:
    """What is looked at; `disk_line` is how much of the disk was free lately, drawn."""

    sites: SiteCounts
    signing: Signing
    disk: Disk
    disk_line: Markup = EMPTY


def health_panel(words: Words, health: Health, now_ms: int) -> Markup:
    """Each with a mark where it needs care."""
    sites = health.sites
    num_offline = sites.num_sites - sites.num_online
    num_fallen = sites.by_state.get(FALLEN_BACK, 0)
    rows = [
        (words("health.offline"), _count(num_offline, "offline", "warn")),
        (words("health.fallen_back"), _count(num_fallen, FALLEN_BACK, "bad")),
        (words("health.signing"), _signing(words, health.signing, now_ms)),
        (words("overview.disk"), join([_disk(words, health.disk), health.disk_line])),
    ]
    return panel(words("overview.health"), facts(rows))


def _count(number_of: int, state: str, tone: str) -> object:
    if not number_of:
        return badge("0", "good")
    return link(badge(number(number_of), tone), address("/sites", state=state))


def _signing(words: Words, signing: Signing, now_ms: int) -> object:
    if signing.is_damaged:
        return badge(words("health.damaged"), "bad")
    if signing.until_ms is None:
        return badge(words("health.no_keys"), "warn")
    if signing.overdue:
        late = badge(words("health.overdue", roles=", ".join(signing.overdue)), "bad")
        return join([late, tag("span", words("health.overdue_step"), class_="under")])
    if signing.is_short(now_ms):
        return badge(words("health.renew", command="dizuo keys renew"), "bad")
    return exactly(signing.until_ms)


def _disk(words: Words, disk: Disk) -> object:
    free = words(
        "health.free_of", free=num_bytes(disk.free_bytes), total=num_bytes(disk.total_bytes)
    )
    return badge(free, "bad") if disk.is_short else free
