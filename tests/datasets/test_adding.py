"""Adding versions: what is in them, what is refused, and that nothing is added twice."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import lance
import pytest
from tests.datasets.scene import ACTOR, add, distinct_words, folder_of, png, warehouse_in, words

from dizuo.audit import service as audit
from dizuo.audit import store as audit_store
from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress
from dizuo.database.engine import Database
from dizuo.datasets import columns, content, service, writing
from dizuo.datasets.adding import Warehouse
from dizuo.datasets.errors import (
    DatasetBusy,
    DatasetConflict,
    DatasetDamaged,
    DatasetMissing,
    DatasetUnwritable,
    PinRefused,
    SourceRefused,
)
from dizuo.datasets.importing.base import Format
from dizuo.datasets.model import Addition, Candidate, DatasetPin, Draft, Mode, Reject
from dizuo.datasets.table import (
    iterate_rows,
    read_chosen,
    read_digests,
    read_page,
    read_rows,
    read_sources,
)
from dizuo.datasets.writing import remove_orphans
from dizuo.families.errors import UnknownFamily

DRAFT = Draft("tickets", "words", "first")


def texts(pin: DatasetPin) -> list[str]:
    return sorted(row["text"] for row in read_rows(pin))


def test_a_first_version_holds_what_was_accepted(warehouse: Warehouse) -> None:
    records = [*words("abc", "def", "abc"), Reject("line 9", "no reason"), *words("", "abc")]
    records.append(Candidate("line 7", {"label": "a"}))
    addition = add(warehouse, DRAFT, records)
    version = addition.version
    assert (version.version, version.num_rows, version.num_added) == (1, 3, 3)
    assert (addition.num_accepted, addition.num_duplicates, addition.num_rejected) == (3, 2, 2)
    assert texts(version.pin) == ["", "abc", "def"]
    kept = service.read_rejects(version)
    assert kept == [Reject("line 9", "no reason"), Reject("line 7", "there is no text")]
    assert service.read_rejects(version, offset=1, limit=1) == kept[1:]
    assert addition.rejects == tuple(kept)
    assert not addition.version.uri.startswith(".")


def test_appending_adds_and_replacing_starts_anew(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc", "def")).version
    two = add(warehouse, replace(DRAFT, origin="2"), words("def", "ghi")).version
    three = add(warehouse, replace(DRAFT, origin="3", mode=Mode.REPLACE), words("xyz")).version
    four = add(warehouse, replace(DRAFT, origin="4"), words("abc")).version
    assert [v.version for v in (one, two, three, four)] == [1, 2, 3, 4]
    assert [v.parent_version for v in (one, two, three, four)] == [None, 1, None, 3]
    assert [texts(v.pin) for v in (one, two, three, four)] == [
        ["abc", "def"],
        ["abc", "def", "ghi"],
        ["xyz"],
        ["abc", "xyz"],
    ]
    assert (three.num_added, three.num_removed) == (1, 3)


def test_a_new_label_replaces_the_old_row_where_it_lies(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc", "def", label="old")).version
    two = add(warehouse, replace(DRAFT, origin="2"), words("abc", label="new")).version
    assert (two.num_rows, two.num_added, two.num_removed) == (2, 1, 1)
    assert {row["text"]: row["label"] for row in read_rows(two.pin)} == {"abc": "new", "def": "old"}
    assert {row["label"] for row in read_rows(one.pin)} == {"old"}


def test_contradicting_labels_in_one_addition_are_refused(warehouse: Warehouse) -> None:
    records = [*words("abc", label="x"), Candidate("line 2", {"text": "abc", "label": "y"})]
    addition = add(warehouse, DRAFT, records)
    assert addition.rejects == (
        Reject("line 2", "the same input came at line 1 with another label"),
    )


PAIR = {"prompt": "人民路积水", "label": {"类别": "排水"}, "rejected": "环境"}


def pairs(*rows: Mapping[str, Any]) -> list[Candidate | Reject]:
    return [Candidate(f"line {number}", row) for number, row in enumerate(rows, start=1)]


def test_rejected_answers_may_be_of_any_kind(warehouse: Warehouse) -> None:
    kinds: list[Any] = ["环境", {"类别": "照明"}, ["环境"], 5]
    rows = [{**PAIR, "prompt": f"{n}号", "rejected": one} for n, one in enumerate(kinds)]
    draft = Draft("pairs", "text", "1")
    one = add(warehouse, draft, pairs(*rows[:2])).version
    two = add(warehouse, replace(draft, origin="2"), pairs(*rows[2:])).version
    assert two.num_rows == 4
    found = {row["prompt"]: row["rejected"] for row in [*read_rows(one.pin), *read_rows(two.pin)]}
    assert found == {row["prompt"]: row["rejected"] for row in rows}


def test_a_rejected_answer_is_no_part_of_the_input(warehouse: Warehouse) -> None:
    draft = Draft("pairs", "text", "1")
    add(warehouse, draft, pairs({"prompt": PAIR["prompt"], "label": {"类别": "环境"}}))
    two = add(warehouse, replace(draft, origin="2"), pairs(PAIR)).version
    assert read_rows(two.pin) == [PAIR]
    other = {**PAIR, "rejected": "照明"}
    both = add(warehouse, Draft("more", "text", "3"), pairs(PAIR, other))
    assert [reject.reason for reject in both.rejects] == [
        "the same input came at line 1 with another label or rejected answer"
    ]


def test_tables_whose_inputs_had_rejected_answers_in_them_are_read_and_added_to(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they were written before: a column of their own, and two answers to one input."""
    rows = [PAIR, {**PAIR, "rejected": "照明"}, {"prompt": "路灯不亮", "label": {"类别": "照明"}}]
    draft = Draft("pairs", "text", "1")
    with monkeypatch.context() as before:
        before.setattr(columns, "REJECTED_COLUMN", "none")
        before.setattr(content, "ANSWER_COLUMNS", ("label",))
        one = add(warehouse, draft, pairs(*rows)).version
    assert one.num_rows == 3
    assert len(read_rows(one.pin)) == 3
    again = add(warehouse, replace(draft, origin="2"), pairs(*rows[:1]))
    assert (again.version, again.num_duplicates) == (one, 1)
    new = {"prompt": "噪音扰民", "label": {"类别": "环境"}, "rejected": "排水"}
    more = add(warehouse, replace(draft, origin="3"), pairs(rows[1], new)).version
    there = Counter(row["prompt"] for row in read_rows(more.pin))
    assert there == {PAIR["prompt"]: 2, "路灯不亮": 1, "噪音扰民": 1}


def test_the_digest_is_of_the_content_alone(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc", "def", "ghi")).version
    other = replace(DRAFT, name="other")
    add(warehouse, other, words("ghi"))
    two = add(warehouse, replace(other, origin="2"), words("def", "abc")).version
    assert one.digest == two.digest
    assert read_rows(one.pin) == read_rows(two.pin)


def test_one_origin_makes_one_version(warehouse: Warehouse) -> None:
    first = add(warehouse, DRAFT, [*words("abc"), Reject("line 2", "bad")])
    again = add(warehouse, DRAFT, words("something else"))
    assert again.version == first.version
    assert again.made == ()
    assert (again.num_accepted, again.num_rejected) == (1, 1)
    assert again.rejects == (Reject("line 2", "bad"),)


def test_an_origin_is_of_one_dataset_alone(warehouse: Warehouse) -> None:
    """Straight to the test under the same key before: that is another addition."""
    one = add(warehouse, DRAFT, words("abc")).version
    add(warehouse, replace(DRAFT, name="tickets-test", origin="2"), words("xyz"))
    two = add(warehouse, replace(DRAFT, origin="2", holdout=0.5), words(*distinct_words(20)))
    assert two.version.version == one.version + 1
    assert two.held_out is not None
    assert [version.version for version in two.made] == [2, 2]
    again = add(warehouse, replace(DRAFT, origin="2", holdout=0.5), words("other"))
    assert (again.version, again.held_out, again.made) == (two.version, two.held_out, ())


def test_adding_what_is_there_makes_no_version(warehouse: Warehouse) -> None:
    first = add(warehouse, DRAFT, words("abc", "def"))
    again = add(warehouse, replace(DRAFT, origin="other"), words("def", "abc"))
    assert (again.version, again.made, again.num_duplicates) == (first.version, (), 2)
    same = add(warehouse, replace(DRAFT, origin="x", mode=Mode.REPLACE), words("def", "abc"))
    assert (same.version, same.made) == (first.version, ())


def test_kinds_are_those_of_the_first_rows(warehouse: Warehouse) -> None:
    records = [
        Candidate("1", {"text": "abc", "label": "a", "weight": 1}),
        Candidate("2", {"text": "def", "label": "a", "weight": "heavy"}),
        Candidate("3", {"text": "ghi", "label": "a", "tags": ["x"], "source": "theirs"}),
        Candidate("4", {"text": "jkl", "label": 7}),
    ]
    one = add(warehouse, DRAFT, records)
    assert [reject.reason for reject in one.rejects] == [
        "the field weight holds text where the dataset holds number",
        "the field label holds number where the dataset holds text",
    ]
    later = [
        Candidate("1", {"text": "mno", "label": "a", "weight": [1], "new": b"bytes"}),
        Candidate("2", {"text": "pqr", "label": "a", "new": {"base64": "?"}}),
    ]
    two = add(warehouse, replace(DRAFT, origin="2"), later)
    assert len(two.rejects) == 1
    rows = {row["text"]: row for row in read_rows(two.version.pin)}
    assert rows["ghi"] == {"text": "ghi", "label": "a", "tags": ["x"], "source": "theirs"}
    assert rows["pqr"]["new"] == {"base64": "?"}


def test_many_rows_go_through_in_batches(warehouse: Warehouse) -> None:
    events: list[Progress] = []
    many = distinct_words(1100)
    version = add(warehouse, DRAFT, words(*many), report=events.append).version
    assert texts(version.pin) == sorted(many)
    assert [event.done for event in events if event.stage == "read"] == [500, 1000]
    assert [event.stage for event in events][2:] == ["split", "write", "tag", "record", "tidy"]
    page = read_page(version.pin, 1098, 10)
    assert [row.source for row in page] == ["line 1099", "line 1100"]
    assert read_sources(version.pin)[1098:] == ["line 1099", "line 1100"]


def test_chosen_rows_are_found_by_their_digests(warehouse: Warehouse) -> None:
    version = add(warehouse, DRAFT, words(*distinct_words(200))).version
    wanted = {row.row_digest: row for row in read_page(version.pin, 70, 3)}
    absent = "sha256:" + "0" * 64
    assert read_chosen(version.pin, [*wanted, absent]) == wanted
    assert read_chosen(version.pin, []) == {}
    with pytest.raises(InvalidInput):
        read_chosen(version.pin, ["' OR 1=1 --"])


def test_large_rows_are_written_in_small_batches(warehouse: Warehouse) -> None:
    large = [character * 8_000_000 for character in "abcdef"]
    version = add(warehouse, DRAFT, words(*large)).version
    assert texts(version.pin) == large


def test_holding_out_never_leaks_and_is_stable(warehouse: Warehouse) -> None:
    draft = replace(DRAFT, holdout=0.3)
    many = distinct_words(120)
    anagrams = [text[::-1] for text in many[:40]]
    one = add(warehouse, draft, words(*many[:80]))
    assert one.held_out is not None
    assert [v.name for v in one.made] == ["tickets", "tickets-test"]
    two = add(warehouse, replace(draft, origin="2", holdout=None), words(*many[60:], *anagrams))
    assert two.held_out is not None
    assert set(texts(one.version.pin)) <= set(texts(two.version.pin))
    assert set(texts(one.held_out.pin)) <= set(texts(two.held_out.pin))
    assert two.version.num_rows + two.held_out.num_rows == 160
    overlap = service.overlaps(two.version.pin, two.held_out.pin, service_spec())
    assert overlap.clean
    assert any(text in texts(two.held_out.pin) for text in anagrams)


def service_spec() -> Any:
    from dizuo.families import registry

    return registry.spec("words")


def test_a_relabelled_held_out_row_stays_held_out(warehouse: Warehouse) -> None:
    draft = replace(DRAFT, holdout=0.5)
    one = add(warehouse, draft, words(*distinct_words(20)))
    assert one.held_out is not None
    [text, *_] = texts(one.held_out.pin)
    two = add(warehouse, replace(draft, origin="2"), words(text, label="new"))
    assert two.held_out is not None
    assert [v.name for v in two.made] == ["tickets-test"]
    assert two.version == one.version
    labels = {row["text"]: row["label"] for row in read_rows(two.held_out.pin)}
    assert labels[text] == "new"
    assert add(warehouse, replace(draft, origin="2"), words("ignored")).held_out == two.held_out


def test_a_row_between_training_and_held_out_rows_is_refused(warehouse: Warehouse) -> None:
    add(warehouse, DRAFT, words("a" * 30 + "b" * 29))
    add(warehouse, replace(DRAFT, name="tickets-test"), words("a" * 29 + "b" * 32))
    between = add(
        warehouse, replace(DRAFT, origin="2", holdout=0.5), words("a" * 30 + "b" * 30, "z")
    )
    assert [reject.reason for reject in between.rejects] == [
        "it is near a training row and near a held-out row, so it can be in neither"
    ]
    assert between.num_rejected == 1


def test_replacing_replaces_the_held_out_rows_too(warehouse: Warehouse) -> None:
    draft = replace(DRAFT, holdout=0.5)
    add(warehouse, draft, words(*distinct_words(20)))
    kept = [t for t in distinct_words(200, start=100) if not _held_out(t)]
    two = add(warehouse, replace(draft, origin="2", mode=Mode.REPLACE), words(kept[0]))
    assert two.held_out is not None
    assert (two.version.num_rows, two.held_out.num_rows) == (1, 0)
    assert read_rows(two.held_out.pin) == []
    assert len(two.made) == 2


def _held_out(text: str) -> bool:
    from dizuo.datasets.content import input_digest
    from dizuo.datasets.split import held_out_by_hash

    return held_out_by_hash(input_digest({"text": text}), 0.5)


def test_if_everything_is_held_out_nothing_is_added(warehouse: Warehouse) -> None:
    held_out = [text for text in distinct_words(40) if _held_out(text)]
    with pytest.raises(SourceRefused, match="none is left to train on"):
        add(warehouse, replace(DRAFT, holdout=0.5), words(*held_out))
    assert not _names(warehouse)


def _names(warehouse: Warehouse) -> list[str]:
    with warehouse.database.reading() as session:
        return [summary.name for summary in service.listing(session)]


def test_a_real_family_works_the_same(warehouse: Warehouse, tmp_path: Path) -> None:
    files = {f"{seed % 3}/{seed}.png": png(seed) for seed in range(30)}
    folder = folder_of(tmp_path / "in", files | {"1/bad.png": b"GIF89a"})
    draft = Draft("digits", "vision", "one", holdout=0.3, source_name="folder")
    addition = service.import_file(warehouse, draft, folder, Format.IMAGES, ACTOR)
    assert addition.held_out is not None
    assert addition.version.num_rows + addition.held_out.num_rows == 30
    assert addition.rejects[0].place == "1/bad.png"
    rows = list(iterate_rows(addition.version.pin))
    assert {row.source.split("#")[0] for row in rows} == {"folder"}
    assert all(row.columns["image"].startswith(b"\x89PNG") for row in rows)


REFUSED: list[tuple[Draft, list[Candidate | Reject], type[Exception], str]] = [
    (DRAFT, [], SourceRefused, "There are no rows in the source"),
    (replace(DRAFT, source_name="a.jsonl"), [], SourceRefused, "There are no rows in a.jsonl"),
    (DRAFT, [Reject("line 1", "bad")], SourceRefused, "None of the 1 rows .* line 1: bad"),
    (replace(DRAFT, name="Bad Name"), words("a"), InvalidInput, "cannot be the name"),
    (replace(DRAFT, name="n" * 59), words("a"), InvalidInput, "cannot be the name"),
    (replace(DRAFT, name="../x"), words("a"), InvalidInput, "cannot be the name"),
    (replace(DRAFT, holdout=1.0), words("a"), InvalidInput, "share of 1.0"),
    (replace(DRAFT, holdout=-0.1), words("a"), InvalidInput, "share of -0.1"),
    (replace(DRAFT, family="none"), words("a"), UnknownFamily, "no family"),
]


@pytest.mark.parametrize(
    ("draft", "records", "error", "sentence"), REFUSED, ids=[case[3] for case in REFUSED]
)
def test_what_cannot_be_added_changes_nothing(
    warehouse: Warehouse,
    draft: Draft,
    records: list[Candidate | Reject],
    *,
    error: type[Exception],
    sentence: str,
) -> None:
    with pytest.raises(error, match=sentence):
        add(warehouse, draft, records)
    assert not _names(warehouse)
    left = [path for path in warehouse.root.rglob("*") if not path.name.endswith(".lock")]
    assert [path for path in left if path.is_file()] == []
    assert not any(path.name.endswith(".staging") for path in left)


def test_a_dataset_has_one_family(warehouse: Warehouse) -> None:
    add(warehouse, DRAFT, words("abc"))
    with pytest.raises(DatasetConflict, match="is of the family words, not vision"):
        add(warehouse, Draft("tickets", "vision", "2"), [])


def test_held_out_rows_must_fit_the_dataset_they_go_to(warehouse: Warehouse) -> None:
    many = distinct_words(30)
    add(
        warehouse,
        replace(DRAFT, name="tickets-test"),
        [Candidate("1", {"text": "zzz", "label": 7})],
    )
    with pytest.raises(DatasetConflict, match=r"held-out rows do not fit.*label holds text"):
        add(warehouse, replace(DRAFT, holdout=0.5), words(*many))
    assert _names(warehouse) == ["tickets-test"]
    assert add(warehouse, DRAFT, words(*many)).version.version == 1


def test_held_out_rows_take_the_form_of_the_dataset_they_go_to(warehouse: Warehouse) -> None:
    """The test has a column of its own for `weight`; the training data came without one."""
    heavy = [Candidate("1", {"text": "zzz", "label": "a", "weight": 2.5})]
    add(warehouse, replace(DRAFT, name="tickets-test"), heavy)
    many = distinct_words(300)
    addition = add(warehouse, replace(DRAFT, holdout=0.5), words(*many))
    assert addition.held_out is not None
    assert sorted(texts(addition.version.pin) + texts(addition.held_out.pin)) == sorted(
        [*many, "zzz"]
    )
    assert {"text": "zzz", "label": "a", "weight": 2.5} in read_rows(addition.held_out.pin)


def test_another_hub_that_was_faster_is_noticed(warehouse: Warehouse, tmp_path: Path) -> None:
    """Two hubs on one database whose folders do not share the lock."""
    other = warehouse_in(warehouse.database, tmp_path / "other")

    def let_the_other_win(event: Progress) -> None:
        if event.stage == "record":
            add(other, replace(DRAFT, origin="other"), words("theirs"))

    with pytest.raises(DatasetConflict, match="at the same time"):
        add(warehouse, DRAFT, words("mine"), report=let_the_other_win)
    with warehouse.database.reading() as session:
        [version] = service.versions(session, "tickets")
    assert texts(version.pin) == ["theirs"]


def test_digests_that_are_not_those_of_the_version_are_not_built_upon(
    warehouse: Warehouse,
) -> None:
    pin = add(warehouse, DRAFT, words("abc")).version.pin
    with pytest.raises(DatasetDamaged, match="not those that were pinned"):
        read_digests(replace(pin, digest="sha256:" + "0" * 64))


def test_a_table_that_cannot_be_cleaned_up_is_said_to_be(warehouse: Warehouse) -> None:
    version = add(warehouse, DRAFT, words("abc")).version
    place = warehouse.place("default", "tickets")
    for path in (Path(version.uri) / "_versions").iterdir():
        path.write_bytes(b"garbage")
    with pytest.raises(DatasetDamaged, match="cannot be cleaned up"):
        remove_orphans(place)
    remove_orphans(warehouse.place("default", "none"))


def test_a_version_whose_rejects_are_gone_has_none_to_show(warehouse: Warehouse) -> None:
    version = add(warehouse, DRAFT, [*words("abc"), Reject("line 2", "bad")]).version
    warehouse.place("default", "tickets").rejects(1).unlink()
    assert service.read_rejects(version) == []


def test_a_folder_that_cannot_be_written_is_said_plainly(database: Database, home: Path) -> None:
    warehouse = warehouse_in(database, home)
    place = warehouse.place("default", "tickets")
    place.table.parent.mkdir(parents=True)
    place.table.write_bytes(b"a file where the table should be")
    with pytest.raises(DatasetUnwritable, match="The dataset tickets cannot be written") as caught:
        add(warehouse, DRAFT, words("abc"))
    assert caught.value.retryable
    assert not _names(warehouse)
    place.table.unlink()
    assert add(warehouse, DRAFT, words("abc")).version.version == 1


def test_an_error_in_the_last_transaction_takes_everything_back(warehouse: Warehouse) -> None:
    class Interrupted(Exception):
        pass

    def fail(*_: object) -> None:
        raise Interrupted

    one = add(warehouse, DRAFT, words("abc")).version
    with pytest.raises(Interrupted):
        add(warehouse, replace(DRAFT, origin="2"), words("def"), settle=fail)
    with warehouse.database.reading() as session:
        assert service.versions(session, "tickets") == [one]
    two = add(warehouse, replace(DRAFT, origin="2"), words("ghi")).version
    assert texts(two.pin) == ["abc", "ghi"]
    tags = lance.dataset(two.uri).tags.list()
    assert set(tags) == {one.tag, two.tag}


def test_each_version_has_its_audit_entry(warehouse: Warehouse) -> None:
    add(warehouse, replace(DRAFT, holdout=0.5), words(*distinct_words(20)))
    with warehouse.database.reading() as session:
        entries = list(audit_store.stream(session))
        assert audit.verify(session).ok
    assert [(entry.actor, entry.action, entry.subject) for entry in entries] == [
        (ACTOR, "dataset.version_added", "dataset:tickets@1"),
        (ACTOR, "dataset.version_added", "dataset:tickets-test@1"),
    ]
    assert entries[0].detail["origin"] == "first"


def test_writers_at_once_take_turns(any_database: Database, home: Path) -> None:
    """Six threads, three origins, two of each: three versions, and no row is lost."""
    warehouse = warehouse_in(any_database, home)
    start = threading.Barrier(6)
    results: list[Addition] = []

    def work(number: int) -> None:
        draft = replace(DRAFT, origin=f"origin {number % 3}", holdout=0.4)
        start.wait(30)
        records = words(*distinct_words(10, start=10 * (number % 3)))
        results.append(add(warehouse, draft, records))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(results) == 6
    assert sum(bool(result.made) for result in results) == 3
    with any_database.reading() as session:
        versions = service.versions(session, "tickets")
        newest = service.pin(session, "tickets@latest", allow_latest=True)
        test = service.pin(session, "tickets-test", allow_latest=True)
        assert audit.verify(session).ok
    assert [version.version for version in versions] == [1, 2, 3]
    assert sorted(texts(newest) + texts(test)) == sorted(distinct_words(30))


def test_a_writer_waits_for_its_turn_but_not_for_ever(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "LOCK_SECONDS", 0.2)
    for held in ("tickets", "tickets-test"):
        with (
            writing.locked([warehouse.place("default", held)]),
            pytest.raises(DatasetBusy, match=f"addition to the dataset {held} is still") as caught,
        ):
            add(warehouse, DRAFT, words("abc"))
        assert caught.value.retryable
        assert not _names(warehouse)
    assert add(warehouse, DRAFT, words("abc")).version.version == 1


def test_pins_name_one_version(any_database: Database, home: Path) -> None:
    warehouse = warehouse_in(any_database, home)
    one = add(warehouse, DRAFT, words("abc")).version
    two = add(warehouse, replace(DRAFT, origin="2"), words("def")).version
    with any_database.reading() as session:
        pin = service.pin(session, "tickets@1")
        assert pin == service.pin(session, "default/tickets@1") == one.pin
        assert DatasetPin.from_dict(pin.as_dict()) == pin
        assert pin.ref == "tickets@1"
        assert service.pin(session, "tickets", allow_latest=True) == two.pin
        assert service.version_by_id(session, two.id) == two
        assert service.newest(session, "tickets") == 2
        assert service.newest(session, "none") == 0
        [summary] = service.listing(session)
        assert (summary.name, summary.num_versions, summary.latest) == ("tickets", 2, two)
        for text in ("tickets", "tickets@latest"):
            with pytest.raises(PinRefused, match="does not say which version"):
                service.pin(session, text)
        for text in ("", "tickets@0x1", "a/b/c@1", "Tickets@1", "tickets@-1", "../x@1"):
            with pytest.raises(PinRefused, match="does not name a dataset version"):
                service.pin(session, text)
        with pytest.raises(DatasetMissing, match="has no version 3") as caught:
            service.pin(session, "tickets@3")
        assert caught.value.next_step == "Its newest is tickets@2."
        for missing in ("none@1", "other/tickets@1"):
            with pytest.raises(DatasetMissing, match="There is no dataset"):
                service.pin(session, missing)
        with pytest.raises(DatasetMissing, match="with the id"):
            service.version_by_id(session, "none")


def test_a_hub_that_was_moved_finds_its_datasets(
    warehouse: Warehouse, database: Database, home: Path, tmp_path: Path
) -> None:
    one = add(warehouse, DRAFT, words("abc")).version
    moved = tmp_path / "moved"
    home.rename(moved)
    with pytest.raises(DatasetDamaged):
        read_rows(one.pin)
    elsewhere = warehouse_in(database, moved)
    with pytest.raises(DatasetConflict, match="lies at"):
        add(elsewhere, replace(DRAFT, origin="2"), words("def"))
    with database.transaction() as session:
        assert service.relocate(session, elsewhere.root, "hub") == 1
        assert service.relocate(session, elsewhere.root, "hub") == 0
        assert texts(service.pin(session, "tickets@1")) == ["abc"]
    assert add(elsewhere, replace(DRAFT, origin="2"), words("def")).version.version == 2


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.find(b"abc")
    data[at : at + 3] = b"xyz"
    path.write_bytes(bytes(data))


def test_what_was_tampered_with_is_not_read(warehouse: Warehouse) -> None:
    version = add(warehouse, DRAFT, words("abc", "def")).version
    digests = read_digests(version.pin)
    [data] = (Path(version.uri) / "data").iterdir()
    _flip(data)
    with pytest.raises(DatasetDamaged):
        read_rows(version.pin)
    with pytest.raises(DatasetDamaged):
        read_page(version.pin, 0, 10)
    with pytest.raises(DatasetDamaged):
        read_chosen(version.pin, list(digests.values()))


def _tampered_pins(pin: DatasetPin) -> Iterator[DatasetPin]:
    yield replace(pin, tag="v9-none")
    yield replace(pin, uri=pin.uri + ".gone")
    yield replace(pin, digest="sha256:" + "0" * 64)
    yield replace(pin, num_rows=pin.num_rows + 1)


def test_a_pin_that_does_not_fit_is_not_read(warehouse: Warehouse) -> None:
    pin = add(warehouse, DRAFT, words("abc", "def")).version.pin
    for wrong in _tampered_pins(pin):
        with pytest.raises(DatasetDamaged):
            read_rows(wrong)


def test_a_damaged_base_is_not_built_upon(warehouse: Warehouse) -> None:
    one = add(warehouse, DRAFT, words("abc")).version
    for path in (Path(one.uri) / "_refs" / "tags").iterdir():
        path.unlink()
    with pytest.raises(DatasetDamaged):
        add(warehouse, replace(DRAFT, origin="2"), words("def"))
    with warehouse.database.reading() as session:
        assert service.newest(session, "tickets") == 1


def test_the_newest_versions_of_a_family_are_what_recipes_choose_from(
    warehouse: Warehouse,
) -> None:
    for name, texts in (("a", "xyz"), ("b", "uvw"), ("a", "pqr")):
        add(warehouse, Draft(name, "words", texts), words(*texts))
    with warehouse.database.reading() as session:
        assert service.newest_refs(session, "words", limit=9) == ["a@2", "b@1", "a@1"]
        assert service.newest_refs(session, "words", limit=1) == ["a@2"]
        assert service.newest_refs(session, "text", limit=9) == []
        assert service.newest_refs(session, "words", limit=9, project_id="other") == []
