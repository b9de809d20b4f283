"""Settings, declared once.

A program's settings are one `Settings` subclass: each field has a type, a default, bounds and a
sentence. From that come its environment name (the program's prefix and the field's name in
capitals), its row in `docs/settings.md` and, with `dizuo.cli.options.setting`, its CLI flag.
Nothing else reads the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from dizuo.core.errors import InvalidInput

ENVIRONMENT_PREFIX = "DIZUO_"


class InvalidSetting(InvalidInput):
    """A setting has a value of the wrong type or out of bounds."""

    code = "invalid_setting"


class HomeRefused(InvalidInput):
    """The home folder cannot be used."""

    code = "home_refused"


class Settings(BaseSettings):
    """Base of the settings of each program."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, extra="ignore", frozen=True)

    home: Annotated[Path, AfterValidator(Path.expanduser)] = Field(
        default_factory=lambda: Path.home() / ".dizuo",
        description="The folder in which everything is kept.",
    )

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Settings from flags (those that are not None), then the environment, then defaults.

        Raises:
            InvalidSetting: one has a wrong value; the sentence names it.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = "_".join(str(part) for part in first["loc"])
            raise InvalidSetting(
                f"The setting {name} is wrong: {first['msg']}.",
                next_step=f"Set --{name.replace('_', '-')} or {cls.environment_name(name)}.",
            ) from error

    @classmethod
    def environment_name(cls, field: str) -> str:
        """The environment variable of a field."""
        return f"{cls.model_config.get('env_prefix', ENVIRONMENT_PREFIX)}{field.upper()}"

    @classmethod
    def rows(cls) -> list[tuple[str, str, str, str]]:
        """(environment name, type, default, sentence) of each field, for the documentation."""
        return [
            (
                cls.environment_name(name),
                getattr(field.annotation, "__name__", str(field.annotation)),
                "~/.dizuo" if name == "home" else _shown(field.default),
                field.description or "",
            )
            for name, field in cls.model_fields.items()
        ]


@contextmanager
def using_home(home: Path) -> Iterator[None]:
    """Make or write what lies in a home.

    Raises:
        HomeRefused: it is not a folder, or cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise HomeRefused(
            f"The home folder {home} cannot be used: {error.strerror}.",
            next_step="Choose another with --home or DIZUO_HOME.",
        ) from error


def _shown(default: Any) -> str:
    return "" if default is None else str(default)
