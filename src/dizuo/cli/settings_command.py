"""Commands whose flags are a program's settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from dizuo.cli.options import setting
from dizuo.core.settings import Settings

_Kind = TypeVar("_Kind", bound=Settings)


def with_settings(
    kind: type[_Kind],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one flag for each setting of `kind`, declared where the setting is.

    The decorated function takes the loaded settings first; its own parameters stay as they are. A
    `--home` given before the command counts unless the command has its own.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters
        extra = list(own.values())[1:]
        flags = [_flag(kind, name) for name in kind.model_fields]

        def run(context: typer.Context, **given: Any) -> None:
            chosen = {name: given.pop(name) for name in kind.model_fields}
            if chosen["home"] is None:
                chosen["home"] = _home_given_before(context)
            command(kind.load(**chosen), **given)

        context = inspect.Parameter(
            "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
        )
        parameters = [context, *(one.replace(kind=one.KEYWORD_ONLY) for one in (*flags, *extra))]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        run.__doc__ = command.__doc__
        run.__name__ = command.__name__
        return run

    return decorate


def _flag(kind: type[Settings], name: str) -> inspect.Parameter:
    hint = _plain(get_type_hints(kind)[name])
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[hint | None, setting(kind, name)],
    )


def _plain(hint: Any) -> Any:
    """The type that Typer shall parse: without None, bounds and other annotations."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if isinstance(hint, UnionType):
        (only,) = [one for one in get_args(hint) if one is not type(None)]
        return only
    return hint


def _home_given_before(context: typer.Context) -> Any:
    before = context.find_root().params
    return before.get("home")
