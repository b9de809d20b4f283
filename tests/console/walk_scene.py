"""What a walk through the console needs beside the browser: a file of pictures, a person's eyes,
and a site's own program."""

from __future__ import annotations

import base64
import io
import shlex
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from playwright.sync_api import Locator
from tests.cli.door import ok
from tests.e2e.pictures import LABELS, one_picture, write_folder

from dizuo.demo.processes import Fleet, free_port, wait_until_answers

_BRIGHTEST = """picture => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
  const pen = canvas.getContext("2d", {willReadFrequently: true});
  pen.drawImage(picture, 0, 0);
  const [wide, high] = [canvas.width, canvas.height];
  const light = pen.getImageData(0, 0, wide, high).data;
  const [columns, rows] = [Array(wide).fill(0), Array(high).fill(0)];
  for (let place = 0; place < wide * high; place++) {
    columns[place % wide] += light[4 * place] / high;
    rows[Math.floor(place / wide)] += light[4 * place] / wide;
  }
  return Math.max(...columns) > Math.max(...rows) ? "tall" : "wide";
}"""
_SITE = {
    "DIZUO_AGENT_CONTROL_SHARE": "1",
    "DIZUO_AGENT_RETRY_SECONDS": "0.1",
    "DIZUO_AGENT_WATCH_SECONDS": "0",
    "DIZUO_AGENT_MEMORY_RESERVE_BYTES": "0",
}
"""Every row returns, and a new generation is believed at once."""


def zipped(folder: Path, num_pictures: int) -> bytes:
    """Pictures of bars in a zip file, one folder a label."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for path in sorted(write_folder(folder, num_pictures, seed=1).rglob("*.png")):
            packed.write(path, path.relative_to(folder))
    return stream.getvalue()


def seen(picture: Locator) -> str:
    """What somebody sees who looks at a picture on a page: a bar that stands or lies."""
    found = picture.evaluate(_BRIGHTEST)
    assert found in LABELS
    return str(found)


@contextmanager
def joined(command: str, folder: Path) -> Iterator[None]:
    """A site whose people pasted the command, and then let its program run."""
    home, port = folder / "home", free_port()
    program, *arguments = shlex.split(command)
    assert program == "dizuo"
    ok(*arguments, "--home", str(home))
    with Fleet(folder / "logs") as fleet:
        running = ["agent", "run", "--home", str(home), "--port", str(port)]
        process = fleet.start("site", [*running, "--egress-policy", "raw"], _SITE)
        wait_until_answers(process, f"http://127.0.0.1:{port}/v2/health/live")
        yield


def ask(url: str, model: str, num_pictures: int) -> None:
    """Send a site new pictures, one a request, as an application does."""
    with httpx2.Client(base_url=url, timeout=60) as http:
        for number in range(num_pictures):
            picture = one_picture(1000 + number, LABELS[number % len(LABELS)])
            data = [base64.b64encode(picture).decode()]
            tensor = {"name": "image", "datatype": "BYTES", "shape": [1], "data": data}
            answer = http.post(f"/v2/models/{model}/infer", json={"inputs": [tensor]})
            assert answer.status_code == 200, answer.text
