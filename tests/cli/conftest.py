"""Hubs for the command line: a real one in a process of its own, and scripted ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.cli.door import Said, dizuo, ok
from tests.cli.scripted_hub import Ask, ScriptedHub
from tests.client.serving import served

from dizuo.demo.processes import Fleet, free_port, wait_until_answers


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the person who runs the tests gets in."""
    for name in list(os.environ):
        if name.startswith("DIZUO_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DIZUO_HOME", str(tmp_path / "nobody's home"))


@contextmanager
def running_hub(folder: Path) -> Iterator[Path]:
    """The home of a hub that has keys and answers; started by `dizuo keys init` and `dizuo up`."""
    home = folder / "home"
    ok("--home", str(home), "keys", "init")
    port = free_port()
    with Fleet(folder / "logs") as fleet:
        arguments = ["up", "--home", str(home), "--port", str(port)]
        process = fleet.start("hub", arguments, {"DIZUO_MAX_PARALLEL_RUNS": "2"})
        wait_until_answers(process, f"http://127.0.0.1:{port}/api/v1/health")
        yield home


@pytest.fixture(scope="package")
def hub_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A hub for all tests that get along with what others left in it."""
    with running_hub(tmp_path_factory.mktemp("hub")) as home:
        yield home


@pytest.fixture
def at_hub(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's home, which commands find by themselves."""
    monkeypatch.setenv("DIZUO_HOME", str(hub_home))
    return hub_home


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Run a command against a scripted hub."""
    with ExitStack() as open_hubs:

        def run(hub: ScriptedHub, *arguments: object) -> Said:
            monkeypatch.setenv("DIZUO_URL", open_hubs.enter_context(served(hub.app())))
            monkeypatch.setenv("DIZUO_TOKEN", "dz_api_x")
            return dizuo(*(str(one) for one in arguments))

        yield run
