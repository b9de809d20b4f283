"""Pictures of the console's pages, taken from a running demo.

`dizuo demo --keep` leaves a hub and its sites running; this looks at every page of that hub in a
browser and writes one picture a page into `docs/screenshots/`.
"""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.rig.browser import chromium
from benchmarks.rig.result import run
from PIL import Image
from playwright.sync_api import BrowserContext, FilePayload, Page

from dizuo.cli.output import say
from dizuo.client.credentials import ClientSettings, find_credentials
from dizuo.client.hub import HubClient
from dizuo.demo.hotline import story as hotline
from dizuo.demo.meter import story as meter

ACCOUNT = "photographer"
OUT = Path(__file__).parent / "screenshots"
_WIDTH, _HEIGHT, _PHONE = 1280, 800, 390
_PATIENCE_MS = 30_000
_NUM_COLOURS = 128

Prepare = Callable[[Page], None]


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: its file's name, the page's address, and how the page is looked at.

    `prepare` does what a person would before the page shows what it is for.
    """

    name: str
    address: str
    language: str = "en"
    theme: str = "light"
    width: int = _WIDTH
    prepare: Prepare | None = None


def main(
    home: Annotated[Path, typer.Option(help="The running demo's hub.")] = Path(
        ".dizuo-demo/seed-1/hub"
    ),
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = OUT,
) -> None:
    """Take a picture of every page of the console of a running demo.

    Example: dizuo demo --keep && python -m docs.screenshots
    """
    known = find_credentials(ClientSettings.load(home=home))
    out.mkdir(parents=True, exist_ok=True)
    with (
        HubClient(known.url, known.token) as hub,
        _account(hub) as password,
        chromium() as browser,
        browser.visit(reduced_motion="reduce") as context,
    ):
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        _sign_in(page, hub.url, password)
        for shot in _shots(hub):
            say(f"{shot.name}: {shot.address}")
            _take(context, page, hub.url, shot, out)


@contextmanager
def _account(hub: HubClient) -> Iterator[str]:
    """An admin whom nobody can sign in as afterwards; the password."""
    password = secrets.token_urlsafe(24)
    if any(one["name"] == ACCOUNT for one in hub.accounts()):
        hub.set_account_password(ACCOUNT, password)
        hub.enable_account(ACCOUNT)
    else:
        hub.create_account(ACCOUNT, "admin", password)
    try:
        yield password
    finally:
        hub.disable_account(ACCOUNT)


def _sign_in(page: Page, url: str, password: str) -> None:
    page.goto(f"{url}/login")
    page.locator("#name").fill(ACCOUNT)
    page.locator("#password").fill(password)
    page.locator("form button[type=submit]").click()
    _settle(page)


def _settle(page: Page) -> None:
    """Until the page is drawn, its socket stands and all that it shows has come."""
    page.locator("h1").first.wait_for()
    page.wait_for_function("!window.socket || window.socket.connected")
    page.wait_for_load_state("networkidle")


def _take(context: BrowserContext, page: Page, url: str, shot: Shot, out: Path) -> None:
    preferred: dict[str, str | float | bool] = {"language": shot.language, "theme": shot.theme}
    context.request.post(f"{url}/preferences", form=preferred, headers={"Origin": url})
    page.set_viewport_size({"width": shot.width, "height": _HEIGHT})
    page.goto(url + shot.address)
    _settle(page)
    if shot.prepare:
        shot.prepare(page)
        _settle(page)
    with Image.open(io.BytesIO(page.screenshot())) as image:
        image.convert("RGB").quantize(_NUM_COLOURS, dither=Image.Dither.NONE).save(
            out / f"{shot.name}.png", optimize=True
        )


def _shots(hub: HubClient) -> list[Shot]:
    """Every page; of those about one thing, the one that the demo's last steps were about."""
    made = hub.stack_versions(meter.FINAL_STACK)[0]
    city = hub.stack_versions(f"{hotline.CHANGED}-winter")[0]
    tunes = [one for one in hub.runs({"kind": "tune"}) if one["outcome"] and not one["cached"]]
    release = hub.releases()[0]
    rollout = hub.rollouts()[0]
    improvement = hub.improvements()[0]
    stack = f"/stacks/{made['name']}/{made['version']}"
    data = _newest(hub, "meter-digits")
    calls = _newest(hub, "harbin-tickets")
    return [
        Shot("overview", "/"),
        Shot("overview-zh-dark", "/", language="zh", theme="dark"),
        Shot("overview-phone", "/", width=_PHONE),
        Shot("stacks", "/stacks"),
        Shot("stack", stack),
        Shot("stack-zh", f"/stacks/{city['name']}/{city['version']}", language="zh"),
        Shot("data", "/data"),
        Shot("data-pictures", f"/data/{data}"),
        Shot("data-tickets-zh", f"/data/{calls}", language="zh"),
        Shot("data-import", "/data/import", prepare=_choose_tickets),
        Shot("runs", "/runs"),
        Shot("run", f"/runs/{tunes[0]['id']}"),
        Shot("runs-compared", f"/runs/compare?a={tunes[0]['id']}&b={tunes[1]['id']}"),
        Shot("recipe-form", f"/runs/new?run={tunes[0]['id']}"),
        Shot("recipe-yaml-dark", f"/runs/new?run={tunes[0]['id']}&as=yaml", theme="dark"),
        Shot("review", "/review"),
        Shot("labelling", f"/review/label?stack={meter.SERVED_AS}"),
        Shot("labelling-zh", f"/review/label?stack={hotline.CHANGED}", language="zh"),
        Shot("labelling-phone", f"/review/label?stack={meter.SERVED_AS}", width=_PHONE),
        Shot("releases", "/releases"),
        Shot("release", f"/releases/{release['id']}"),
        Shot("rollouts", "/releases/rollouts"),
        Shot("rollout", f"/releases/rollouts/{rollout['id']}"),
        Shot("rollout-start", f"/releases/rollouts/new?release={release['id']}"),
        Shot("sites", "/sites"),
        Shot("site", f"/sites/{meter.DRIFTED_SITE}"),
        Shot("site-dark", f"/sites/{meter.DRIFTED_SITE}", theme="dark"),
        Shot("join", "/join"),
        Shot("approvals", "/approvals"),
        Shot("improvement", f"/approvals/{improvement['id']}"),
        Shot("improvement-start", "/approvals/new"),
        Shot("audit", "/audit"),
        Shot("people", "/people"),
        Shot("account", "/account"),
    ]


def _choose_tickets(page: Page) -> None:
    """Choose a file of tickets, and wait until the hub has looked into it."""
    rows = [
        {"prompt": "春晖路12号的路灯不亮，请尽快修。", "label": "streetlight"},
        {"prompt": "Water is running out of the ground at 7 Harbour Lane.", "label": "water"},
        {"prompt": "工地夜里一点还在施工，睡不着。", "label": "noise"},
        {"prompt": "", "label": "noise"},
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    file = FilePayload(name="tickets.jsonl", mimeType="application/jsonl", buffer=lines.encode())
    page.locator("#file").set_input_files(file)
    page.wait_for_url("**/data/import?*upload=sha256*")
    page.locator(".figures.small").wait_for()


def _newest(hub: HubClient, name: str) -> str:
    return f"{name}/{hub.dataset(name)['latest']['version']}"


if __name__ == "__main__":
    run(main)
