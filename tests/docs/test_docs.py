"""What the documents say must be so."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tests.docs.reference import DOCS, PAGES, import_everything
from typer.main import get_command

from dizuo.cli.main import app
from dizuo.core.errors import DizuoError, error_tree

ROOT = DOCS.parent
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


def test_every_dizuo_command_in_the_documents_exists() -> None:
    root = get_command(app)
    text = "\n".join(page.read_text("utf-8") for page in markdown_files())
    unknown = []
    for words in re.findall(r"(?:^|`)dizuo ((?:[a-z]+ ?)+)", text, re.MULTILINE):
        command = root
        for word in words.split():
            commands = getattr(command, "commands", None)
            if commands is None:
                break
            if word not in commands:
                unknown.append(words)
                break
            command = commands[word]
    assert unknown == []
