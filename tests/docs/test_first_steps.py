"""The walk of `docs/first-steps.md`, command by command, as it stands there: one hub, one site."""

from __future__ import annotations

import base64
import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from PIL import Image
from tests.cli.door import dizuo, ok
from tests.docs.reference import DOCS
from tests.families.vision.foreign import save_model
from tests.runs.conftest import until

from dizuo.client.hub import HubClient
from dizuo.demo.processes import Fleet, free_port, wait_until_answers

PAGE = (DOCS / "first-steps.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", PAGE, re.M | re.S)
COMMANDS = [line for kind, text in BLOCKS if not kind for line in text.splitlines()]
(RECIPE,) = [text for kind, text in BLOCKS if kind == "yaml"]
TINTS = {"leaking": 2, "sound": 0}
"""Which colour is bright where a valve leaks, and where it does not."""
NUM_SAMPLES = 30
"""Training needs 20, and some are held out."""
WAIT_SECONDS = 200.0


def picture(label: str, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A valve: patches that differ from picture to picture, in the label's tint."""
    draw = np.random.default_rng((TINTS[label], number))
    pixels = draw.integers(0, 90, (4, 4, 3), dtype=np.uint8).repeat(4, axis=0).repeat(4, axis=1)
    pixels[:, :, TINTS[label]] += 120
    return pixels


def png(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@dataclass
class Walk:
    """A person who follows the page; `fleet` are the programs that stay, `words` what to write in
    place of the page's own."""

    folder: Path
    fleet: Fleet
    ports: dict[str, int]
    words: dict[str, str] = field(default_factory=dict)

    def take(self, line: str) -> None:
        """Do what one line says, and what the page says beside it."""
        given = [self.words.get(word, word) for word in shlex.split(line)[1:]]
        match given:
            case ["up"]:
                self._stays("hub", given, "api/v1/health")
            case ["agent", "run"]:
                self._stays("site", given, "v2/health/live")
            case ["site", "token", *_]:
                self.words["TOKEN"] = ok(*given).out.strip()
            case ["rollout", "start", *_]:
                ok(*given)
                self._applications_ask()
            case ["review", "label", _, label]:
                for sample in ok("review", "ls", "--limit", "1000", "--json").json:
                    ok("review", "label", sample["digest"], self._truth(sample, label))
            case ["improve", "status"]:
                until(lambda: "done" in ok(*given).out or self._fail(given), WAIT_SECONDS)
            case _:
                ok(*given)

    def _stays(self, name: str, given: list[str], health: str) -> None:
        process = self.fleet.start(name, given, {})
        wait_until_answers(process, f"http://127.0.0.1:{self.ports[name]}/{health}")

    def _applications_ask(self) -> None:
        url = f"http://127.0.0.1:{self.ports['site']}/v2/models/valves"
        until(lambda: httpx2.get(f"{url}/ready", timeout=60).is_success, WAIT_SECONDS)
        for number in range(100, 100 + NUM_SAMPLES):
            pixels = picture(sorted(TINTS)[number % 2], number)
            image = {"name": "image", "datatype": "UINT8", "shape": [1, *pixels.shape]}
            body = {"inputs": [{**image, "data": pixels.ravel().tolist()}]}
            httpx2.post(f"{url}/infer", json=body, timeout=60).raise_for_status()
        until(
            lambda: len(ok("review", "ls", "--limit", "1000", "--json").json) == NUM_SAMPLES,
            WAIT_SECONDS,
        )

    def _truth(self, sample: dict[str, Any], label: str) -> str:
        """The page's label where it is right, else the other."""
        known = json.loads((self.folder / "hub" / "credentials.json").read_bytes())
        with HubClient(known["url"], known["token"]) as hub:
            row = hub.sample(sample["digest"])["row"]
        with Image.open(io.BytesIO(base64.b64decode(row["image"]["base64"]))) as image:
            tint = int(np.asarray(image).mean(axis=(0, 1)).argmax())
        return label if tint == TINTS[label] else next(one for one in TINTS if one != label)

    def _fail(self, given: list[str]) -> bool:
        said = dizuo(*given)
        assert "failed" not in said.out, ok("improve", "status", "--json").json
        return False


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Walk]:
    """The page's files in a folder; hub and site quick to look, and to send everything back."""
    ports = {"hub": free_port(), "site": free_port()}
    settings = {
        "DIZUO_HOME": tmp_path / "hub",
        "DIZUO_PORT": ports["hub"],
        "DIZUO_POLL_SECONDS": 0.5,
        "DIZUO_AGENT_HOME": tmp_path / "site",
        "DIZUO_AGENT_PORT": ports["site"],
        "DIZUO_AGENT_EGRESS_POLICY": "raw",
        "DIZUO_AGENT_CONTROL_SHARE": 1,
        "DIZUO_AGENT_WATCH_SECONDS": 0.5,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    for label in TINTS:
        (tmp_path / "valves" / label).mkdir(parents=True)
        for number in range(40):
            (tmp_path / "valves" / label / f"{number}.png").write_bytes(png(picture(label, number)))
    save_model(tmp_path / "my-resnet", "resnet")
    (tmp_path / "valves.yaml").write_text(RECIPE)
    above = RECIPE.replace("name: valves", "name: valves-plant1").replace("level: L1", "level: L2")
    above = above.replace("from: resnet:1", "from: valves:1").replace("valves@1", "valves-plant1@1")
    above = above.replace("valves-test@1", "valves-plant1-test@1")
    (tmp_path / "valves-plant1.yaml").write_text(above)
    with Fleet(tmp_path / "logs") as fleet:
        yield Walk(tmp_path, fleet, ports)


@pytest.mark.timeout(900)
def test_the_walk_leads_where_it_says(walk: Walk) -> None:
    assert len(COMMANDS) > 15
    for line in COMMANDS:
        walk.take(line)
    kinds = {step["kind"] for step in ok("trace", "valves-plant1:1", "--json").json}
    assert {"site", "stack", "sample"} <= kinds
    assert ok("audit", "verify", "--json").json["ok"]
    served = ok("site", "show", "plant1", "--json").json["stacks"]
    assert {one["served_as"]: one["name"] for one in served} == {"valves": "valves-plant1"}
