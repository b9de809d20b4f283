"""Flags made from settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from pydantic import Field
from typer.testing import CliRunner

from dizuo.cli.settings_command import with_settings
from dizuo.core.settings import InvalidSetting, Settings


class PumpSettings(Settings):
    litres_per_minute: int = Field(default=5, ge=1, description="How fast it pumps.")
    valve: Path | None = Field(default=None, description="Which valve.")


@with_settings(PumpSettings)
def pump(settings: PumpSettings, loud: bool = False) -> None:
    """Pump."""
    print(settings.litres_per_minute, settings.valve, settings.home, loud)


def root(home: Annotated[Path | None, typer.Option()] = None) -> None:
    """Pumps."""


def _run(*arguments: str) -> str:
    app = typer.Typer()
    app.callback()(root)
    app.command()(pump)
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout.strip()


def test_flags_then_environment_then_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIZUO_HOME", "/kept")
    assert _run("pump") == "5 None /kept False"
    monkeypatch.setenv("DIZUO_LITRES_PER_MINUTE", "7")
    assert _run("pump", "--valve", "v1") == "7 v1 /kept False"
    assert _run("pump", "--litres-per-minute", "9", "--loud") == "9 None /kept True"


def test_a_home_before_the_command_counts_unless_the_command_has_its_own() -> None:
    assert _run("--home", "/before", "pump").endswith("/before False")
    assert _run("--home", "/before", "pump", "--home", "/own").endswith("/own False")


def test_a_value_out_of_bounds_names_the_flag() -> None:
    with pytest.raises(InvalidSetting) as refused:
        _run("pump", "--litres-per-minute", "0")
    assert "--litres-per-minute" in refused.value.next_step


def test_help_says_where_else_it_can_be_set() -> None:
    text = " ".join(_run("pump", "--help").replace("│", " ").split())
    assert "How fast it pumps. [DIZUO_LITRES_PER_MINUTE, default 5]" in text
    assert "Which valve. [DIZUO_VALVE]" in text
