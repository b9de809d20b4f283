"""Commands of other packages: found by entry point, explained where an extra is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.door import dizuo

from dizuo import __version__

ENTRY_POINTS = """[dizuo.cli]
kettle = kettle_plugin:app
whistle = kettle_plugin:whistle
ghost = no_such_package_at_all.cli:app [bench]
shadow = kettle_needs:app
broken = dizuo.no_such_room.cli:app
renamed = kettle_plugin:no_such_app
torn = kettle_torn:app
"""
PLUGIN = '''
import typer

app = typer.Typer()


@app.callback()
def group() -> None:
    """Kettles."""


@app.command("boil")
def boil() -> None:
    """Boil."""
    print("boiled")


def whistle(name: str) -> None:
    """Whistle."""
    raise RuntimeError("no breath left")
'''


@pytest.fixture(autouse=True)
def _plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stranger's package with commands, installed on the path."""
    metadata = tmp_path / "kettle-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kettle\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "kettle_plugin.py").write_text(PLUGIN)
    (tmp_path / "kettle_needs.py").write_text("import no_such_package_at_all.deep\n")
    (tmp_path / "kettle_torn.py").write_text("from kettle_plugin import no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_strangers_commands_are_mounted() -> None:
    said = dizuo("kettle", "boil")
    assert (said.status, said.out) == (0, "boiled\n")
    assert "Whistle." in dizuo("whistle", "--help").out


def test_a_missing_extra_is_listed_and_explained() -> None:
    said = dizuo("ghost", "do", "--anything", "7")
    assert said.status == 1
    assert said.err.splitlines() == [
        "dizuo ghost needs packages that are not installed here (no_such_package_at_all).",
        "Install them with: pip install 'dizuo[bench]'",
    ]
    assert "pip install 'dizuo[bench]'" in dizuo("ghost", "--help").out


def test_a_package_missing_further_in_is_explained_too() -> None:
    said = dizuo("shadow")
    assert said.status == 1
    assert "pip install 'dizuo[hub]'" in said.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("broken", "No module named 'dizuo.no_such_room'"),
        ("renamed", "has no attribute 'no_such_app'"),
        ("torn", "cannot import name 'no_such_name'"),
    ],
)
def test_a_broken_package_is_told_and_shuts_no_other_door(name: str, words: str) -> None:
    said = dizuo(name, "--json")
    assert said.status == 1
    assert said.json["error"]["code"] == "package_broken"
    assert f"dizuo {name} cannot be loaded: " in said.err
    assert words in said.err
    listed = dizuo("--help")
    assert listed.status == 0
    assert "kettle" in listed.out


def test_a_defect_is_a_sentence_and_a_file_with_the_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said = dizuo("whistle", "x")
    assert (said.status, said.out) == (1, "")
    first, second = said.err.splitlines()
    assert first == "dizuo failed in a way it should not (RuntimeError)."
    log = Path(second.split(" in ")[1].split(";")[0])
    assert log.parent == tmp_path
    assert "Traceback" in log.read_text()
    assert f"dizuo {__version__}" in log.read_text()
    assert dizuo("whistle", "x", "--json").status == 2


_LOADED = """
import sys
from dizuo.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"fastapi", "sqlalchemy", "torch", "transformers", "lance", "dbos", "onnxruntime", "tuf"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""


@pytest.mark.parametrize("arguments", [["site", "ls"], ["tune", "--help"], ["--version"]])
def test_a_thin_command_loads_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LOADED, *arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_the_version() -> None:
    assert dizuo("--version").out == f"dizuo {__version__}\n"


def test_the_program_is_installed_under_its_name() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dizuo")), "--version"],
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == f"dizuo {__version__}\n"
