"""What an improvement could begin with, found by the database, on both of them."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session
from tests.releases.stacks import register
from tests.sites.test_running import direction, join

from dizuo.database.engine import Database
from dizuo.improvements import candidates
from dizuo.improvements.candidates import Served
from dizuo.stacks.model import StackVersion


def built(session: Session, name: str, version: int, *, project: str = "default") -> StackVersion:
    """A version with a recipe."""
    return register(session, name, version, project_id=project, recipe=f"name: {name}\n")


@pytest.fixture
def filled(any_database: Database) -> Database:
    """Sites that serve two versions and what was brought in; and versions that none serves."""
    with any_database.transaction() as session:
        first, second = built(session, "digits", 1), built(session, "digits", 2)
        base = register(session, "base", 1)
        theirs = built(session, "secret", 1, project="other")
        for version in (1, 2):
            built(session, "spare", version)
        join(session, "one", direction(first.digest), direction(base.digest, "base"))
        join(session, "two", direction(first.digest), direction(second.digest, "night"))
        join(session, "three", direction(first.digest, "a-night"))
        join(session, "foreign", direction(theirs.digest), project_id="other")
    return any_database


def test_what_sites_serve_comes_by_the_name_it_is_served_under(filled: Database) -> None:
    with filled.reading() as session:
        assert candidates.served(session, limit=9) == [
            Served("a-night", "digits", 1, 1),
            Served("meter", "digits", 1, 2),
            Served("night", "digits", 2, 1),
        ]
        found = candidates.served(session, "night", limit=9)
        assert [one.served_as for one in found] == ["night", "a-night"]
        assert [one.ref for one in candidates.served(session, "mete", limit=9)] == ["digits:1"]
        assert [one.ref for one in candidates.served(session, "igit", limit=1)] == ["digits:1"]
        assert candidates.served(session, "%", limit=9) == []
        theirs = candidates.served(session, limit=9, project_id="other")
        assert theirs == [Served("meter", "secret", 1, 1)]


def test_others_are_the_newest_with_a_recipe_of_names_that_no_site_serves(
    filled: Database,
) -> None:
    with filled.reading() as session:
        assert candidates.others(session, limit=9) == ["spare:2"]
        assert candidates.others(session, "digits", limit=9) == []
        assert candidates.others(session, limit=9, project_id="other") == []
