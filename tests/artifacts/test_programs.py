"""What other tools see: the folder and the served registry, through real programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.artifacts.conftest import WEIGHT_BYTES, Family, build_family
from tests.artifacts.programs import (
    Cutting,
    docker_registry,
    registry_app,
    served,
    skopeo_copy,
)

from dizuo.artifacts.errors import FetchInterrupted, NotInRegistry, RegistryRefused
from dizuo.artifacts.fetch import RegistrySource, fetch_stack
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.model import Level
from dizuo.artifacts.stacks import read_stack, unpack
from dizuo.core.digests import sha256_file

REPOSITORIES = ("shapes", "meter-reading", "site3")
FROM_HUB = ("--src-tls-verify=false", "--src-creds", "someone:s3cret")


@pytest.fixture(scope="module")
def hub(shared_family: Family) -> Iterator[str]:
    with served(registry_app(shared_family.layout)) as address:
        yield address


def digest_of(family: Family, name: str) -> str:
    return family.layout.resolve(f"default/{name}", "1")


@pytest.mark.parametrize("name", REPOSITORIES)
def test_skopeo_copies_every_tag_from_the_folder_unchanged(
    shared_family: Family, tmp_path: Path, name: str
) -> None:
    source = f"oci:{shared_family.layout.root}:default/{name}:1"

    done = skopeo_copy(source, f"dir:{tmp_path}/copy")

    assert done.returncode == 0, done.stderr
    assert sha256_file(tmp_path / "copy/manifest.json") == digest_of(shared_family, name)


def test_a_folder_that_skopeo_wrote_holds_the_same_stack(
    shared_family: Family, tmp_path: Path
) -> None:
    source = f"oci:{shared_family.layout.root}:default/site3:1"

    done = skopeo_copy(source, f"oci:{tmp_path}/copy:default/site3:1")

    assert done.returncode == 0, done.stderr
    copied = Layout(tmp_path / "copy")
    assert copied.resolve("default/site3", "1") == shared_family.scenario
    original = read_stack(shared_family.layout, shared_family.scenario)
    assert read_stack(copied, shared_family.scenario) == original


@pytest.mark.parametrize("name", REPOSITORIES)
def test_skopeo_copies_every_tag_from_the_hub_unchanged(
    shared_family: Family, hub: str, tmp_path: Path, name: str
) -> None:
    source = f"docker://{hub}/default/{name}:1"

    done = skopeo_copy(source, f"dir:{tmp_path}/copy", *FROM_HUB)

    assert done.returncode == 0, done.stderr
    assert sha256_file(tmp_path / "copy/manifest.json") == digest_of(shared_family, name)


def test_skopeo_copies_by_digest_from_the_hub(
    shared_family: Family, hub: str, tmp_path: Path
) -> None:
    source = f"docker://{hub}/default/site3@{shared_family.scenario}"

    done = skopeo_copy(source, f"oci:{tmp_path}/copy:site3", *FROM_HUB)

    assert done.returncode == 0, done.stderr
    assert shared_family.scenario in (tmp_path / "copy/index.json").read_text()


@pytest.mark.parametrize(
    ("credentials", "name"),
    [
        pytest.param(("--src-creds", "someone:wrong"), "site3", id="wrong password"),
        pytest.param(("--src-no-creds",), "site3", id="no credential"),
        pytest.param(("--src-creds", "someone:other-s3cret"), "site3", id="another project"),
        pytest.param(("--src-creds", "someone:s3cret"), "absent", id="no such repository"),
    ],
)
def test_skopeo_gets_nothing_that_is_not_its_own(
    hub: str, tmp_path: Path, credentials: tuple[str, ...], name: str
) -> None:
    source = f"docker://{hub}/default/{name}:1"

    done = skopeo_copy(source, f"dir:{tmp_path}/copy", "--src-tls-verify=false", *credentials)

    assert done.returncode != 0
    assert not (tmp_path / "copy/manifest.json").exists()


def test_a_site_installs_whole_and_updates_by_its_own_layer(
    shared_family: Family, hub: str, tmp_path: Path
) -> None:
    site = Layout(tmp_path / "site")
    sizes = {d: shared_family.layout.path(d).stat().st_size for d in (shared_family.industry,)}
    with httpx2.Client(base_url=f"http://{hub}") as client:
        industry = RegistrySource(client, "default/meter-reading", "s3cret")
        first = fetch_stack(
            industry, site, shared_family.industry, sizes[shared_family.industry], "onnx"
        )
        size = shared_family.layout.path(shared_family.scenario).stat().st_size
        scenario = RegistrySource(client, "default/site3", "s3cret")
        update = fetch_stack(scenario, site, shared_family.scenario, size, "onnx")

    assert first.bytes_fetched > WEIGHT_BYTES[Level.L0] + WEIGHT_BYTES[Level.L1]
    documents_bytes = 8_000
    assert WEIGHT_BYTES[Level.L2] < update.bytes_fetched < WEIGHT_BYTES[Level.L2] + documents_bytes
    files = unpack(site, shared_family.scenario, "onnx", tmp_path / "slot")
    assert [layer.name for layer in files.layers] == ["shapes", "meter-reading", "site3"]


def test_a_real_registry_keeps_a_stack_and_gives_it_back(tmp_path: Path) -> None:
    family = build_family(tmp_path / "hub")
    with docker_registry(tmp_path / "registry") as address:
        done = skopeo_copy(
            f"oci:{family.layout.root}:default/site3:1",
            f"docker://{address}/default/site3:1",
            "--dest-tls-verify=false",
        )
        assert done.returncode == 0, done.stderr
        site = Layout(tmp_path / "site")
        size = family.layout.path(family.scenario).stat().st_size
        with httpx2.Client(base_url=f"http://{address}") as client:
            source = RegistrySource(client, "default/site3")
            _leave_half_a_base(family, site)
            fetched = fetch_stack(source, site, family.scenario, size, "onnx")
            with pytest.raises(NotInRegistry):
                fetch_stack(source, site, f"sha256:{0:064x}", size, "onnx")

    expected = read_stack(family.layout, family.scenario, only=("onnx",))
    assert read_stack(site, family.scenario, only=("onnx",)) == expected
    assert fetched.bytes_fetched < expected.bytes_total - WEIGHT_BYTES[Level.L0] // 2 + 10_000


def _leave_half_a_base(family: Family, site: Layout) -> None:
    """What a fetch leaves that was killed in the middle of the largest blob."""
    stack = read_stack(family.layout, family.scenario, only=("onnx",))
    largest = max(stack.targets["onnx"].blobs, key=lambda blob: blob.size_bytes)
    data = family.layout.path(largest.digest).read_bytes()
    site.partial_directory.mkdir()
    partial = site.partial_directory / largest.digest.removeprefix("sha256:")
    partial.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("cuts", [3, 100])
def test_connections_that_break_are_resumed_over_real_http(
    shared_family: Family, tmp_path: Path, cuts: int
) -> None:
    site = Layout(tmp_path / "site")
    size = shared_family.layout.path(shared_family.base).stat().st_size
    app = Cutting(registry_app(shared_family.layout), 70_000, cuts)
    with served(app) as address, httpx2.Client(base_url=f"http://{address}") as client:
        source = RegistrySource(client, "default/shapes", "s3cret")
        fetched = fetch_stack(source, site, shared_family.base, size, "onnx")

    # Each answer but the last brings 70,000 of the base's 300,000 bytes, and none comes twice.
    assert fetched.bytes_fetched < WEIGHT_BYTES[Level.L0] + 5_000
    assert cuts - app.remaining == min(cuts, 4)
    assert read_stack(site, shared_family.base, only=("onnx",)).name == "shapes"


def test_a_registry_that_refuses_or_is_gone_is_told_apart(
    shared_family: Family, hub: str, tmp_path: Path
) -> None:
    site = Layout(tmp_path / "site")
    with httpx2.Client(base_url=f"http://{hub}") as client:
        source = RegistrySource(client, "default/site3", "wrong")
        with pytest.raises(RegistryRefused, match="credential"):
            fetch_stack(source, site, shared_family.scenario, 100, "onnx")
    with httpx2.Client(base_url="http://127.0.0.1:9") as client:
        source = RegistrySource(client, "default/site3")
        with pytest.raises(FetchInterrupted, match="broke off"):
            fetch_stack(source, site, shared_family.scenario, 100, "onnx")


def test_the_index_in_the_folder_is_plain_oci(shared_family: Family) -> None:
    index = json.loads(shared_family.layout.path(shared_family.scenario).read_bytes())
    assert index["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert [m["annotations"]["io.dizuo.target"] for m in index["manifests"]] == [
        "onnx",
        "safetensors",
    ]
    assert not any("platform" in manifest for manifest in index["manifests"])
