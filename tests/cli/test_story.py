"""The whole way by the command line against a real hub: rows, stack, gates, release, site, labels.

The steps share one hub and follow each other; each later one stands on what the earlier ones made.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cli.conftest import running_hub
from tests.cli.door import dizuo, ok

from dizuo.agent.home import AgentHome
from dizuo.agent.hub_client import HubClient, open_client
from dizuo.agent.join import JoinRequest, join
from dizuo.edge.wire import CheckIn, DesiredState, Sample, SampleUpload, sample_digest

RECIPE = """
name: bars
level: L0
family: vision
from: scratch
data: {train: bars@1}
method:
  kind: pretrain
  epochs: 1
  learning_rate: 0.01
  batch_size: 16
  architecture: {type: resnet, embedding_size: 4, hidden_sizes: [4, 8], depths: [1, 1],
                 image: {height: 8, width: 8, channels: 1}}
task: {kind: classify}
gates:
  - {suite: bars-test@1, metric: accuracy, at_least: 0.0}
targets: [safetensors, onnx]
"""


@dataclass
class Story:
    """What the steps hand on."""

    home: Path
    recipe: Path
    images: Path
    open: ExitStack
    edge: HubClient | None = None
    digest: str = ""


def _picture(number: int) -> bytes:
    draw = np.random.default_rng(number)
    pixels = draw.integers(0, 60, (8, 8), dtype=np.uint8)
    if number % 2:
        pixels[:, draw.integers(1, 7)] += 180
    else:
        pixels[draw.integers(1, 7)] += 180
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    for number in range(80):
        path = folder / "images" / ("tall" if number % 2 else "wide") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_picture(number))
    (folder / "images" / "tall" / "broken.png").write_bytes(b"not a picture")
    (folder / "bars.yaml").write_text(RECIPE)
    with running_hub(folder) as home, ExitStack() as open_clients:
        yield Story(home, folder / "bars.yaml", folder / "images", open_clients)


@pytest.fixture(autouse=True)
def _at_home(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIZUO_HOME", str(story.home))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("model ls", "There are no stacks yet."),
        ("data ls", "There are no datasets yet."),
        ("runs ls", "There are no such runs."),
        ("site ls", "No site has joined yet."),
        ("rollout status", "There are no rollouts yet."),
        ("release", "There are no releases yet."),
        ("review ls", "There are no such samples."),
        ("improve status", "There are no improvements yet."),
    ],
)
def test_1_a_new_hub_is_empty_and_says_what_to_do(arguments: str, words: str) -> None:
    assert words in ok(*arguments.split()).out
    assert ok(*arguments.split(), "--json").json == []


def test_2_rows_become_a_dataset_with_a_line_for_each_reject(story: Story) -> None:
    arguments = ("data", "add", "bars", str(story.images), "--holdout", "0.3")
    said = ok(*arguments)
    assert "80 rows taken, 0 were there already, 1 not taken." in said.out
    assert "tall/broken.png: " in said.out
    assert "bars-test@1: " in said.out
    again = ok(*arguments, "--json").json
    assert [one["new"] for one in again["versions"]] == [False, False]
    assert {one["name"] for one in ok("data", "ls", "--json").json} == {"bars", "bars-test"}
    assert "bars@1" in ok("data", "ls").out
    shown = ok("data", "show", "bars@1", "--rejects")
    assert "tall/broken.png" in shown.out
    assert ok("data", "show", "bars@1", "--rejects", "--json").json["rejects"][0]["reason"]
    assert "sha256:" in shown.out


def test_3_more_rows_make_another_version(story: Story, tmp_path: Path) -> None:
    (tmp_path / "tall").mkdir()
    for number in range(101, 121, 2):
        (tmp_path / "tall" / f"{number}.png").write_bytes(_picture(number))
    ok("data", "add", "bars", str(tmp_path))
    versions = ok("data", "show", "bars", "--json").json["versions"]
    assert sorted(one["version"] for one in versions) == [1, 2]
    assert "rejected" in ok("data", "show", "bars").out
    found = ok("data", "diff", "bars@1", "bars@2", "--json").json
    assert found["num_removed"] == 0
    assert found["num_added"] == len(found["added"]) > 0
    assert f"{found['num_added']} added" in ok("data", "diff", "bars@1", "bars@2").out


def test_4_a_table_of_rows_is_told_by_its_name(story: Story, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    picture = base64.b64encode(_picture(7)).decode()
    rows.write_text(f'{{"image": {{"base64": "{picture}"}}, "label": "tall"}}\nnot json\n')
    said = dizuo("data", "add", "lines", str(rows), "--json")
    assert said.status == 0, said
    assert (said.json["num_accepted"], said.json["num_rejected"]) == (1, 1)
    assert said.json["rejects"][0]["place"] == "line 2"
    replaced = ok("data", "add", "lines", str(rows), "--replace", "--format", "jsonl", "--json")
    assert replaced.json["num_accepted"] + replaced.json["num_duplicates"] == 1


def test_5_a_recipe_is_refused_with_the_line_of_each_problem(story: Story, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(RECIPE.replace("level: L0", "levle: L0").replace("bars@1}", "none@1}"))
    before = ok("audit", "verify", "--json").json
    for arguments in (("--check",), ()):
        said = dizuo("tune", str(wrong), "--json", *arguments)
        assert said.status == 1
        assert said.json["error"]["code"] == "recipe_refused"
        assert 3 in {problem["line"] for problem in said.json["problems"]}
        assert "levle" in said.err
        assert "line 3: " in said.err
    assert ok("audit", "verify", "--json").json == before
    assert "would be accepted" in ok("tune", str(story.recipe), "--check").out


def test_6_a_recipe_becomes_a_stack_with_its_report(story: Story) -> None:
    said = ok("tune", str(story.recipe))
    assert "bars:1 is made." in said.out
    assert "✓ met" in said.out
    assert said.out.rstrip().endswith("bars:1 passed.")
    assert "was made before" in ok("tune", str(story.recipe), "--no-gate").out
    shown = ok("model", "show", "bars", "--json").json
    story.digest = shown["digest"]
    assert story.digest in ok("model", "show", "bars:1").out
    assert "bars:1" in ok("model", "ls").out
    assert ok("model", "log", "bars", "--json").json[0]["version"] == 1
    assert shown["run_id"] in ok("model", "log", "bars").out
    runs = ok("runs", "ls", "--kind", "tune", "--json").json
    assert shown["run_id"] in {run["id"] for run in runs}
    assert "bars:1" in ok("runs", "show", shown["run_id"]).out
    assert ok("runs", "log", shown["run_id"], "--json").json["run"] == shown["run_id"]
    ended = dizuo("runs", "cancel", shown["run_id"])
    assert (ended.status, "is succeeded and cannot cancel" in ended.err) == (1, True)


def test_7_a_stack_is_traced_to_its_rows(story: Story) -> None:
    steps = ok("trace", "bars:1", "--json").json
    assert steps[0]["digest"] == story.digest
    assert {"kind", "id", "digest"} <= set(steps[0])
    assert "bars@1" in str(steps)
    assert "bars@1" in ok("trace", "bars").out


def test_8_a_site_joins_and_is_directed(story: Story, tmp_path: Path) -> None:
    made = ok("site", "token", "--ttl-seconds", "600", "--json").json
    plain = ok("site", "token")
    assert plain.out.strip().startswith("dizuo-join-")
    assert "dizuo agent join" in plain.err
    enrolment = join(AgentHome(tmp_path / "site"), JoinRequest(made["token"], "site3"))
    client = open_client(enrolment.hub_url, credential=enrolment.edge_credential)
    story.edge = HubClient(story.open.enter_context(client))
    too_early = dizuo("rollout", "start", "bars:1", "--all", "--json")
    assert too_early.status == 1
    assert "is signed." in ok("release", "bars:1").out
    started = ok("rollout", "start", "bars:1", "--site", "site3", "--as", "meter", "--json").json
    assert (started["stack"], started["served_as"]) == ("bars:1", "meter")
    reply = story.edge.check_in(CheckIn(state="serving", running=DesiredState(generation=0)))
    assert [one.digest for one in reply.desired.stacks] == [story.digest]
    story.edge.check_in(CheckIn(state="serving", running=reply.desired))
    assert "bars:1 as meter" in ok("site", "ls").out
    assert "bars:1 as meter" in ok("site", "show", "site3").out
    assert ok("site", "show", "site3", "--json").json["generation"] == reply.desired.generation
    shown = ok("rollout", "status", started["id"])
    assert "site3" in shown.out
    assert "done" in shown.out
    assert started["id"] in ok("rollout", "status").out
    assert dizuo("rollout", "stop", started["id"]).status == 1
    back = ok("rollout", "rollback", started["id"], "--json").json
    assert back["state"] == "rolled_back"


OTHER = "sha256:" + "0" * 64
COMMANDS = (
    "release STACK",
    "release STACK --withdraw",
    "rollout start STACK --site site3",
    "gate STACK",
    "gate STACK --detach",
    "trace STACK",
    "model show STACK",
    "model log STACK",
)


@pytest.mark.parametrize("reference", [f"bars:1@{OTHER}", f"bars@{OTHER}", "other/bars:1"])
def test_8_another_digest_or_project_is_refused_and_changes_nothing(
    story: Story, reference: str
) -> None:
    before = ok("audit", "verify", "--json").json
    for command in COMMANDS:
        said = dizuo(*command.replace("STACK", reference).split(), "--json")
        assert said.status == 1, command
        assert said.json["error"]["code"] in ("stack_not_found", "release_not_found"), command
        assert reference[:80] in said.json["error"]["message"], command
    assert ok("audit", "verify", "--json").json == before


def test_8_the_right_digest_is_accepted_everywhere(story: Story) -> None:
    pinned = f"default/bars:1@{story.digest}"
    assert ok("release", pinned, "--json").json["digest"] == story.digest
    assert ok("gate", f"bars@{story.digest}", "--json").json["stack_digest"] == story.digest
    for text in (pinned, f"bars@{story.digest}", story.digest):
        assert ok("model", "show", text, "--json").json["digest"] == story.digest
        assert ok("trace", text, "--json").json == ok("trace", "bars:1", "--json").json
        assert [one["version"] for one in ok("model", "log", text, "--json").json] == [1]


def test_8_a_rollout_without_a_version_takes_the_newest_that_is_signed(story: Story) -> None:
    story.recipe.write_text(RECIPE.replace("epochs: 1", "epochs: 1\n  weight_decay: 0.02"))
    assert "bars:2 is made." in ok("tune", str(story.recipe), "--no-gate").out
    started = ok("rollout", "start", "bars", "--site", "site3", "--as", "meter", "--json").json
    assert (started["stack"], started["digest"]) == ("bars:1", story.digest)
    assert dizuo("rollout", "start", "bars:2", "--site", "site3").status == 1
    ok("rollout", "rollback", started["id"])


def test_8_what_runs_at_a_site_is_traced_by_its_digest(story: Story) -> None:
    assert story.edge is not None
    started = ok("rollout", "start", "bars:1", "--site", "site3", "--as", "meter", "--json").json
    reply = story.edge.check_in(CheckIn(state="serving", running=DesiredState(generation=0)))
    story.edge.check_in(CheckIn(state="serving", running=reply.desired))
    (running,) = ok("site", "show", "site3", "--json").json["stacks"]
    assert running["digest"] in ok("site", "show", "site3").out
    steps = ok("trace", running["digest"], "--json").json
    assert [step["kind"] for step in steps[:3]] == ["site", "release", "stack"]
    assert (steps[0]["id"], steps[0]["served_as"]) == ("site3", ["meter"])
    assert "site3" in ok("trace", running["digest"]).out
    ok("rollout", "rollback", started["id"])


def test_8_releases_are_listed() -> None:
    listed = ok("release", "--json").json
    assert [(one["stack"], one["state"]) for one in listed] == [("bars:1", "signed")]
    assert "bars:1" in ok("release").out
    assert dizuo("release", "--withdraw").status == 2
    refused = dizuo("release", "bars", "--withdraw", "--json")
    assert refused.json["error"]["next_step"] == (
        "Name one as name:version; list them: dizuo release."
    )


def _sample(story: Story, number: int, reason: Any) -> Sample:
    row = {"image": {"base64": base64.b64encode(_picture(number)).decode()}}
    return Sample(
        digest=sample_digest(row, story.digest),
        family="vision",
        served_as="meter",
        stack_digest=story.digest,
        row=row,
        answer="tall",
        confidence=0.5,
        reason=reason,
        taken_ms=1,
    )


def test_9_samples_are_labelled_and_become_rows(story: Story) -> None:
    assert story.edge is not None
    sent = tuple(_sample(story, number, "uncertain") for number in range(201, 206))
    assert len(story.edge.send_samples(SampleUpload(samples=sent)).accepted) == 5
    listed = ok("review", "ls", "--site", "site3", "--json").json
    assert {one["digest"] for one in listed} == {one.digest for one in sent}
    assert sent[0].digest in ok("review", "ls", "--limit", "5").out
    first, second, third = (one["digest"] for one in listed[:3])
    assert "is reviewed." in ok("review", "label", first, "tall").out
    assert "is reviewed." in ok("review", "label", second, "--label-json", '"wide"').out
    assert "is unusable." in ok("review", "label", third, "--unusable").out
    assert dizuo("review", "label", first, "wide").status == 1
    assert ok("review", "label", first, "wide", "--correct", "--json").json["label"] == "wide"
    assert ok("review", "ls", "--site", "nowhere", "--json").json == []
    added = ok("review", "dataset", "site3-bars", "--site", "site3")
    assert "site3-bars@1: " in added.out
    states = [one["state"] for one in ok("review", "ls", "--state", "all", "--json").json]
    assert sorted(states) == ["returned", "returned", "unusable", "used", "used"]


def test_10_an_improvement_is_started_and_shown(story: Story, tmp_path: Path) -> None:
    recipe = tmp_path / "again.yaml"
    recipe.write_text(RECIPE)
    common = ("--dataset", "bars", "--site", "site3", "--as", "meter", "--from-site", "site3")
    started = ok("improve", "start", str(recipe), *common, "--json").json
    assert started["request"]["served_as"] == "meter"
    assert started["id"] in ok("improve", "status").out
    assert started["id"] in ok("improve", "status", started["id"]).out
    for word in ("approve", "reject"):
        refused = dizuo("improve", word, started["id"], "--json")
        assert refused.status == 1
        assert refused.json["error"]["code"] == "transition_refused"


def test_11_a_site_is_let_go(story: Story) -> None:
    assert "site3 is no longer a site" in ok("site", "rm", "site3").out
    assert ok("site", "ls", "--json").json == []
    withdrawn = ok("release", "bars:1", "--withdraw", "--json").json
    assert withdrawn["state"] == "withdrawn"


def test_12_all_of_it_is_in_the_log_and_the_log_is_whole() -> None:
    assert ok("audit", "verify", "--json").json["ok"]
    done = {
        one["action"]
        for one in ok("audit", "log", "--after", "0", "--limit", "1000", "--json").json
    }
    assert {"run.submitted", "release.signed", "site.joined", "sample.reviewed"} <= done
