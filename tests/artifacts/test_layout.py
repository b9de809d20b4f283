"""The layout: blobs, tags, several processes, and whatever may lie in the folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.artifacts.conftest import Family

from dizuo.artifacts.errors import (
    BlobCorrupt,
    BlobMissing,
    LayoutDamaged,
    StackRefused,
    TagTaken,
    UnknownTag,
)
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Blob
from dizuo.artifacts.reference import InvalidReference
from dizuo.core.digests import canonical_json, sha256_bytes
from dizuo.core.errors import InvalidInput, TooLarge

ABSENT = "sha256:" + 64 * "0"


def put_index(layout: Layout, note: str) -> str:
    """A small OCI index of nothing."""
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
        "annotations": {"note": note},
    }
    return layout.put_bytes(canonical_json(document)).digest


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def test_bytes_and_files_are_kept_by_digest(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"weights")

    blob = layout.put_file(tmp_path / "file")

    assert blob == Blob(sha256_bytes(b"weights"), 7)
    assert layout.put_bytes(b"weights") == blob
    assert layout.has(blob.digest)
    assert layout.read(blob.digest) == b"weights"
    assert layout.path(blob.digest).stat().st_mode & 0o222 == 0


def test_what_is_not_here(layout: Layout) -> None:
    assert not layout.has(ABSENT)
    assert not layout.claim(Blob(ABSENT, 1))
    with pytest.raises(BlobMissing, match="does not hold"):
        layout.read(ABSENT)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "sha256:../x", "sha512:00", ""])
def test_a_digest_never_becomes_another_path(layout: Layout, digest: str) -> None:
    with pytest.raises(InvalidInput):
        layout.path(digest)


def test_reading_is_bounded_and_checked(layout: Layout) -> None:
    blob = layout.put_bytes(b"0123456789")
    with pytest.raises(TooLarge):
        layout.read(blob.digest, max_bytes=9)
    path = layout.path(blob.digest)
    path.chmod(0o644)
    path.write_bytes(b"012345678X")
    with pytest.raises(BlobCorrupt, match="damaged"):
        layout.read(blob.digest)


def test_a_blob_of_the_wrong_length_is_put_aside_and_can_come_again(layout: Layout) -> None:
    blob = layout.put_bytes(b"0123456789")
    layout.path(blob.digest).chmod(0o644)
    layout.path(blob.digest).write_bytes(b"0123")

    assert not layout.claim(blob)

    assert not layout.has(blob.digest)
    assert [path.read_bytes() for path in layout.corrupt_directory.iterdir()] == [b"0123"]
    assert layout.put_bytes(b"0123456789") == blob
    assert layout.read(blob.digest) == b"0123456789"


def test_a_file_that_changes_while_it_is_read_gets_no_name(layout: Layout) -> None:
    # The kernel gives this file other bytes each time it is opened.
    with pytest.raises(BlobCorrupt, match="changed while"):
        layout.put_file(Path("/proc/sys/kernel/random/uuid"))
    assert list(layout.blob_directory.iterdir()) == []


def test_tags_name_versions_and_never_move(layout: Layout) -> None:
    one, two = put_index(layout, "one"), put_index(layout, "two")
    layout.tag("default/a", "1", one)
    layout.tag("default/a", "1", one)
    layout.tag("default/a", "2", two)
    layout.tag("city/b", "1", one)

    assert layout.repositories() == ["city/b", "default/a"]
    assert layout.tags("default/a") == {"1": one, "2": two}
    assert layout.resolve("default/a", "2") == two
    with pytest.raises(TagTaken, match="already"):
        layout.tag("default/a", "1", two)
    assert layout.resolve("default/a", "1") == one
    layout.tag("default/a", "1", two, replace=True)
    assert layout.resolve("default/a", "1") == two


def test_untagging(layout: Layout) -> None:
    digest = put_index(layout, "one")
    layout.tag("default/a", "1", digest)
    layout.untag("default/a", "1")
    layout.untag("default/a", "1")
    assert layout.repositories() == []
    with pytest.raises(UnknownTag, match="default/a:1"):
        layout.resolve("default/a", "1")


@pytest.mark.parametrize(
    ("repository", "tag"),
    [("a", "1"), ("Default/a", "1"), ("default/a", ""), ("default/a", "a/b"), ("default/a", "-")],
)
def test_a_tag_outside_the_grammar_is_refused(layout: Layout, repository: str, tag: str) -> None:
    digest = put_index(layout, "one")
    with pytest.raises(InvalidReference):
        layout.tag(repository, tag, digest)
    assert layout.repositories() == []


def test_only_documents_are_tagged(layout: Layout) -> None:
    with pytest.raises(BlobMissing):
        layout.tag("default/a", "1", ABSENT)
    for data in (b"weights", b"[]", b'{"mediaType":"text/plain"}'):
        with pytest.raises(StackRefused):
            layout.tag("default/a", "1", layout.put_bytes(data).digest)
    assert layout.repositories() == []


def test_another_process_sees_a_tag_at_once(layout: Layout) -> None:
    other = Layout(layout.root)
    assert other.repositories() == []
    layout.tag("default/a", "1", put_index(layout, "one"))
    assert other.repositories() == ["default/a"]


@pytest.mark.parametrize("name", ["latest", "latest:1", "a/b/c:1", "A/b:1", "a/b:", 7, None])
def test_descriptors_of_other_tools_are_kept(layout: Layout, name: object) -> None:
    foreign = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": ABSENT,
        "size": 3,
        "annotations": {"org.opencontainers.image.ref.name": name},
        "platform": {"os": "linux", "architecture": "arm64"},
    }
    index = {"schemaVersion": 2, "manifests": [foreign]}
    (layout.root / "index.json").write_text(json.dumps(index))

    layout.tag("default/a", "1", put_index(layout, "one"))

    written = json.loads((layout.root / "index.json").read_text())["manifests"]
    assert foreign in written
    assert layout.repositories() == ["default/a"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"manifests":{}}',
        '{"manifests":[3]}',
        '{"manifests":[{"digest":"sha256:1"}]}',
        '{"manifests":[{"digest":3}]}',
        '{"manifests":[],"manifests":[]}',
    ],
)
def test_a_damaged_index_is_told(layout: Layout, text: str) -> None:
    (layout.root / "index.json").write_text(text)
    with pytest.raises(LayoutDamaged):
        layout.repositories()
    with pytest.raises(LayoutDamaged):
        layout.untag("default/a", "1")
    assert (layout.root / "index.json").read_text() == text


def test_a_lost_index_is_told(layout: Layout) -> None:
    (layout.root / "index.json").unlink()
    with pytest.raises(LayoutDamaged, match=r"index\.json"):
        layout.repositories()


def test_a_layout_whose_making_was_killed_is_finished(layout: Layout) -> None:
    layout.tag("default/a", "1", put_index(layout, "one"))
    (layout.root / "oci-layout").unlink()
    assert Layout(layout.root).repositories() == ["default/a"]
    assert "1.0.0" in (layout.root / "oci-layout").read_text()


def test_a_layout_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}')
    with pytest.raises(LayoutDamaged, match=r"1\.0\.0"):
        Layout(tmp_path)


def test_opening_a_layout_again_changes_nothing(family: Family) -> None:
    before = (family.layout.root / "index.json").stat()
    again = Layout(family.layout.root)
    assert (family.layout.root / "index.json").stat() == before
    assert again.resolve("default/site3", "1") == family.scenario


WORKER = """
import sys
from pathlib import Path
from dizuo.artifacts.layout import Layout
from tests.artifacts.test_layout import put_index
root, worker, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for number in range(count):
    layout = Layout(root)
    layout.put_bytes(b"shared" * 1000)
    layout.tag(f"default/w{worker}", str(number + 1), put_index(layout, f"{worker}-{number}"))
    print(number, flush=True)
"""


def start_worker(root: Path, worker: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(root), worker, str(count)]
    repository = Path(__file__).parents[2]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository)


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    workers = [start_worker(tmp_path, str(number), 20) for number in range(3)]
    for worker in workers:
        worker.communicate(timeout=120)
        assert worker.returncode == 0

    layout = Layout(tmp_path)
    expected = {str(version) for version in range(1, 21)}
    assert {name: set(layout.tags(name)) for name in layout.repositories()} == {
        f"default/w{number}": expected for number in range(3)
    }
    for name in layout.repositories():
        for digest in layout.tags(name).values():
            layout.read(digest)


def test_a_killed_writer_leaves_a_whole_layout(tmp_path: Path) -> None:
    worker = start_worker(tmp_path, "a", 100_000)
    assert worker.stdout is not None
    for _ in range(25):
        written = int(worker.stdout.readline())
    worker.kill()
    worker.communicate()

    layout = Layout(tmp_path)
    tags = layout.tags("default/wa")
    assert len(tags) > written
    for digest in tags.values():
        layout.read(digest)
    for path in layout.blob_directory.iterdir():
        if not path.name.startswith("."):
            layout.read(f"sha256:{path.name}")
    layout.tag("default/after", "1", put_index(layout, "after"))
