"""What a hub that was killed left behind: the next one gives the room back."""

from __future__ import annotations

import os

from tests.faults.conftest import Story

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.stacks import read_stack
from dizuo.audit import store as audit_store
from dizuo.runs.folder import RunFolder
from dizuo.stacks import service as stacks


def test_what_a_killed_hub_and_its_runs_left_goes_and_no_more(story: Story) -> None:
    story.dies("dizuo.runs.supervisor:Supervisor._ended before 1")
    (tune,) = [folder for path in story.home.glob("runs/*/") if (folder := RunFolder(path)).work()]
    half = story.home / "runs" / ".inspect-half" / "model"
    half.mkdir(parents=True)
    layout = Layout(story.home / "layout")
    nobodys = layout.put_bytes(b"weights of a run that was killed")
    for path in layout.blob_directory.iterdir():
        os.utime(path, (1, 1))

    story.ends()

    story.assert_done_once()
    assert tune.work() == []
    assert not half.parent.exists()
    assert not layout.has(nobodys.digest)
    with story.database.reading() as session:
        (stack,) = stacks.log(session, "caller")
        (freed,) = [e.detail for e in audit_store.stream(session) if e.action == "hub.freed"]
    read_stack(layout, stack.digest)
    assert (freed["num_blobs"], freed["runs"]) == (1, [tune.path.name])
