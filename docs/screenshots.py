"""Pictures of the console's pages, taken from a running demo.

`dizuo demo --keep` leaves a hub and its sites running; this looks at every page of that hub in a
browser, and at the first page of a hub that holds nothing, and writes one picture a page into
`docs/screenshots/`.
"""

from __future__ import annotations

import io
import json
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from benchmarks.rig.browser import Chromium, chromium
from benchmarks.rig.result import run
from PIL import Image
from playwright.sync_api import BrowserContext, FilePayload, Page

from dizuo.cli.output import say
from dizuo.client.credentials import ClientSettings, find_credentials
from dizuo.client.hub import HubClient
from dizuo.demo.hotline import story as hotline
from dizuo.demo.meter import story as meter
from dizuo.demo.processes import Fleet
from dizuo.demo.town import running_town

ACCOUNT = "photographer"
NOTES = "town-notes"
"""A dataset of two versions, the newer one with a row that could not be taken."""
OUT = Path(__file__).parent / "screenshots"
_TICKETS = (
    {"prompt": "春晖路12号的路灯不亮，请尽快修。", "label": "streetlight"},
    {"prompt": "Water is running out of the ground at 7 Harbour Lane.", "label": "water"},
    {"prompt": "工地夜里一点还在施工，睡不着。", "label": "noise"},
    {"prompt": "", "label": "noise"},
)
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


SIGNED_OUT = (Shot("login", "/login"), Shot("login-zh", "/login?language=zh"))
"""Before anybody has signed in; `language` and `theme` are nobody's yet."""
EMPTY = (Shot("overview-empty", "/"), Shot("overview-empty-zh", "/", language="zh"))
"""Of a hub that holds nothing."""


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
    with HubClient(known.url, known.token) as hub, chromium() as browser:
        _add_notes(hub)
        _take_all(browser, hub, signed_in_shots(_subjects(hub)), out, SIGNED_OUT)
        with _empty_hub() as empty:
            _take_all(browser, empty, EMPTY, out)


def _add_notes(hub: HubClient) -> None:
    """Make both versions of NOTES, unless that was done before."""
    if any(one["name"] == NOTES for one in hub.datasets()):
        return
    shape = {"format": "jsonl", "family": "text", "mode": "replace"}
    with tempfile.TemporaryDirectory(prefix="dizuo-screenshots-") as folder:
        for tickets in (_TICKETS[:2], _TICKETS[1:]):
            path = Path(folder) / "tickets.jsonl"
            path.write_bytes(_as_lines(tickets))
            hub.add_dataset_version(NOTES, {"upload": hub.upload(path)["digest"], **shape})


def _as_lines(rows: Sequence[Mapping[str, str]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@contextmanager
def _empty_hub() -> Iterator[HubClient]:
    """A hub of its own that holds nothing, while the block runs."""
    with (
        tempfile.TemporaryDirectory(prefix="dizuo-screenshots-") as folder,
        Fleet(Path(folder) / "logs") as processes,
        running_town(Path(folder), processes, {}, sampler_seed=0) as town,
    ):
        yield town.hub


def _take_all(
    browser: Chromium, hub: HubClient, shots: Sequence[Shot], out: Path, before: Sequence[Shot] = ()
) -> None:
    """Take some pictures of a hub before signing in, and the others after it."""
    with _account(hub) as password, browser.visit(reduced_motion="reduce") as context:
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        for shot in before:
            _take(page, hub.url, shot, out)
        _sign_in(page, hub.url, password)
        for shot in shots:
            _prefer(context, hub.url, shot)
            _take(page, hub.url, shot, out)


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
    page.wait_for_function("!document.querySelector('#main [aria-busy=true]')")
    page.wait_for_load_state("networkidle")


def _prefer(context: BrowserContext, url: str, shot: Shot) -> None:
    preferred: dict[str, str | float | bool] = {"language": shot.language, "theme": shot.theme}
    context.request.post(f"{url}/preferences", form=preferred, headers={"Origin": url})


def _take(page: Page, url: str, shot: Shot, out: Path) -> None:
    say(f"{shot.name}: {shot.address}")
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


@dataclass(frozen=True, slots=True)
class Subjects:
    """What the pages about one thing are about: the thing that the demo's last steps were about, as
    it stands in addresses."""

    stack: str
    stack_name: str
    city_stack: str
    pictures: str
    calls: str
    run: str
    other_run: str
    release: str
    rollout: str
    improvement: str
    entry: str


def _subjects(hub: HubClient) -> Subjects:
    made = hub.stack_versions(meter.FINAL_STACK)[0]
    city = hub.stack_versions(f"{hotline.CHANGED}-winter")[0]
    tunes = [one for one in hub.runs({"kind": "tune"}) if one["outcome"] and not one["cached"]]
    improvement = hub.improvements()[0]
    signed = [one for one in hub.audit(limit=1000) if one["action"] == "release.signed"]
    return Subjects(
        stack=f"{made['name']}/{made['version']}",
        stack_name=made["name"],
        city_stack=f"{city['name']}/{city['version']}",
        pictures=_newest(hub, "meter-digits"),
        calls=_newest(hub, "harbin-tickets"),
        run=tunes[0]["id"],
        other_run=tunes[1]["id"],
        release=hub.releases()[0]["id"],
        rollout=hub.rollouts()[0]["id"],
        improvement=improvement["id"],
        entry=str(signed[-1]["sequence"]),
    )


def signed_in_shots(of: Subjects) -> list[Shot]:
    """Every page that somebody sees who has signed in."""
    return [
        Shot("overview", "/"),
        Shot("overview-zh-dark", "/", language="zh", theme="dark"),
        Shot("overview-phone", "/", width=_PHONE),
        Shot("stacks", "/stacks"),
        Shot("stack-versions", f"/stacks/{of.stack_name}"),
        Shot("stack", f"/stacks/{of.stack}"),
        Shot("stack-zh", f"/stacks/{of.city_stack}", language="zh"),
        Shot("data", "/data"),
        Shot("data-versions", f"/data/{NOTES}"),
        Shot("data-pictures", f"/data/{of.pictures}"),
        Shot("data-tickets-zh", f"/data/{of.calls}", language="zh"),
        Shot("data-rejects", f"/data/{NOTES}/2/rejects"),
        Shot("data-diff", f"/data/{NOTES}/1/diff?to=2"),
        Shot("data-import", "/data/import", prepare=_choose_tickets),
        Shot("runs", "/runs"),
        Shot("run", f"/runs/{of.run}"),
        Shot("runs-compared", f"/runs/compare?a={of.run}&b={of.other_run}"),
        Shot("recipe-form", f"/runs/new?run={of.run}"),
        Shot("recipe-yaml-dark", f"/runs/new?run={of.run}&as=yaml", theme="dark"),
        Shot("review", "/review"),
        Shot("labelling", f"/review/label?stack={meter.SERVED_AS}"),
        Shot("labelling-zh", f"/review/label?stack={hotline.CHANGED}", language="zh"),
        Shot("labelling-phone", f"/review/label?stack={meter.SERVED_AS}", width=_PHONE),
        Shot("releases", "/releases"),
        Shot("release", f"/releases/{of.release}"),
        Shot("rollouts", "/releases/rollouts"),
        Shot("rollout", f"/releases/rollouts/{of.rollout}"),
        Shot("rollout-start", f"/releases/rollouts/new?release={of.release}"),
        Shot("sites", "/sites"),
        Shot("site", f"/sites/{meter.DRIFTED_SITE}"),
        Shot("site-dark", f"/sites/{meter.DRIFTED_SITE}", theme="dark"),
        Shot("join", "/join"),
        Shot("approvals", "/approvals"),
        Shot("improvement", f"/approvals/{of.improvement}"),
        Shot("improvement-start", "/approvals/new"),
        Shot("audit", "/audit"),
        Shot("audit-entry", f"/audit/{of.entry}"),
        Shot("people", "/people"),
        Shot("person", f"/people/{ACCOUNT}"),
        Shot("account", "/account"),
    ]


def _choose_tickets(page: Page) -> None:
    """Choose a file of tickets, and wait until the hub has looked into it."""
    lines = _as_lines(_TICKETS)
    file = FilePayload(name="tickets.jsonl", mimeType="application/jsonl", buffer=lines)
    page.locator("#file").set_input_files(file)
    page.wait_for_url("**/data/import?*upload=sha256*")
    page.locator(".figures.small").wait_for()


def _newest(hub: HubClient, name: str) -> str:
    return f"{name}/{hub.dataset(name)['latest']['version']}"


if __name__ == "__main__":
    run(main)
