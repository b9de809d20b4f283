"""A reference whose digest or project does not fit: refused by every command, nothing changes."""

from __future__ import annotations

import pytest
from tests.cli.door import ok
from tests.e2e.refusals import RunningHub, refused, refused_by_a_process

OTHER = "sha256:" + "0" * 64
UNKNOWN = "There is no (version|stack) "
COMMANDS: dict[str, tuple[str, str, str]] = {
    "release STACK": ("stack_not_found", UNKNOWN, "newest is|own project"),
    "release STACK --withdraw": ("release_not_found", "There is no release ", "dizuo release"),
    "rollout start STACK --all": ("release_not_found", "is not released", "dizuo release"),
    "gate STACK": ("stack_not_found", UNKNOWN, "newest is|own project"),
    "trace STACK": ("stack_not_found", UNKNOWN, "newest is|own project"),
    "model show STACK": ("stack_not_found", UNKNOWN, "newest is|own project"),
    "model log STACK": ("stack_not_found", UNKNOWN, "newest is|own project"),
}


@pytest.fixture
def at_released(released: RunningHub, at_hub: RunningHub) -> RunningHub:
    """The hub with `reader:1` and `reader:2`, which commands find by themselves."""
    return released


@pytest.mark.parametrize("command", COMMANDS)
def test_a_part_that_does_not_fit(at_released: RunningHub, command: str) -> None:
    digest = ok("model", "show", "reader:1", "--json").json["digest"]
    references = {
        "wrong digest": f"reader:1@{OTHER}",
        "wrong digest of no version": f"reader@{OTHER}",
        "digest of another version": f"reader:2@{digest}",
        "other project": "other/reader:1",
        "other project, right digest": f"other/reader:1@{digest}",
    }
    with at_released.unchanged():
        for name, reference in references.items():
            told = refused(*command.replace("STACK", reference).split())
            assert told.code == COMMANDS[command][0], name
            told.matches(*COMMANDS[command])


def test_a_pinned_digest_is_what_is_signed_or_nothing(at_released: RunningHub) -> None:
    digest = ok("model", "show", "reader:1", "--json").json["digest"]
    pinned = f"reader:1@{digest}"
    assert ok("release", pinned, "--json").json["digest"] == digest
    with at_released.unchanged():
        said = refused_by_a_process("--home", str(at_released.home), "release", f"reader:1@{OTHER}")
    assert f"There is no version reader:1@{OTHER} of reader." in said


@pytest.mark.parametrize("command", ["trace", "model show", "model log", "gate"])
def test_a_digest_that_nothing_has(at_released: RunningHub, command: str) -> None:
    with at_released.unchanged():
        told = refused(*command.split(), OTHER)
    told.matches(
        "stack_not_found", "There is no stack with the digest 000000000000", "dizuo model ls"
    )
