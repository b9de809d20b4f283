"""What the documents say must be so."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.docs.reference import DOCS, PAGES, import_everything
from typer import BadParameter, Context
from typer.core import TyperGroup
from typer.main import get_command

from dizuo.cli.main import app
from dizuo.core.errors import DizuoError, error_tree

ROOT = DOCS.parent
UsageError: type[Exception] = BadParameter.__bases__[0]  # typer has no public name for it
READMES = ("README.md", "README.zh-CN.md")
PACKAGES = sorted(path.parent.name for path in (ROOT / "src" / "dizuo").glob("*/__init__.py"))


@pytest.mark.parametrize("name", PAGES)
def test_reference_pages_follow_the_code(name: str) -> None:
    written = (DOCS / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "run: .venv/bin/python -m tests.docs.reference"


def test_error_codes_are_unique() -> None:
    import_everything()
    codes = Counter(one.code for one in error_tree(DizuoError) if "dizuo." in one.__module__)
    assert [code for code, count in codes.items() if count > 1] == []


@pytest.mark.parametrize("readme", READMES)
def test_readme_has_one_line_for_each_package(readme: str) -> None:
    rows = re.findall(r"^\| `dizuo\.(\w+)` \|", (ROOT / readme).read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == PACKAGES


@pytest.mark.parametrize("readme", READMES)
def test_readme_starts_with_exactly_two_commands(readme: str) -> None:
    (block,) = re.findall(r"^```\n(.*?)^```", (ROOT / readme).read_text("utf-8"), re.M | re.S)
    assert block.split("\n") == ["make demo", "make test", ""]


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "check", "bench"])
def test_make_knows_the_target(target: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def markdown_files() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


@pytest.mark.parametrize("page", markdown_files(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def documented_commands() -> list[tuple[str, str]]:
    """Every `dizuo …` in the documents with its page: lines of code blocks, and code in prose."""
    found = []
    for page in markdown_files():
        prose: list[str] = []
        lines: list[str] = []
        for number, part in enumerate(re.split(r"^```.*$", page.read_text("utf-8"), flags=re.M)):
            (lines if number % 2 else prose).append(part)
        blocks = re.findall(r"^dizuo .+$", "\n".join(lines), re.M)
        words = re.findall(r"`(dizuo\s[^`]+)`", "\n".join(prose))
        found += [(page.name, " ".join(line.split())) for line in (*blocks, *words)]
    return found


def check_command(line: str) -> None:
    """Parse a command line as the door does, without running it.

    Raises:
        UsageError: a command or an option is not known, or there are arguments too many.
    """
    command: Any = get_command(app)
    words = shlex.split(line, comments=True)[1:]
    while True:
        context = Context(command)
        _, words, _ = command.make_parser(context).parse_args(words)
        if not words:
            return
        if not isinstance(command, TyperGroup):
            context.fail(f"There is no place for {words}.")
        _, command, words = command.resolve_command(context, words)


@pytest.mark.parametrize(("page", "line"), documented_commands())
def test_every_dizuo_command_in_the_documents_is_accepted(page: str, line: str) -> None:
    check_command(line)


def test_documents_show_commands_in_blocks_and_in_prose() -> None:
    found = documented_commands()
    assert (
        "first-steps.md",
        "dizuo data add valves ./valves --family vision --holdout 0.2",
    ) in found
    assert ("first-steps.md", "dizuo token create") in found


@pytest.mark.parametrize(
    "line",
    [
        "dizuo dance",
        "dizuo data dance",
        "dizuo data add valves ./valves --colour red",
        "dizuo --colour red data ls",
        "dizuo data ls and more",
        "dizuo tune --name",
    ],
)
def test_a_command_that_would_be_refused_is_found(line: str) -> None:
    with pytest.raises(UsageError):
        check_command(line)
