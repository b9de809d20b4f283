"""What sites serve under a name, on both databases."""

from __future__ import annotations

from pathlib import Path

from tests.improvements.scene import add_sites, obey
from tests.releases import stacks

from dizuo.database.engine import Database
from dizuo.releases import service as releases
from dizuo.releases.keys import init_keys
from dizuo.releases.repository import Repository
from dizuo.sites import rollouts
from dizuo.sites.serving import ServingSite, serving


def test_what_runs_and_what_shall_run(any_database: Database, tmp_path: Path) -> None:
    init_keys(tmp_path)
    add_sites(any_database)
    with any_database.transaction() as session:
        stack = stacks.gated(session)
        releases.release(session, Repository(tmp_path), stack, "operator:ann")
        rollouts.start(session, stack.ref, ["harbour"], "operator:ann", served_as="meters")
    nothing = ServingSite("mill", "empty", "", "")

    def found(served_as: str, project: str = "default") -> dict[str, ServingSite]:
        with any_database.reading() as session:
            wanted = ("harbour", "mill", "gone")
            return serving(session, wanted, served_as, project_id=project)

    directed = ServingSite("harbour", "empty", "", "meter-reading:1")
    assert found("meters") == {"harbour": directed, "mill": nothing}
    obey(any_database)
    arrived = ServingSite("harbour", "serving", "meter-reading:1", "meter-reading:1")
    assert found("meters") == {"harbour": arrived, "mill": nothing}
    assert found("other-name")["harbour"] == ServingSite("harbour", "serving", "", "")
    assert found("meters", "other") == {}
