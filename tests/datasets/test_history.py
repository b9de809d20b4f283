"""Any history of additions against a plain dictionary that does the same."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.datasets.scene import add, distinct_words, warehouse_in, words

from dizuo.audit import service as audit
from dizuo.database.engine import Database, sqlite_url
from dizuo.database.tables import Row
from dizuo.datasets import service
from dizuo.datasets.content import content_digest, input_digest, row_digest
from dizuo.datasets.model import DatasetVersion, Draft, Mode
from dizuo.datasets.split import held_out_by_hash
from dizuo.datasets.table import read_rows

SHARE = 0.4
TEXTS = distinct_words(12)
TRAINING = [t for t in TEXTS if not held_out_by_hash(input_digest({"text": t}), SHARE)]
Content = dict[str, str]


def digest_of(content: Content) -> str:
    return content_digest(row_digest({"text": t, "label": label}) for t, label in content.items())


class History(RuleBasedStateMachine):
    """Text to label, for the dataset and for its held-out rows; no two texts are near."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        home = Path(self.folder.name)
        self.database = Database(sqlite_url(home / "test.db"))
        Row.metadata.create_all(self.database.engine)
        self.warehouse = warehouse_in(self.database, home)
        self.num_additions = 0
        self.train: Content = {}
        self.test: Content = {}
        self.history: dict[str, list[Content]] = {"t": [], "t-test": []}

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    def _add(self, texts: list[str], label: str, mode: Mode) -> None:
        self.num_additions += 1
        draft = Draft("t", "words", f"{self.num_additions}", mode, SHARE)
        records = words(*texts, label=label)
        addition = add(self.warehouse, draft, records)
        assert add(self.warehouse, draft, records).made == ()
        if mode is Mode.REPLACE:
            self.train, self.test = {}, {}
        for text in texts:
            out = held_out_by_hash(input_digest({"text": text}), SHARE)
            (self.test if out else self.train)[text] = label
        made = {version.name for version in addition.made}
        for name, content in (("t", self.train), ("t-test", self.test)):
            past = self.history[name]
            changed = content != past[-1] if past else bool(content)
            assert (name in made) == changed
            if changed:
                past.append(dict(content))

    @rule(
        texts=st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5), label=st.sampled_from("xy")
    )
    @precondition(lambda self: self.train)
    def append(self, texts: list[str], label: str) -> None:
        self._add(texts, label, Mode.APPEND)

    @rule(
        first=st.sampled_from(TRAINING),
        texts=st.lists(st.sampled_from(TEXTS), max_size=5),
        label=st.sampled_from("xy"),
    )
    def replace(self, first: str, texts: list[str], label: str) -> None:
        self._add([first, *texts], label, Mode.REPLACE)

    @invariant()
    def every_version_is_what_it_was(self) -> None:
        with self.database.reading() as session:
            assert audit.verify(session).ok
            known = [summary.name for summary in service.listing(session)]
            assert known == [name for name, past in self.history.items() if past]
            for name in known:
                versions = service.versions(session, name)
                assert [version.version for version in versions] == [
                    number + 1 for number in range(len(self.history[name]))
                ]
                for version, content in zip(versions, self.history[name], strict=True):
                    self._check(version, content)

    def _check(self, version: DatasetVersion, content: Content) -> None:
        assert version.digest == digest_of(content)
        rows = read_rows(version.pin)
        assert {row["text"]: row["label"] for row in rows} == content
        assert len(rows) == version.num_rows == len(content)

    @invariant()
    def diffs_add_up(self) -> None:
        past = self.history["t"]
        if len(past) < 2:
            return
        with self.database.reading() as session:
            old, new = (
                service.pin(session, f"t@{number}") for number in (len(past) - 1, len(past))
            )
        diff, before, after = service.diff(old, new), past[-2], past[-1]
        both = before.keys() & after.keys()
        assert diff.num_added == len(after.keys() - before.keys())
        assert diff.num_removed == len(before.keys() - after.keys())
        assert diff.num_relabelled == sum(before[text] != after[text] for text in both)
        assert diff.num_unchanged == sum(before[text] == after[text] for text in both)


TestHistory = History.TestCase
TestHistory.settings = settings(
    max_examples=8,
    stateful_step_count=6,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
