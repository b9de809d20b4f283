"""The reference pages that follow from the code. `python -m tests.docs.reference` writes them."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import dizuo
from dizuo.agent.settings import AgentSettings
from dizuo.client.credentials import ClientSettings
from dizuo.core.errors import DizuoError, error_tree
from dizuo.core.settings import Settings
from dizuo.hub.settings import HubSettings

DOCS = Path(__file__).parents[2] / "docs"
PROGRAMS: tuple[tuple[str, type[Settings]], ...] = (
    ("The hub (`dizuo up`)", HubSettings),
    ("The agent (`dizuo agent`)", AgentSettings),
    ("The command line, wherever it talks to a hub", ClientSettings),
)


def import_everything() -> None:
    """Import every module of the package, so that every error class exists."""
    for module in pkgutil.walk_packages(dizuo.__path__, "dizuo."):
        if ".migrations." not in module.name:
            importlib.import_module(module.name)


def errors_page() -> str:
    """`docs/errors.md`."""
    import_everything()
    classes = [one for one in error_tree(DizuoError) if one.__module__.startswith("dizuo.")]
    rows = [
        f"| `{one.code}` | {one.http_status} | {'yes' if one.retryable else 'no'} "
        f"| {_first_line(one)} |"
        for one in sorted(classes, key=lambda one: one.code)
    ]
    head = (
        "# Errors\n\n"
        "Every error that a person or a program can meet has a code that is never renamed, an\n"
        "HTTP status, and a word on whether the same call may succeed later without a change. All\n"
        'surfaces answer `{"error": {"code", "message", "next_step", "retryable"}}`; below a '
        "site's\n`/v2`, where the Open Inference Protocol wants a string, `error` is the sentence "
        "and the\nother keys stand beside it.\n\n"
        "| code | status | retry helps | what it means |\n|---|---|---|---|\n"
    )
    return head + "\n".join(rows) + "\n"


def _first_line(one: type[DizuoError]) -> str:
    text = " ".join((inspect.getdoc(one) or "").split("\n\n")[0].split())
    return text.replace("|", "\\|")


def settings_page() -> str:
    """`docs/settings.md`."""
    parts = [
        "# Settings\n\nEach can be set by a flag of the program (the name without the prefix, with"
        "\ndashes), or by the environment variable. A flag counts before the environment.\n"
    ]
    for title, kind in PROGRAMS:
        rows = [
            f"| `{name}` | {_cell(type_)} | {_cell(default)} | {_cell(sentence)} |"
            for name, type_, default, sentence in kind.rows()
        ]
        table = "| variable | type | default | what it sets |\n|---|---|---|---|\n"
        parts.append(f"## {title}\n\n{table}" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


PAGES = {"errors.md": errors_page, "settings.md": settings_page}


def main() -> None:
    """Write every page."""
    for name, render in PAGES.items():
        (DOCS / name).write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
