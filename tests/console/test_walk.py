"""The whole loop by a person with a browser, in each language: from a hub that holds nothing to a
site that runs what was learned from its own samples. All is found by what stands on the pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
from benchmarks.rig.browser import Chromium
from nicegui import Client
from playwright.sync_api import Locator, Page, expect
from tests.console.browsing import Visitor, visiting
from tests.console.conftest import PASSWORD, Place, running_hub
from tests.console.data.test_data_import import drop
from tests.console.review.test_review import drawn, press
from tests.console.runs.runs_scene import recipe
from tests.console.walk_scene import ask, joined, seen, zipped

from dizuo.client.hub import HubClient
from dizuo.console import app as console
from dizuo.console.messages import Language, Words

PATIENCE_MS = 120_000
"""For what a real trainer or a real site does on a busy machine."""
SITE = "counter"
NUM_PICTURES, NUM_ASKED, NUM_LABELLED = 160, 12, 10
_ID = "[0-9a-f-]{36}$"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Place]:
    """A hub that holds nothing, to which sites shall come often."""
    with running_hub(tmp_path / "hub", {"DIZUO_POLL_SECONDS": "0.2"}) as running:
        yield running


@dataclass
class Walker:
    """An admin who walks through the pages, and reads them in one language."""

    visitor: Visitor
    words: Words

    @property
    def page(self) -> Page:
        return self.visitor.page

    def go(self, part: str) -> None:
        """To a part of the console, by its name in the navigation."""
        links = self.page.get_by_role("navigation", name=self.words("frame.parts"))
        self.follow(links.get_by_role("link", name=self.words(f"nav.{part}"), exact=True))

    def follow(self, link: Locator) -> None:
        """A link, until the page behind it stands."""
        href = str(link.get_attribute("href")).partition("#")[0]
        link.click()
        self.arrive(f"^{re.escape(self.visitor.url + href)}(#.*)?$")

    def arrive(self, pattern: str) -> None:
        """Wait for the page whose address has this in it."""
        self.page.wait_for_url(re.compile(pattern))
        self.visitor.settle()

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name, exact=True)

    def push(self, key: str, **values: object) -> None:
        """A button, by its name."""
        name = self.words(key, **values)
        self.page.locator("#main").get_by_role("button", name=name, exact=True).click()

    def agree(self, key: str) -> None:
        """The answer to what the page asks."""
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_role("button", name=self.words(key), exact=True).click()

    def fill(self, key: str, text: str) -> None:
        """A field, by its name."""
        self.page.get_by_label(self.words(key)).fill(text)

    def reads(self, key: str, **values: object) -> None:
        """Wait until a sentence stands on the page."""
        expect(self.page.get_by_text(self.words(key, **values)).first).to_be_visible()

    def heads(self, text: str) -> None:
        """Wait until the page's heading says this."""
        expect(self.page.locator("h1")).to_contain_text(text)

    def fits(self) -> None:
        """The page is whole at every width, and for everybody."""
        assert self.visitor.unfit() == []
        assert self.visitor.overflow() == []


@pytest.fixture(params=list(Language), ids=lambda language: language.value)
def walker(request: pytest.FixtureRequest, fresh: Place, browser: Chromium) -> Iterator[Walker]:
    """Somebody who has just signed in, and chosen the language: English by day, Chinese by night;
    no page may have complained."""
    words = Words(request.param)
    is_dark = words.language is not Language.ENGLISH
    with visiting(browser, fresh.url, dark=is_dark) as visitor:
        visitor.page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        visitor.sign_in("mei", PASSWORD)
        if words.language is not Language.ENGLISH:
            name = words.language.own_name
            visitor.page.locator(".foot").get_by_role("button", name=name).click()
        walker = Walker(visitor, words)
        walker.heads(words("nav.overview"))
        visitor.settle()
        yield walker
        assert visitor.faults == []


@pytest.mark.timeout(600)  # two trainings, a hub and a site, on a machine that may be busy
def test_the_loop_is_walked_from_an_empty_hub_to_a_better_site(
    walker: Walker, fresh: Place, tmp_path: Path
) -> None:
    read_what_to_do_first(walker)
    import_pictures(walker, zipped(tmp_path / "bars", NUM_PICTURES))
    train(walker)
    measure(walker)
    release(walker)
    with joined(join_command(walker), tmp_path / "site"):
        roll_out(walker)
        let_samples_return(walker)
        label_by_keyboard(walker)
        start_improvement(walker)
        num_learned = approve_while_the_site_is_watched(walker)
        read_the_trace(walker, num_learned)
    if walker.words.language is not Language.ENGLISH:
        look_at_every_page(walker, fresh.client)


def look_at_every_page(walker: Walker, hub: HubClient) -> None:
    """Whatever page there is, about something of this hub."""
    run, other = (one["id"] for one in hub.runs({"kind": "tune"})[:2])
    release, rollout = hub.releases()[0]["id"], hub.rollouts()[0]["id"]
    improvement = hub.improvements()[0]["id"]
    about = {
        "/stacks/{name}": "/stacks/bars",
        "/stacks/{name}/{version}": "/stacks/bars/2",
        "/data/{name}": "/data/bars",
        "/data/{name}/{version}": "/data/bars/2",
        "/data/{name}/{version}/rejects": "/data/bars/2/rejects",
        "/data/{name}/{version}/diff": "/data/bars/1/diff?to=2",
        "/runs/{run_id}": f"/runs/{run}",
        "/runs/compare": f"/runs/compare?a={run}&b={other}",
        "/releases/{release_id}": f"/releases/{release}",
        "/releases/rollouts/{rollout_id}": f"/releases/rollouts/{rollout}",
        "/releases/rollouts/new": f"/releases/rollouts/new?release={release}",
        "/sites/{name}": f"/sites/{SITE}",
        "/approvals/{improvement_id}": f"/approvals/{improvement}",
        "/approvals/new": "/approvals/new?stack=bars:1",
        "/audit/{sequence}": "/audit/1",
        "/people/{name}": "/people/mei",
    }
    for path in registered_pages():
        answer = walker.page.goto(walker.visitor.url + about.get(path, path))
        assert answer is not None
        assert answer.ok, path
        walker.visitor.settle()
        walker.fits()


def registered_pages() -> list[str]:
    """The addresses that the console declares."""
    for name in console._PAGES:
        import_module(f"dizuo.console.{name}")
    pages = {path for path in Client.page_routes.values() if not path.startswith("/_nicegui")}
    assert "/stacks/{name}/{version}" in pages
    return sorted(pages)


def read_what_to_do_first(walker: Walker) -> None:
    """An empty hub says it, each step with its command."""
    walker.reads("overview.first")
    for step in ("keys", "model", "data", "tune", "site"):
        walker.reads(f"overview.first_{step}")
    walker.fits()


def import_pictures(walker: Walker, packed: bytes) -> None:
    """By drag and drop, a share of them held out."""
    words, page = walker.words, walker.page
    walker.go("data")
    walker.reads("data.none")
    walker.follow(walker.link(words("data.import")))
    drop(walker.visitor, "bars.zip", packed)
    walker.arrive("upload=sha256")
    walker.reads("data.all_good")
    walker.fill("data.holdout", "30")
    walker.push("data.look_again")
    walker.arrive("holdout=30")
    walker.reads("data.all_good")
    assert page.get_by_label(words("data.name"), exact=True).input_value() == "bars"
    walker.push("data.add")
    page.get_by_role("heading", name=words("data.is_added")).wait_for()
    expect(walker.link("bars@1")).to_be_visible()
    expect(walker.link("bars-test@1")).to_be_visible()
    walker.fits()


def train(walker: Walker) -> None:
    """A recipe is typed, and its run is watched until it has ended."""
    words, page = walker.words, walker.page
    walker.go("runs")
    walker.follow(walker.link(words("runs.new")).first)
    walker.push("new_run.as_yaml")
    page.locator("#recipe-text").fill(recipe())
    walker.push("new_run.start")
    walker.arrive(f"/runs/{_ID}")
    walker.heads(words("run.kind_tune"))
    page.get_by_role("heading", name=words("curves.title")).wait_for()
    expect(page.locator(".chart svg path[stroke='var(--accent)']").first).to_be_attached()
    walker.heads(words("run.state_succeeded"))
    walker.fits()


def measure(walker: Walker) -> None:
    """The gates of what was trained are measured, and met."""
    tuned = walker.page.url
    walker.push("run.measure")
    walker.page.wait_for_function("old => location.href !== old", arg=tuned)
    walker.visitor.settle()
    walker.heads(walker.words("run.kind_gate"))
    walker.heads(walker.words("run.state_succeeded"))
    outcome = walker.page.locator(".facts .badge", has_text=walker.words("gate.passed"))
    expect(outcome).to_be_visible()
    walker.fits()


def release(walker: Walker) -> None:
    walker.go("releases")
    walker.push("releases.release_one", stack="bars:1")
    walker.agree("releases.release")
    walker.arrive(f"/releases/{_ID}")
    walker.heads(walker.words("releases.heading", stack="bars:1"))
    walker.fits()


def join_command(walker: Walker) -> str:
    """The command with which a site joins, from the page that makes it."""
    walker.go("sites")
    walker.follow(walker.link(walker.words("sites.let_join")))
    walker.fill("sites.join_name", SITE)
    walker.push("sites.join_button")
    walker.reads("sites.join_command")
    walker.fits()
    return walker.page.locator("#command").inner_text()


def roll_out(walker: Walker) -> None:
    """The site is picked, gets there, and its page says so."""
    words, page = walker.words, walker.page
    walker.go("releases")
    walker.follow(walker.link("bars:1").first)
    walker.follow(walker.link(words("rollouts.new")))
    page.get_by_role("checkbox", name=SITE, exact=True).click()
    walker.push("rollouts.begin")
    walker.agree("rollouts.begin")
    walker.arrive(f"/releases/rollouts/{_ID}")
    walker.reads("rollouts.done_of", done="1", whole="1")
    walker.fits()
    walker.go("sites")
    walker.follow(walker.link(SITE))
    serves(walker.visitor, walker.words, "bars:1", 1)


def serves(visitor: Visitor, words: Words, stack: str, generation: int) -> None:
    """Wait until a site's page, as it is open, says what runs there."""
    runs = visitor.page.locator(".facts > div", has_text=words("site.running")).first
    expect(runs).to_contain_text(stack)
    expect(runs).to_contain_text(words("site.generation", number=generation))


def let_samples_return(walker: Walker) -> None:
    """An application asks the site, at the address that its page tells, and the queue fills."""
    words = walker.words
    told = walker.page.locator(".facts > div", has_text=words("site.url"))
    ask(told.locator("dd").inner_text(), "bars", NUM_ASKED)
    walker.go("review")
    waiting = walker.page.locator(".figure", has=walker.page.get_by_text(words("review.waiting")))
    expect(waiting.locator(".value").first).to_have_text(str(NUM_ASKED))
    walker.fits()


def label_by_keyboard(walker: Walker) -> None:
    """Ten pictures, each looked at; no mouse from the queue on."""
    words, page = walker.words, walker.page
    start = walker.link(words("review.start"))
    start.focus()
    page.keyboard.press("Enter")
    walker.arrive("/review/label")
    drawn(page)
    walker.fits()
    for _ in range(NUM_LABELLED):
        picture = page.get_by_role("img", name=words("desk.picture"))
        expect(picture).to_have_js_property("naturalWidth", 8)
        labels = page.locator("#desk input[type=radio]").evaluate_all(
            "all => all.map(o => o.value)"
        )
        page.keyboard.press(str(labels.index(seen(picture)) + 1))
        press(page, "Enter")
    left = NUM_ASKED - NUM_LABELLED
    walker.reads("desk.done_here", count=str(NUM_LABELLED), waiting=str(left))


def start_improvement(walker: Walker) -> None:
    """A person shall approve it; it begins with what was reviewed, and is measured."""
    words, page = walker.words, walker.page
    walker.go("approvals")
    page.get_by_role("switch", name=words("policy.on")).click()
    walker.agree("policy.on")
    walker.reads("policy.asks")
    walker.go("review")
    walker.follow(walker.link(words("improving.of_reviewed")))
    walker.follow(walker.link("bars"))
    walker.heads(words("improving.heading", stack="bars:1"))
    walker.reads("improving.begins_now", number=str(NUM_LABELLED))
    walker.fill("improvement.min_samples", str(NUM_LABELLED))
    walker.reads("improving.then_asked")
    walker.push("improving.start")
    walker.arrive(f"/approvals/{_ID}")
    badge = page.locator(".head .badge")
    expect(badge).to_have_text(words("improvement.is_awaiting_approval"))
    walker.reads("evidence.met", part=2, whole=2)
    walker.fits()


def approve_while_the_site_is_watched(walker: Walker) -> int:
    """It is approved beside its evidence; the site's page, open all the while, shows it arrive.
    How many of the labelled samples were learned from, and not held out for the gates."""
    words, page = walker.words, walker.page
    watching = walker.visitor.another_window(f"/sites/{SITE}")
    watching.page.set_default_timeout(PATIENCE_MS)
    serves(watching, words, "bars:1", 1)
    walker.go("approvals")
    card = page.locator(".weighed", has=walker.link("bars:2"))
    expect(card.get_by_text(words("evidence.met", part=2, whole=2))).to_be_visible()
    by_version = num_reviewed(card)
    assert sum(by_version.values()) == NUM_LABELLED
    walker.fits()
    walker.push("deciding.approve_label", name="bars:2")
    walker.agree("deciding.approve")
    walker.reads("deciding.approved", name="bars:2")
    serves(watching, words, "bars:2", 2)
    watching.page.close()
    return by_version["bars@2"]


def num_reviewed(card: Locator) -> dict[str, int]:
    """How many samples came into each dataset version, by the name of their reviewer."""
    found = {}
    for fact in card.locator(".facts > div", has_text="mei ").all():
        count = re.search(r"mei (\d+)", fact.inner_text())
        assert count is not None
        found[fact.locator("dt").inner_text()] = int(count[1])
    return found


def read_the_trace(walker: Walker, num_learned: int) -> None:
    """From the site that runs it back to the samples that it was taught with."""
    words, page = walker.words, walker.page
    walker.go("sites")
    walker.follow(walker.link(SITE))
    walker.follow(walker.link("bars:2").first)
    trace = page.locator("#trace")
    one = words("stacks.site", count="1")
    expect(trace.get_by_text(words("trace.running", sites=one))).to_be_visible()
    expect(trace.get_by_text(words("trace.signed", actor="person:mei"))).to_be_visible()
    learned = words("trace.samples", count=str(num_learned))
    expect(trace.get_by_text(learned, exact=True)).to_be_visible()
    walker.fits()
    walker.follow(trace.get_by_role("link", name="bars@2", exact=True))
    walker.heads("bars@2")
    walker.fill("data.search_rows", "sample:")
    walker.push("list.search")
    walker.arrive("q=sample")
    walker.reads("data.rows_found", count=str(num_learned))
    walker.go("approvals")
    walker.follow(walker.link("bars:2").first)
    expect(page.locator(".head .badge")).to_have_text(words("improvement.is_done"))
    walker.fits()
