"""What a project says about approval, on both databases."""

from __future__ import annotations

import pytest
from tests.improvements import scene
from tests.improvements.conftest import Works

from dizuo.audit import store as audit_store
from dizuo.database.engine import Database
from dizuo.improvements.model import Policy
from dizuo.improvements.policy import policy, set_policy


@pytest.mark.parametrize("default", [True, False])
def test_the_hubs_setting_counts_until_the_project_has_spoken(
    any_database: Database, default: bool
) -> None:
    with any_database.transaction() as session:
        assert policy(session, "default", default=default) == Policy(default)
        set_policy(session, "default", "operator:ann", require_approval=not default)
    with any_database.reading() as session:
        assert policy(session, "default", default=default) == Policy(not default, "operator:ann")
        assert policy(session, "other", default=default) == Policy(default)


def test_saying_the_same_again_changes_nothing(database: Database) -> None:
    said = [("ann", True), ("bob", True), ("bob", False)]
    for name, required in said:
        with database.transaction() as session:
            found = set_policy(session, "default", f"operator:{name}", require_approval=required)
            assert found.require_approval is required
    with database.reading() as session:
        entries = list(audit_store.stream(session))
    assert [(one.actor, one.action, one.subject, one.detail) for one in entries] == [
        (actor, "improvement_policy.set", "project:default", {"require_approval": required})
        for actor, required in (("operator:ann", True), ("operator:bob", False))
    ]


def test_an_improvement_asks_at_its_start(works: Works) -> None:
    assert not works.start().needs_approval
    with works.database.transaction() as session:
        set_policy(session, "default", scene.ANN.actor, require_approval=True)
    assert works.start().needs_approval
