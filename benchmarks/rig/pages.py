"""The console's pages: where they are in a crowded hub, how long each takes to open in a browser,
and at which of them something goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from playwright.sync_api import BrowserContext, Page

from benchmarks.rig.browser import chromium
from benchmarks.rig.crowd.fill import Filled
from dizuo.cli.output import say
from dizuo.console.messages import Language, Words
from dizuo.core.errors import Unavailable

_IS_DONE = """
window.socket && window.socket.connected && !document.querySelector('#main [aria-busy=true]')
"""
"""Whether a page that is drawn has its socket, and waits for nothing that is still under way."""
_SIGN_IN = "/login"

Openings = Mapping[str, Mapping[str, Sequence[float]]]
"""Of each page's address, seconds of each opening, by the language that it was opened in."""


class PageBroken(Unavailable):
    """A page that is to be timed says that it cannot be built, or is in another language."""

    code = "benchmark_page_broken"


@dataclass(frozen=True, slots=True)
class Place:
    """A hub with a crowd: its address, the session's cookie and whose it is, a run that goes on,
    and a dataset of three versions whose rows are there."""

    url: str
    cookie: str
    person: str
    filled: Filled
    running_id: str
    dataset: str
    caller: str


def addresses(place: Place) -> list[str]:
    """Every page, of those that are about one thing one; and of long lists a page far back, a
    filter and a search."""
    return [f"/{path}" for part in _PARTS for path in part(place)]


def _first(_place: Place) -> Iterator[str]:
    yield from ("", "join", "account")


def _stacks(place: Place) -> Iterator[str]:
    yield from ("stacks", "stacks?search=scenario-02", "stacks?base=*&page=16")
    yield from (f"stacks/{place.filled.stack_name}", f"stacks/{place.filled.stack}")


def _data(place: Place) -> Iterator[str]:
    here = f"data/{place.dataset}"
    yield from ("data", "data?q=calls-09", "data?page=4", "data/import", here, f"{here}/3")
    yield from (f"{here}/3?q=house", f"{here}/3?page=600", f"{here}/3/rejects")
    yield f"{here}/1/diff?to=2"


def _runs(place: Place) -> Iterator[str]:
    filled = place.filled
    yield from ("runs", "runs?q=scenario-02", "runs?kind=gate&page=20")
    yield from (f"runs/{filled.run_id}", f"runs/{place.running_id}")
    yield from (f"runs/new?run={filled.run_id}", f"runs/new?run={filled.run_id}&as=yaml")
    yield f"runs/compare?a={filled.run_id}&b={filled.other_run_id}"


def _review(place: Place) -> Iterator[str]:
    yield from ("review", "review?page=2000", f"review?site={place.filled.site}&state=all")
    yield from ("review?state=reviewed&reason=novel", "review/label", "review/label?work=settle")


def _releases(place: Place) -> Iterator[str]:
    filled = place.filled
    yield from ("releases", "releases?q=scenario-02", "releases?page=16")
    yield from (f"releases/{filled.release_id}", "releases/rollouts", "releases/rollouts?page=4")
    here = f"releases/rollouts/{filled.rollout_id}"
    yield from (here, f"{here}?q=site-09", f"{here}?page=200")
    yield f"releases/rollouts/new?release={filled.release_id}"


def _sites(place: Place) -> Iterator[str]:
    yield from ("sites", "sites?q=site-09", "sites?state=offline", "sites?page=200")
    yield f"sites/{place.filled.site}"


def _approvals(place: Place) -> Iterator[str]:
    filled = place.filled
    yield from ("approvals", "approvals?waiting=3&ended=30")
    for improvement in (filled.improvement_id, filled.waiting_id, filled.rolling_id):
        yield f"approvals/{improvement}"
    yield from ("approvals/new", f"approvals/new?stack={filled.stack.replace('/', ':')}")


def _audit(_place: Place) -> Iterator[str]:
    yield from ("audit", "audit?before=1000", "audit?actor=person:ann", "audit/1")
    yield "audit?action=sample.reviewed&before=30000"


def _people(place: Place) -> Iterator[str]:
    yield from ("people", f"people/{place.person}")


_PARTS = (
    *(_first, _stacks, _data, _runs, _review),
    *(_releases, _sites, _approvals, _audit, _people),
)


def fresh(place: Place) -> dict[Language, str]:
    """For each language a comparison that nobody has asked for before."""
    here = f"/data/{place.dataset}"
    return {Language.ENGLISH: f"{here}/1/diff?to=3", Language.CHINESE: f"{here}/2/diff?to=3"}


def live(place: Place, number: int) -> list[str]:
    """Where so many people look: pages and filters that share little of what is read, at each of
    which something goes on all the time."""
    filled = place.filled
    pages = (
        *("/", "/sites", "/sites?q=site-0", "/sites?state=fallen_back"),
        *(f"/sites/{filled.site}", f"/sites/{place.caller}"),
        *("/releases", "/releases/rollouts", f"/releases/rollouts/{filled.rollout_id}"),
        *("/runs", f"/runs/{place.running_id}"),
        f"/runs/compare?a={place.running_id}&b={filled.run_id}",
        *("/review", "/review?reason=novel", f"/review?site={filled.site}"),
        *("/approvals", "/approvals?waiting=2", f"/approvals/{filled.rolling_id}"),
        f"/approvals/new?stack={filled.stack.replace('/', ':')}",
        "/data",
    )
    return [pages[index % len(pages)] for index in range(number)]


def open_all(place: Place, repeats: int, only: tuple[str, ...]) -> Openings:
    """Open each page whose address begins with one of `only` so many times in each language, in a
    browser that has been there before; and in each language a comparison of data that has to be
    made first, once.

    Raises:
        NoBrowser: there is none.
        PageBroken: one could not be built.
    """
    name, _, value = place.cookie.partition("=")
    opened: dict[str, dict[str, list[float]]] = {}
    paths = [path for path in addresses(place) if path.startswith(only)]
    with (
        chromium() as browser,
        browser.visit(viewport={"width": 1440, "height": 900}) as context,
    ):
        page = context.new_page()
        _sign_in_page(page, place.url, Language.ENGLISH)  # fetches what it needs beside itself
        opened[_SIGN_IN] = {
            one.value: [_sign_in_page(page, place.url, one) for _ in range(repeats)]
            for one in Language
        }
        context.add_cookies([{"name": name, "value": value, "url": place.url}])
        for language in Language:
            _speak(context, page, place.url, language)
            for number, path in enumerate(paths, 1):
                say(f"Opening page {number} of {len(paths)} in {language.value}: {path}")
                if path not in opened:
                    _open(page, place.url + path)  # fetches what it needs beside itself
                took = [_open(page, place.url + path) for _ in range(repeats)]
                opened.setdefault(path, {})[language.value] = took
        for language, path in fresh(place).items():
            _speak(context, page, place.url, language)
            opened[path] = {language.value: [_open(page, place.url + path)]}
    return opened


def _speak(context: BrowserContext, page: Page, url: str, language: Language) -> None:
    """Choose a language, and see that pages come in it."""
    form: dict[str, str | float | bool] = {"language": language.value}
    context.request.post(f"{url}/preferences", form=form, headers={"Origin": url})
    _open(page, url)
    if page.locator("h1").inner_text() != Words(language)("nav.overview"):
        raise PageBroken(f"The overview does not come in {language.value}.")


def _sign_in_page(page: Page, url: str, language: Language) -> float:
    """The one page without a socket."""
    return _drawn(page, f"{url}{_SIGN_IN}?language={language.value}")


def _open(page: Page, address: str) -> float:
    began = time.perf_counter()
    _drawn(page, address)
    page.wait_for_function(_IS_DONE)
    return time.perf_counter() - began


def _drawn(page: Page, address: str) -> float:
    began = time.perf_counter()
    answer = page.goto(address, wait_until="commit")
    if answer is None or not answer.ok:
        raise PageBroken(f"{address} is no page.", next_step="Open it and read the hub's log.")
    page.locator("h1").first.wait_for()
    return time.perf_counter() - began
