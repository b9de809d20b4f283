"""Data for the console's tests: datasets in a hub's own folder, and files to import."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.console.conftest import Place
from tests.datasets.scene import jsonl, png, zip_of

from dizuo.datasets import service
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.model import Candidate, DatasetPin, Draft, Mode, Reject

DEPARTMENTS = ("heating", "roads", "water")
TICKETS = (
    "The radiators of No. {n}, Zhongshan Road have been cold since Monday.",
    "A pit has opened in the road before house {n}.",
    "Block {n} has had brown water from the tap for three days.",
)


def ticket(number: int, label: str | None = None) -> dict[str, Any]:
    """A ticket that no other is near to, with its department and urgency as JSON."""
    words = " ".join(f"{(number + 1) * factor:x}" for factor in (7919, 104729, 1299709, 15485863))
    text = TICKETS[number % 3].format(n=number)
    department = label or DEPARTMENTS[number % 3]
    return {
        "prompt": f"{text} ({words})",
        "label": {"department": department, "urgent": number % 2 == 0},
    }


def warehouse(place: Place) -> Warehouse:
    """Where the hub keeps its datasets."""
    return Warehouse(place.database, service.root_of(place.home))


def add(
    place: Place,
    name: str,
    family: str,
    rows: Sequence[dict[str, Any] | Reject],
    *,
    project: str = "default",
    mode: Mode = Mode.APPEND,
    holdout: float | None = None,
) -> DatasetPin:
    """Add rows as an import does."""
    records = [
        row if isinstance(row, Reject) else Candidate(f"line {number}", row)
        for number, row in enumerate(rows, start=1)
    ]
    with place.database.reading() as session:
        newest = service.newest(session, name, project)
    draft = Draft(
        name, family, f"import:after:{newest}", mode, holdout, "upload:0123456789ab", project
    )
    return service.add_version(warehouse(place), draft, records, "operator:mei").version.pin


def pictures(place: Place, name: str, count: int) -> DatasetPin:
    """Small pictures of ten classes."""
    rows = [{"image": png(seed), "label": str(seed % 10)} for seed in range(count)]
    return add(place, name, "vision", rows)


def picture_zip(count: int, *, start: int = 1000) -> bytes:
    """A zip file of pictures in folders, one file of which is none."""
    files = {f"digits/{seed % 3}/{seed}.png": png(seed) for seed in range(start, start + count)}
    return zip_of({**files, "digits/0/notes.txt": b"no picture"})


def ticket_lines(count: int, *, start: int = 0) -> bytes:
    """Tickets as JSON lines, one line of which is nonsense."""
    return jsonl(*(ticket(number) for number in range(start, start + count)), "nonsense")
