"""Making a home ready, holding it, and the settings that lead there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dizuo.access import service as access
from dizuo.access.model import CredentialRefused, Role, Surface
from dizuo.core.files import write_json
from dizuo.core.settings import HomeRefused, InvalidSetting
from dizuo.database.engine import Database, DatabaseUnavailable, sqlite_url
from dizuo.hub import home as homes
from dizuo.hub.errors import HubRunning
from dizuo.hub.settings import HubSettings


@pytest.fixture
def settings(tmp_path: Path) -> HubSettings:
    made = HubSettings(home=tmp_path / "home")
    homes.make_folders(made.home)
    return made


def credentials(settings: HubSettings) -> dict[str, str]:
    found: dict[str, str] = json.loads((settings.home / "credentials.json").read_bytes())
    return found


def role_of(settings: HubSettings, token: str) -> Role | None:
    database = Database(sqlite_url(settings.home / "hub.db"))
    try:
        with database.reading() as session:
            return access.recognise(session, token, Surface.API).role
    finally:
        database.close()


def test_first_start_makes_an_admin_whom_only_the_owner_can_read(settings: HubSettings) -> None:
    assert homes.prepare(settings)
    found = credentials(settings)
    assert found["url"] == "http://127.0.0.1:8420"
    assert role_of(settings, found["token"]) is Role.ADMIN
    assert (settings.home / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert settings.home.stat().st_mode & 0o777 == 0o700


def test_second_start_keeps_the_token_and_follows_the_port(settings: HubSettings) -> None:
    homes.prepare(settings)
    before = credentials(settings)
    moved = HubSettings(home=settings.home, port=9000)
    assert not homes.prepare(moved)
    assert credentials(settings) == {**before, "url": "http://127.0.0.1:9000"}
    assert role_of(settings, before["token"]) is Role.ADMIN


def test_a_crash_between_the_file_and_the_database_leaves_a_token_that_opens_nothing(
    settings: HubSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_and_die(path: Path, value: object, *, mode: int) -> None:
        write_json(path, value, mode=mode)
        raise KeyboardInterrupt

    monkeypatch.setattr(homes, "write_json", write_and_die)
    with pytest.raises(KeyboardInterrupt):
        homes.prepare(settings)
    monkeypatch.undo()
    lost = credentials(settings)["token"]
    with pytest.raises(CredentialRefused):
        role_of(settings, lost)
    assert homes.prepare(settings)
    assert role_of(settings, credentials(settings)["token"]) is Role.ADMIN


def test_a_removed_credentials_file_is_not_made_again(settings: HubSettings) -> None:
    homes.prepare(settings)
    (settings.home / "credentials.json").unlink()
    assert not homes.prepare(settings)
    assert not (settings.home / "credentials.json").exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_damaged_credentials_are_told(settings: HubSettings, content: bytes) -> None:
    homes.prepare(settings)
    (settings.home / "credentials.json").write_bytes(content)
    with pytest.raises(HomeRefused, match="not what dizuo writes"):
        homes.prepare(settings)
    assert (settings.home / "credentials.json").read_bytes() == content


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(HomeRefused, match="cannot be used"):
        homes.make_folders(tmp_path / "home")


def test_a_sites_folder_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "site.json").touch()
    with pytest.raises(HomeRefused, match="is a site's folder"):
        homes.make_folders(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["site.json"]


def test_one_hub_holds_a_home(settings: HubSettings) -> None:
    with homes.exclusive(settings):
        with pytest.raises(HubRunning), homes.exclusive(settings):
            pass
        command = (
            "import sys; from pathlib import Path; from dizuo.hub import home;"
            "from dizuo.hub.settings import HubSettings;"
            "home.exclusive(HubSettings(home=Path(sys.argv[1]))).__enter__()"
        )
        other = subprocess.run(
            [sys.executable, "-c", command, settings.home], capture_output=True, check=False
        )
        assert b"A hub is already running" in other.stderr
    with homes.exclusive(settings):
        pass


def test_one_hub_holds_a_database(postgres_url: str, tmp_path: Path) -> None:
    one, other = (
        HubSettings(home=tmp_path / name, database_url=postgres_url) for name in ("one", "other")
    )
    homes.make_folders(one.home)
    homes.make_folders(other.home)
    with (
        homes.exclusive(one),
        pytest.raises(HubRunning, match="on this database"),
        homes.exclusive(other),
    ):
        pass
    with homes.exclusive(other):
        pass


def test_a_database_that_does_not_answer_is_told(tmp_path: Path) -> None:
    url = f"postgresql://nobody@/none?host={tmp_path}"
    settings = HubSettings(home=tmp_path / "home", database_url=url)
    homes.make_folders(settings.home)
    with pytest.raises(DatabaseUnavailable, match="cannot be used now"), homes.exclusive(settings):
        pass
    with pytest.raises(DatabaseUnavailable):
        homes.open_database(settings)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_form_of_a_postgresql_url_is_taken(scheme: str) -> None:
    settings = HubSettings.load(database_url=f"{scheme}://ann:secret@db/dizuo")
    assert settings.database_url == "postgresql+psycopg://ann:secret@db/dizuo"
    assert homes.workflow_database_url(settings) == settings.database_url
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("url", ["mysql://db/dizuo", "sqlite:///x.db", "no url", "http://db"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(InvalidSetting, match="not the URL of a PostgreSQL database"):
        HubSettings.load(database_url=url)


def test_urls_by_host() -> None:
    assert HubSettings(host="::1", port=1).url == "http://[::1]:1"
    assert HubSettings(host="h", public_url="https://hub.example").url == "https://hub.example"
