"""Runs by pages, kinds, states and words, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from dizuo.database.engine import Database
from dizuo.runs import service
from dizuo.runs.about import about, recipe_of
from dizuo.runs.model import Run, RunFilter, RunState

RECIPE = "# 读表\nname: bars # ours\nlevel: L0\ndescription: 水表读数\ndata: {train: meters@3}\n"


def submit(database: Database, kind: str, key: str, project: str = "default", **spec: Any) -> Run:
    with database.transaction() as session:
        return service.submit(session, kind, spec, key, "ann", project_id=project)


@pytest.fixture
def runs(any_database: Database) -> tuple[Database, list[Run]]:
    """Four runs of a project, and one of another."""
    made = [
        submit(any_database, "tune", "1", recipe=RECIPE),
        submit(any_database, "gate", "2", stack="bars:1"),
        submit(any_database, "import", "3", name="qwen3", source="hf://a/b_c"),
        submit(any_database, "tune", "4", recipe="name: 'other'\n"),
    ]
    submit(any_database, "tune", "1", "theirs", recipe=RECIPE)
    with any_database.transaction() as session:
        made[1] = service.cancel(session, made[1].id, "ann")
        service.start(session, made[3].id, 0)
        made[3] = service.succeed(session, made[3].id, 1, {"stack": "other:7"})
    return any_database, made


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [3, 2, 1, 0]),
        ({"kind": "tune"}, [3, 0]),
        ({"kind": "nothing"}, []),
        ({"state": RunState.CANCELLED}, [1]),
        ({"kind": "tune", "state": RunState.QUEUED}, [0]),
        ({"text": "BARS"}, [1, 0]),
        ({"text": "meters@3"}, [0]),
        ({"text": "水表"}, [0]),
        ({"text": "other:7"}, [3]),
        ({"text": "b_c"}, [2]),
        ({"text": "b%c"}, []),
        ({"text": "b.c"}, []),
    ],
)
def test_what_a_filter_lets_through(
    runs: tuple[Database, list[Run]], wanted: dict[str, Any], found: list[int]
) -> None:
    database, made = runs
    with database.reading() as session:
        asked = RunFilter("default", **wanted)
        assert service.page(session, asked, limit=9) == [made[index] for index in found]
        assert service.num_filtered(session, asked) == len(found)


def test_pages_follow_each_other(runs: tuple[Database, list[Run]]) -> None:
    database, made = runs
    with database.reading() as session:
        asked = RunFilter("default")
        pages = [service.page(session, asked, limit=3, offset=offset) for offset in (0, 3, 6)]
        assert [run for page in pages for run in page] == made[::-1]
        by_id = RunFilter("default", text=made[2].id)
        assert service.page(session, by_id, limit=9) == [made[2]]
        assert service.kinds(session) == ["gate", "import", "tune"]
        assert service.kinds(session, project_id="theirs") == ["tune"]


def test_what_a_run_is_about(runs: tuple[Database, list[Run]]) -> None:
    _, made = runs
    assert [about(run) for run in made] == ["bars", "bars:1", "qwen3", "other:7"]
    assert [bool(recipe_of(run)) for run in made] == [True, False, False, True]


def test_a_run_that_names_nothing_is_about_nothing(database: Database) -> None:
    assert about(submit(database, "counting", "1", recipe=3)) == ""
