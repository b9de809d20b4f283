"""Where the hub is and who we are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dizuo.client.credentials import ClientSettings, Credentials, find_credentials
from dizuo.client.errors import NoCredentials

URL = "http://127.0.0.1:9999"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DIZUO_URL", "DIZUO_TOKEN", "DIZUO_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _keep(home: Path, content: object) -> None:
    (home / "credentials.json").write_text(json.dumps(content))


def test_what_the_hub_left_in_the_home(home: Path) -> None:
    _keep(home, {"url": URL + "/", "token": "dz_api_kept", "more": 1})
    assert find_credentials(ClientSettings.load(home=home)) == Credentials(URL, "dz_api_kept")


def test_the_environment_alone_is_enough(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIZUO_URL", URL)
    monkeypatch.setenv("DIZUO_TOKEN", " dz_api_env\n")
    assert find_credentials(ClientSettings.load(home=home)) == Credentials(URL, "dz_api_env")


def test_a_token_alone_goes_to_the_hub_of_the_home_or_to_the_usual_place(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIZUO_TOKEN", "dz_api_env")
    settings = ClientSettings.load(home=home)
    assert find_credentials(settings) == Credentials("http://127.0.0.1:8420", "dz_api_env")
    _keep(home, {"url": URL, "token": "dz_api_kept"})
    assert find_credentials(settings) == Credentials(URL, "dz_api_env")


def test_a_kept_token_is_never_sent_elsewhere(home: Path) -> None:
    _keep(home, {"url": URL, "token": "dz_api_kept"})
    assert find_credentials(ClientSettings.load(home=home, url=URL)).token == "dz_api_kept"
    with pytest.raises(NoCredentials) as refused:
        find_credentials(ClientSettings.load(home=home, url="http://elsewhere:1"))
    assert refused.value.message == "No token is known for http://elsewhere:1."
    assert "DIZUO_TOKEN" in refused.value.next_step


def test_no_hub_is_known(home: Path) -> None:
    with pytest.raises(NoCredentials) as refused:
        find_credentials(ClientSettings.load(home=home))
    assert str(home / "credentials.json") in refused.value.message
    assert "dizuo up" in refused.value.next_step


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"url": "x"}', '{"token": "x"}', "\udcff", '"\\ud800"']
)
def test_a_damaged_file_is_one_sentence(home: Path, text: str) -> None:
    (home / "credentials.json").write_text(text, errors="surrogateescape")
    with pytest.raises(NoCredentials) as refused:
        find_credentials(ClientSettings.load(home=home))
    assert refused.value.message == f"The file {home / 'credentials.json'} cannot be used."


def test_a_folder_in_its_place(home: Path) -> None:
    (home / "credentials.json").mkdir()
    with pytest.raises(NoCredentials, match="cannot be used"):
        find_credentials(ClientSettings.load(home=home))


@pytest.mark.parametrize("token", ["two lines\nhere", "ключ", "tab\there"])
def test_a_token_that_cannot_be_one(home: Path, token: str) -> None:
    with pytest.raises(NoCredentials) as refused:
        find_credentials(ClientSettings.load(home=home, url=URL, token=token))
    assert token not in str(refused.value)


def test_no_repr_shows_the_token(home: Path) -> None:
    settings = ClientSettings.load(home=home, url=URL, token="dz_api_hush")
    assert "hush" not in repr(settings)
    assert "hush" not in repr(find_credentials(settings))
