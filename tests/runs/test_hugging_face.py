"""Models are fetched from a hub by name, and what goes wrong is said in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from tests.client.serving import free_url, served
from tests.runs.model_hub import TOKEN, ModelHub

from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.core.progress import Progress, silent
from dizuo.families.base import Cancelled
from dizuo.families.errors import ModelRefused
from dizuo.runs.errors import ModelHubSilent
from dizuo.runs.hugging_face import (
    MAX_CONFIG_BYTES,
    Source,
    fetch,
    fetch_config,
    parse_source,
    resolve,
)

FILES = {
    "config.json": b"{}",
    "model.safetensors": b"x" * 5000,
    "tokenizer.json": b"[]",
    "tokenizer_config.json": b"[1]",
    "chat_template.jinja": b"t",
    "README.md": b"hello",
    "pytorch_model.bin": b"pickle",
    "modeling_tiny.py": b"import os",
    "consolidated.safetensors": b"again",
    "onnx/model.safetensors": b"again",
}
SOURCE = Source("acme/tiny")
NAMES = (
    *("config.json", "*.safetensors"),
    *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
)
ROOM = 1 << 30


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library's cache, and nothing of the person who runs the tests."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelHub]:
    hub = ModelHub({"acme/tiny": dict(FILES)})
    with served(hub.app()) as url:
        move_to(url, monkeypatch)
        yield hub


def move_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does where the process starts with it."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    form = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", form)


def bring(source: Source = SOURCE) -> Path:
    commit = resolve(source, NAMES, at_most_bytes=ROOM)
    return fetch(source, commit, NAMES, silent, lambda: False)


def test_the_configuration_is_fetched_alone(hub: ModelHub, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = resolve(SOURCE, NAMES, at_most_bytes=ROOM)
    folder = fetch_config(SOURCE, commit)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    go_offline(monkeypatch)
    assert fetch_config(SOURCE, commit) == folder


def test_a_model_without_configuration_is_refused(hub: ModelHub) -> None:
    hub.repositories["acme/tiny"].pop("config.json")
    commit = resolve(SOURCE, NAMES, at_most_bytes=ROOM)
    with pytest.raises(ModelRefused, match=r"hf://acme/tiny@main has no config\.json") as refused:
        fetch_config(SOURCE, commit)
    assert refused.value.next_step


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf://Qwen/Qwen3-0.6B", Source("Qwen/Qwen3-0.6B", "main")),
        ("hf://acme/tiny@v1.0", Source("acme/tiny", "v1.0")),
        ("hf://acme/tiny@refs/pr/4", Source("acme/tiny", "refs/pr/4")),
    ],
)
def test_a_model_is_named(text: str, source: Source) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    "text",
    ["hf://", "hf://tiny", "Qwen/Qwen3", "hf://a/b/c", "hf://a/b@", "hf://a/../b", "hf://a/b@../x",
     "hf://a/b@/etc", "hf://-a/b", "https://x/a/b", "hf://a/b@" + "x" * 200],
)  # fmt: skip
def test_what_names_no_model_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="names no model") as refused:
        parse_source(text)
    assert "hf://ORG/NAME" in refused.value.next_step


def test_only_what_is_needed_is_fetched(hub: ModelHub) -> None:
    folder = bring()
    assert folder.name == hub.commit("acme/tiny")
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_what_nobody_names_is_not_fetched(hub: ModelHub) -> None:
    names = ("config.json", "*.safetensors")
    commit = resolve(SOURCE, names, at_most_bytes=ROOM)
    folder = fetch(SOURCE, commit, names, silent, lambda: False)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors"}


def test_progress_counts_bytes(hub: ModelHub) -> None:
    events: list[Progress] = []
    commit = resolve(SOURCE, NAMES, at_most_bytes=ROOM)
    fetch(SOURCE, commit, NAMES, events.append, lambda: False)
    assert {event.stage for event in events} == {"fetch"}
    assert max(event.done for event in events) == sum(
        len(data)
        for name, data in FILES.items()
        if name in ("config.json", "model.safetensors", "chat_template.jinja")
        or name.startswith("tokenizer")
    )
    assert all(event.done <= event.total for event in events)


def test_what_is_in_the_cache_is_not_fetched_again(hub: ModelHub) -> None:
    first = bring()
    asked = len(hub.asked)
    assert bring() == first
    assert [one for one in hub.asked[asked:] if "resolve" in one] == []


def test_a_fetched_model_is_there_without_a_hub(
    hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bring()
    move_to(free_url(), monkeypatch)
    assert bring() == folder
    go_offline(monkeypatch)
    asked = len(hub.asked)
    assert bring() == folder
    assert len(hub.asked) == asked


def test_a_hub_that_has_trouble_gives_what_was_fetched(hub: ModelHub) -> None:
    folder = bring()
    hub.status = 502
    assert bring() == folder


def test_a_fetched_commit_is_asked_of_nobody(
    hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = bring()
    asked = len(hub.asked)
    source = Source("acme/tiny", hub.commit("acme/tiny"))
    assert bring(source) == folder
    go_offline(monkeypatch)
    assert bring(source) == folder
    assert len(hub.asked) == asked


def test_a_commit_that_was_not_fetched_is_bounded_too(hub: ModelHub) -> None:
    source = Source("acme/tiny", hub.commit("acme/tiny"))
    size = sum(len(FILES[name]) for name in (*NAMES[2:], "config.json", "model.safetensors"))
    assert resolve(source, NAMES, at_most_bytes=size) == source.revision
    fetch_config(source, source.revision)
    with pytest.raises(ModelRefused, match="have more than"):
        resolve(source, NAMES, at_most_bytes=size - 1)
    with pytest.raises(ModelRefused, match="no revision 0000"):
        resolve(Source("acme/tiny", "0" * 40), NAMES, at_most_bytes=ROOM)


def test_a_commit_of_which_a_file_is_missing_is_bounded_too(hub: ModelHub) -> None:
    folder = bring()
    hub.repositories["acme/tiny"]["model-2.safetensors"] = b"more"
    source = Source("acme/tiny", hub.commit("acme/tiny"))
    bring(source)
    folder = folder.with_name(source.revision)
    (folder / "model-2.safetensors").unlink()
    with pytest.raises(ModelRefused, match="have more than"):
        resolve(source, NAMES, at_most_bytes=5000)


def test_a_token_opens_what_is_gated(hub: ModelHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated.add("acme/tiny")
    with pytest.raises(ModelRefused, match="closed to this hub"):
        bring()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert bring().is_dir()


def _spoil_nothing(_hub: ModelHub) -> None: ...


REFUSALS = {
    "unknown": (Source("acme/none"), _spoil_nothing, ModelRefused, "no model acme/none"),
    "no revision": (Source("acme/tiny", "v9"), _spoil_nothing, ModelRefused, "no revision v9"),
    "gated": (SOURCE, lambda hub: hub.gated.add("acme/tiny"), ModelRefused, "closed to this hub"),
    "forbidden": (SOURCE, lambda hub: setattr(hub, "status", 403), ModelRefused, "closed"),
    "trouble": (SOURCE, lambda hub: setattr(hub, "status", 503), ModelHubSilent, "status 503"),
    "busy": (SOURCE, lambda hub: setattr(hub, "status", 429), ModelHubSilent, "status 429"),
    "pickled": (
        SOURCE,
        lambda hub: hub.repositories["acme/tiny"].pop("model.safetensors"),
        ModelRefused,
        "no safetensors weights",
    ),
}


@pytest.mark.parametrize("fault", REFUSALS)
def test_what_the_hub_refuses_is_said(
    fault: str, hub: ModelHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, spoil, kind, words = REFUSALS[fault]
    spoil(hub)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(DizuoError, match=words) as refused:
        resolve(source, NAMES, at_most_bytes=ROOM)
    assert type(refused.value) is kind
    assert refused.value.next_step
    assert "hf_secret" not in str(refused.value)


def test_a_model_that_is_too_large_is_refused(hub: ModelHub) -> None:
    with pytest.raises(ModelRefused, match="have more than"):
        resolve(SOURCE, NAMES, at_most_bytes=100)
    hub.repositories["acme/tiny"]["tokenizer.json"] = b" " * 9000
    with pytest.raises(ModelRefused, match="have more than"):
        resolve(SOURCE, NAMES, at_most_bytes=9000)


def test_a_configuration_that_is_none_is_not_fetched(hub: ModelHub) -> None:
    hub.repositories["acme/tiny"]["config.json"] = b" " * (MAX_CONFIG_BYTES + 1)
    with pytest.raises(ModelRefused, match=r"config\.json of .* has more than 20,000,000 bytes"):
        resolve(SOURCE, NAMES, at_most_bytes=ROOM)


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    url = free_url().replace("http://", "http://user:hf_secret@")
    move_to(url, monkeypatch)
    with pytest.raises(ModelHubSilent, match=r"127\.0\.0\.1 does not answer") as refused:
        resolve(SOURCE, NAMES, at_most_bytes=ROOM)
    assert "HF_ENDPOINT" in refused.value.next_step
    assert "hf_secret" not in str(refused.value)


def test_offline_without_a_fetched_model(hub: ModelHub, monkeypatch: pytest.MonkeyPatch) -> None:
    go_offline(monkeypatch)
    with pytest.raises(ModelHubSilent, match="HF_HUB_OFFLINE is set"):
        resolve(SOURCE, NAMES, at_most_bytes=ROOM)
    with pytest.raises(ModelHubSilent, match="HF_HUB_OFFLINE is set"):
        resolve(Source("acme/tiny", hub.commit("acme/tiny")), NAMES, at_most_bytes=ROOM)
    with pytest.raises(ModelHubSilent, match="HF_HUB_OFFLINE is set"):
        fetch_config(SOURCE, hub.commit("acme/tiny"))
    with pytest.raises(ModelHubSilent, match="HF_HUB_OFFLINE is set"):
        fetch(SOURCE, hub.commit("acme/tiny"), NAMES, silent, lambda: False)
    assert hub.asked == []


def test_fetching_stops_when_asked(hub: ModelHub) -> None:
    commit = resolve(SOURCE, NAMES, at_most_bytes=ROOM)
    with pytest.raises(Cancelled):
        fetch(SOURCE, commit, NAMES, silent, lambda: True)


def test_a_server_that_is_no_hub(hub: ModelHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "commit", lambda _repository: "main")
    with pytest.raises(ModelHubSilent, match="does not answer as one"):
        resolve(SOURCE, NAMES, at_most_bytes=ROOM)


def test_a_cache_that_cannot_be_written(hub: ModelHub, cache: Path) -> None:
    commit = resolve(SOURCE, NAMES, at_most_bytes=ROOM)
    cache.write_text("a file")
    with pytest.raises(ModelHubSilent, match="cache of models cannot be used"):
        fetch(SOURCE, commit, NAMES, silent, lambda: False)
