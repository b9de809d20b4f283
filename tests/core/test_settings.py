"""Settings from flags, from the environment, from defaults."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from dizuo.core.settings import InvalidSetting, Settings


class KettleSettings(Settings):
    litres: int = Field(default=2, ge=1, le=5, description="How much it holds.")
    secret: str = Field(default="", max_length=4, description="The key.")
    lid: Path | None = Field(default=None, description="What covers it.")


def test_defaults(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DIZUO_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = KettleSettings.load()
    assert settings.litres == 2
    assert settings.home == tmp_path / ".dizuo"


def test_the_environment_beats_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIZUO_LITRES", "4")
    assert KettleSettings.load().litres == 4


def test_a_flag_beats_the_environment_unless_it_was_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIZUO_LITRES", "4")
    assert KettleSettings.load(litres=3).litres == 3
    assert KettleSettings.load(litres=None).litres == 4


def test_a_tilde_in_the_home_is_the_users_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DIZUO_HOME", "~/kept")
    assert KettleSettings.load().home == tmp_path / "kept"


@pytest.mark.parametrize("value", ["0", "6", "two", ""])
def test_a_wrong_value_is_one_sentence_that_names_it(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("DIZUO_LITRES", value)
    with pytest.raises(InvalidSetting) as refused:
        KettleSettings.load()
    assert refused.value.message.startswith("The setting litres is wrong: Input should be ")
    assert refused.value.next_step == "Set --litres or DIZUO_LITRES."


def test_a_wrong_value_is_not_repeated_in_the_error() -> None:
    with pytest.raises(InvalidSetting) as refused:
        KettleSettings.load(secret="hunter2")
    assert "hunter2" not in str(refused.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        KettleSettings.load().litres = 3


def test_the_rows_of_the_documentation() -> None:
    assert KettleSettings.rows() == [
        ("DIZUO_HOME", "Path", "~/.dizuo", "The folder in which everything is kept."),
        ("DIZUO_LITRES", "int", "2", "How much it holds."),
        ("DIZUO_SECRET", "str", "", "The key."),
        ("DIZUO_LID", "pathlib.Path | None", "", "What covers it."),
    ]
    assert Settings.environment_name("poll_seconds") == "DIZUO_POLL_SECONDS"
