"""Where the console shows what has a page of its own."""

from __future__ import annotations

import pytest

from dizuo.console.elements.places import (
    dataset_link,
    stack_link,
    stack_ref_link,
    subject_address,
)


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("stack:meters:3", "/stacks/meters/3"),
        ("dataset:tickets@2", "/data/tickets/2"),
        ("dataset:tickets", "/data/tickets"),
        ("site:mill", "/sites/mill"),
        ("run:0198", "/runs/0198"),
        ("rollout:0198:mill", "/releases/rollouts/0198"),
        ("improvement:0198", "/approvals/0198"),
        ("account:mei", "/people/mei"),
        ("site:a?b", "/sites/a%3Fb"),
        ("keys:root", ""),
        ("site:", ""),
        ("", ""),
    ],
)
def test_what_an_audit_entry_is_about_has_a_page_or_none(subject: str, found: str) -> None:
    assert subject_address(subject) == found


def test_versions_are_named_as_people_write_them() -> None:
    assert stack_link("meters", 3) == stack_ref_link("meters:3")
    assert stack_link("meters", 3) == '<a href="/stacks/meters/3">meters:3</a>'
    assert dataset_link("tickets@2") == '<a href="/data/tickets/2">tickets@2</a>'
