"""Fetching: what comes, what is resumed, and that a wrong byte never gets a name."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.artifacts.conftest import WEIGHT_BYTES, Family
from tests.artifacts.memory_source import (
    CHUNK_BYTES,
    Fault,
    MemorySource,
    corrupt,
    empty,
    endless,
    longer,
    shorter,
)

from dizuo.artifacts.errors import (
    BlobBusy,
    BlobCorrupt,
    FetchInterrupted,
    FetchTooSlow,
    NotInRegistry,
    StackRefused,
    TargetMissing,
)
from dizuo.artifacts.fetch import Fetched, FetchLimits, fetch_stack
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.manifests import MAX_DOCUMENT_BYTES
from dizuo.artifacts.model import Blob, Level, StackManifest
from dizuo.artifacts.partial import open_partial
from dizuo.artifacts.stacks import read_stack
from dizuo.core.digests import sha256_file
from dizuo.core.errors import DizuoError, InvalidInput, TooLarge
from dizuo.core.progress import Progress


@pytest.fixture
def site(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "site")


@pytest.fixture
def source(shared_family: Family) -> MemorySource:
    return MemorySource(shared_family.layout)


def onnx_of(family: Family, digest: str) -> StackManifest:
    return read_stack(family.layout, digest).targets["onnx"]


def base_weights(family: Family) -> Blob:
    """The largest blob: the only one of many chunks."""
    return max(onnx_of(family, family.base).blobs, key=lambda blob: blob.size_bytes)


def fetch(source: MemorySource, site: Layout, digest: str) -> Fetched:
    size = source.layout.path(digest).stat().st_size
    return fetch_stack(source, site, digest, size, "onnx")


def assert_every_name_is_right(site: Layout) -> None:
    for path in site.blob_directory.iterdir():
        assert sha256_file(path) == f"sha256:{path.name}"


def test_one_target_comes_whole_and_nothing_else(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    fetched = fetch(source, site, shared_family.scenario)

    expected = read_stack(shared_family.layout, shared_family.scenario, only=("onnx",))
    assert read_stack(site, shared_family.scenario, only=("onnx",)) == expected
    onnx = expected.targets["onnx"]
    documents = expected.size_bytes + onnx.manifest.size_bytes + onnx.config.size_bytes
    assert fetched.bytes_fetched == onnx.bytes_total + documents
    assert fetched.num_blobs == len(onnx.blobs) + 3
    assert len(list(site.blob_directory.iterdir())) == fetched.num_blobs
    assert list(site.partial_directory.iterdir()) == []
    assert_every_name_is_right(site)


def test_fetching_again_asks_for_nothing(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    fetch(source, site, shared_family.scenario)
    source.asked.clear()

    assert fetch(source, site, shared_family.scenario) == Fetched(0, 0)
    assert source.asked == []


def test_an_update_brings_only_the_new_layer(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    first = fetch(source, site, shared_family.industry)
    update = fetch(source, site, shared_family.scenario)

    onnx = onnx_of(shared_family, shared_family.scenario)
    documents = onnx.manifest.size_bytes + onnx.config.size_bytes
    index = shared_family.layout.path(shared_family.scenario).stat().st_size
    assert update.bytes_fetched == onnx.bytes_added + documents + index
    assert update.bytes_fetched * 10 < first.bytes_fetched


def test_a_cut_is_resumed_where_it_happened(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    source.cuts[blob.digest] = [CHUNK_BYTES, 2 * CHUNK_BYTES]

    fetched = fetch(source, site, shared_family.base)

    asked = [offset for digest, offset in source.asked if digest == blob.digest]
    assert asked == [0, CHUNK_BYTES, 3 * CHUNK_BYTES]
    index = shared_family.layout.path(shared_family.base).stat().st_size
    onnx = onnx_of(shared_family, shared_family.base)
    documents = index + onnx.manifest.size_bytes + onnx.config.size_bytes
    assert fetched.bytes_fetched == onnx.bytes_total + documents
    assert_every_name_is_right(site)


def test_what_arrived_before_the_source_went_away_is_kept_for_the_next_fetch(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    source.cuts[blob.digest] = [5 * CHUNK_BYTES, 0]
    with pytest.raises(FetchInterrupted):
        fetch(source, site, shared_family.base)
    assert not site.has(blob.digest)

    source.asked.clear()
    fetch(source, site, shared_family.base)

    assert (blob.digest, 5 * CHUNK_BYTES) in source.asked
    assert site.has(blob.digest)


def test_a_source_that_breaks_off_for_ever_is_left_after_some_tries(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    source.cuts[blob.digest] = [1] * 1000
    with pytest.raises(FetchInterrupted):
        fetch(source, site, shared_family.base)
    assert len(source.asked) < 30


def test_a_source_without_ranges_begins_again(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    source.cuts[blob.digest] = [CHUNK_BYTES, 0]
    with pytest.raises(FetchInterrupted):
        fetch(source, site, shared_family.base)
    source.knows_ranges = False

    fetched = fetch(source, site, shared_family.base)

    assert site.has(blob.digest)
    assert fetched.bytes_fetched >= blob.size_bytes
    assert_every_name_is_right(site)


def test_a_source_that_begins_elsewhere_is_left(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    source.claimed_offset = 7
    with pytest.raises(FetchInterrupted, match="somewhere else"):
        fetch(source, site, shared_family.base)


BLOB_FAULTS: list[tuple[str, Fault, type[DizuoError]]] = [
    ("cut", shorter, FetchInterrupted),
    ("empty", empty, FetchInterrupted),
    ("too long", longer, BlobCorrupt),
    ("endless", endless, BlobCorrupt),
    ("corrupt", corrupt, BlobCorrupt),
]


@pytest.mark.parametrize("case", BLOB_FAULTS, ids=lambda case: case[0])
@pytest.mark.parametrize("which", ["index", "manifest", "config", "weights"])
def test_a_faulty_source_never_gives_a_wrong_byte_a_name(
    shared_family: Family,
    source: MemorySource,
    site: Layout,
    which: str,
    case: tuple[str, Fault, type[DizuoError]],
) -> None:
    _, fault, error = case
    onnx = onnx_of(shared_family, shared_family.base)
    digest = {
        "index": shared_family.base,
        "manifest": onnx.manifest.digest,
        "config": onnx.config.digest,
        "weights": base_weights(shared_family).digest,
    }[which]
    source.faults[digest] = [fault] * 5

    with pytest.raises(error):
        fetch(source, site, shared_family.base)

    assert not site.has(digest)
    assert_every_name_is_right(site)
    source.faults.clear()
    fetch(source, site, shared_family.base)
    assert site.has(digest)
    assert_every_name_is_right(site)


def test_an_endless_source_is_stopped_at_the_size(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    source.faults[blob.digest] = [endless]
    events: list[Progress] = []
    size = shared_family.layout.path(shared_family.base).stat().st_size
    with pytest.raises(BlobCorrupt, match="more than"):
        fetch_stack(source, site, shared_family.base, size, "onnx", report=events.append)

    metrics = events[-1].metrics
    assert metrics is not None
    assert metrics["bytes_fetched"] < blob.size_bytes + 2 * CHUNK_BYTES + 10_000
    assert list(site.partial_directory.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: corrupt(data[:100_000]),
        lambda data: b"\0" * 100_000,
        lambda data: data + b"too long",
        lambda data: b"\0" * len(data),
        lambda data: data,
    ],
    ids=["a wrong bit", "zeros after a power cut", "too long", "full and wrong", "full and right"],
)
def test_what_an_earlier_attempt_left_is_never_trusted(
    shared_family: Family, source: MemorySource, site: Layout, damage: Callable[[bytes], bytes]
) -> None:
    blob = base_weights(shared_family)
    data = shared_family.layout.path(blob.digest).read_bytes()
    site.partial_directory.mkdir()
    (site.partial_directory / blob.digest.removeprefix("sha256:")).write_bytes(damage(data))

    fetch(source, site, shared_family.base)

    assert site.has(blob.digest)
    assert_every_name_is_right(site)


def test_a_source_whose_blob_ends_before_our_part_is_wrong(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    source.cuts[blob.digest] = [10 * CHUNK_BYTES, 0]
    with pytest.raises(FetchInterrupted):
        fetch(source, site, shared_family.base)
    source.faults[blob.digest] = [empty]
    with pytest.raises(BlobCorrupt, match="shorter"):
        fetch(source, site, shared_family.base)
    assert list(site.partial_directory.iterdir()) == []


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_sequence_of_faults_ends_in_the_right_bytes_or_an_error(
    shared_family: Family, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    source = MemorySource(shared_family.layout)
    onnx = onnx_of(shared_family, shared_family.base)
    digests = [shared_family.base, onnx.manifest.digest, base_weights(shared_family).digest]
    for digest in digests:
        kinds = st.sampled_from([shorter, longer, corrupt, empty, bytes])
        source.faults[digest] = data.draw(st.lists(kinds, max_size=3))
        source.cuts[digest] = data.draw(st.lists(st.integers(0, 300_000), max_size=3))
    site = Layout(tmp_path_factory.mktemp("site"))

    for _ in range(20):
        try:
            fetch(source, site, shared_family.base)
            break
        except (FetchInterrupted, BlobCorrupt):
            assert_every_name_is_right(site)

    assert_every_name_is_right(site)
    expected = read_stack(shared_family.layout, shared_family.base, only=("onnx",))
    assert read_stack(site, shared_family.base, only=("onnx",)) == expected


def test_a_damaged_document_in_the_layout_is_fetched_again(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    fetch(source, site, shared_family.base)
    path = site.path(shared_family.base)
    data = corrupt(path.read_bytes())
    path.chmod(0o644)
    path.write_bytes(data)

    fetched = fetch(source, site, shared_family.base)

    assert fetched.num_blobs == 1
    assert_every_name_is_right(site)


def test_a_blob_that_another_process_is_fetching_is_left_to_it(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    site.partial_directory.mkdir()
    path = site.partial_directory / blob.digest.removeprefix("sha256:")
    with path.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BlobBusy):
            fetch(source, site, shared_family.base)
    fetch(source, site, shared_family.base)
    assert site.has(blob.digest)


def test_a_partial_file_that_just_became_a_blob_is_not_written_to(site: Layout) -> None:
    blob = site.put_bytes(b"finished")
    with open_partial(site, blob) as partial:
        partial.write(b"finished")
        partial.adopt()
        # The holder's lock is now on the finished blob; whoever comes gets a file of its own.
        with open_partial(site, blob) as other:
            assert other.num_bytes == 0
    assert site.read(blob.digest) == b"finished"


def test_progress_counts_missing_bytes_up_to_the_total(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    events: list[Progress] = []
    blob = base_weights(shared_family)
    source.cuts[blob.digest] = [3 * CHUNK_BYTES, 4 * CHUNK_BYTES]
    size = shared_family.layout.path(shared_family.base).stat().st_size

    fetched = fetch_stack(source, site, shared_family.base, size, "onnx", report=events.append)

    done = [event.done for event in events]
    onnx = onnx_of(shared_family, shared_family.base)
    assert done == sorted(done)
    assert len(done) > 5
    assert {event.stage for event in events} == {"fetch"}
    assert events[-1].done == events[-1].total == onnx.bytes_total + onnx.config.size_bytes
    assert events[-1].metrics == {"bytes_fetched": float(fetched.bytes_fetched)}


def test_a_slow_drip_is_bounded_in_time_and_kept(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    blob = base_weights(shared_family)
    ticks = iter(range(0, 100_000, 10))
    limits = FetchLimits(seconds_per_transfer=25)
    size = shared_family.layout.path(shared_family.base).stat().st_size
    with pytest.raises(FetchTooSlow, match="25 seconds"):
        fetch_stack(
            source,
            site,
            shared_family.base,
            size,
            "onnx",
            limits=limits,
            monotonic=lambda: float(next(ticks)),
        )
    partial = site.partial_directory / blob.digest.removeprefix("sha256:")
    assert partial.stat().st_size > 0
    fetch(source, site, shared_family.base)
    assert_every_name_is_right(site)


def test_bounds_on_bytes(shared_family: Family, source: MemorySource, site: Layout) -> None:
    size = shared_family.layout.path(shared_family.base).stat().st_size
    limits = FetchLimits(max_bytes=WEIGHT_BYTES[Level.L0] - 1)
    with pytest.raises(TooLarge, match="may be fetched"):
        fetch_stack(source, site, shared_family.base, size, "onnx", limits=limits)
    with pytest.raises(StackRefused, match="too long"):
        fetch_stack(source, site, shared_family.scenario, MAX_DOCUMENT_BYTES + 1, "onnx")
    with pytest.raises(BlobCorrupt, match="more than"):
        fetch_stack(source, site, shared_family.scenario, 10, "onnx")


def test_what_cannot_be_fetched_is_said(
    shared_family: Family, source: MemorySource, site: Layout
) -> None:
    size = shared_family.layout.path(shared_family.base).stat().st_size
    with pytest.raises(TargetMissing, match="onnx, safetensors"):
        fetch_stack(source, site, shared_family.base, size, "gguf-q4_0")
    with pytest.raises(NotInRegistry):
        fetch_stack(source, site, "sha256:" + 64 * "0", 10, "onnx")
    with pytest.raises(InvalidInput):
        fetch_stack(source, site, "sha256:../../x", 10, "onnx")
    weights = base_weights(shared_family)
    with pytest.raises(StackRefused):
        fetch_stack(source, site, weights.digest, weights.size_bytes, "onnx")
