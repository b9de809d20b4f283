"""A process that adds a version and stops, to be killed, at one moment of it.

Arguments: the database's URL, the hub's folder, the origin, and the moment: `reading` (in the
middle of the rows), `settle` (inside the last transaction) or a stage of its progress, `split`,
`write:<name>`, `tag:<name>`, `record`, `tidy`. It says `here` when it is there.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.datasets.scene import add, distinct_words, warehouse_in, words

from dizuo.core.progress import Progress
from dizuo.database.engine import Database
from dizuo.datasets.model import Candidate, Draft, Reject

NUM_ROWS = 40


def stop() -> None:
    print("here", flush=True)
    while True:
        signal.pause()


def draft_of(origin: str) -> Draft:
    return Draft("tickets", "words", origin, holdout=0.4)


def records_of(origin: str) -> list[Candidate | Reject]:
    """Other rows for each origin, a reject among them."""
    start = NUM_ROWS * int(origin)
    return [*words(*distinct_words(NUM_ROWS, start=start)), Reject("line 99", "a bad one")]


def main(url: str, home: str, origin: str, moment: str) -> None:
    database = Database(url)
    name, _, of = moment.partition(":")

    def report(progress: Progress) -> None:
        if progress.stage == name and progress.message.startswith(of):
            stop()

    def rows() -> Iterator[Candidate | Reject]:
        for number, record in enumerate(records_of(origin)):
            if moment == "reading" and number == NUM_ROWS // 2:
                stop()
            yield record

    def settle(*_: object) -> None:
        if moment == "settle":
            stop()

    warehouse = warehouse_in(database, Path(home))
    add(warehouse, draft_of(origin), rows(), report=report, settle=settle)


if __name__ == "__main__":
    main(*sys.argv[1:])
