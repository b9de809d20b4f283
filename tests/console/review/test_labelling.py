"""Pages of the desk without a browser: what becomes of what was typed, and who has a sample."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

import pytest
from nicegui import ui
from nicegui.events import GenericEventArguments
from sqlalchemy.orm import Session
from tests.console.review import review_scene as scene

from dizuo.access.model import Person, Principal, Role, Surface
from dizuo.console.frame import View
from dizuo.console.messages import Language
from dizuo.console.parts import Parts
from dizuo.console.review import labelling
from dizuo.console.review.asked import Asked, asked_of
from dizuo.console.review.jsonform import KEPT
from dizuo.console.review.labelling import Place
from dizuo.console.visit import Theme, Visit
from dizuo.core.digests import sha256_json
from dizuo.database.engine import Database
from dizuo.datasets import desk, review, samples
from dizuo.datasets.model import Sample
from dizuo.datasets.samples import SampleFilter

T = TypeVar("T")


class Sight(View):
    """A page whose person is known without a session; nothing else of it is told."""

    writing: ClassVar[list[str]] = []
    """Whose transaction goes on now."""

    async def act(self, role: Role, change: Callable[[Session, Principal], T]) -> T:
        await asyncio.sleep(0)  # others go on meanwhile, as beside a worker thread
        try:
            with self.parts.database.transaction() as session:
                self.writing.append(self.person.principal.name)
                self.person.principal.require(role)
                return change(session, self.person.principal)
        finally:
            self.writing.clear()
            await asyncio.sleep(0)


class Shown:
    """An element of the page."""

    content = ""

    def set_content(self, content: str) -> None:
        self.content = str(content)


class Tab:
    """One page, open in somebody's browser, in whose fields one can type."""

    def __init__(self, room: Room, who: str, served_as: str) -> None:
        principal = Principal(who, who, Surface.CONSOLE, "default", Role.ADMIN)
        person = Person("session", principal, "en", "light", 0)
        nothing = cast(Any, None)
        parts = Parts(room.home, "", 1.0, 0.0, room.database, nothing, nothing, nothing, nothing)
        visit = Visit(person, Language.ENGLISH, Theme.LIGHT)
        view = Sight(visit, person, parts, nothing, nothing, nothing, "", nothing)
        self.told, self.shown = Shown(), Shown()
        self.place = Place(
            view,
            Role.BUILDER,
            SampleFilter(served_as=served_as),
            cast(ui.html, self.told),
            cast(ui.html, self.shown),
        )
        asyncio.run(self.place.go_on())

    @property
    def sample(self) -> str:
        """The digest of what is shown."""
        assert self.place.before is not None
        return self.place.before.held.sample.digest

    @property
    def given(self) -> dict[str, str]:
        return dict(self.place.entry.given)

    def ask(self, what: str, **typed: str) -> None:
        """A key, with what stands in the fields then."""
        asyncio.run(self.asking(what, **typed))

    async def asking(self, what: str, **typed: str) -> None:
        fields = {key: text for key, text in self.given.items() if not key.endswith(KEPT)}
        given = fields | typed
        await self.send(
            {"what": what, "path": "", "drawn": str(self.place.num_drawn), "given": given}
        )

    async def send(self, sent: Any) -> None:
        """What the page's script sends."""
        await self.place.hear(cast(GenericEventArguments, SimpleNamespace(args=sent)))

    def renew(self) -> None:
        """A minute has gone by."""
        asyncio.run(self.place.renew())

    def let_go(self) -> None:
        """Let others have what is shown, though it still is."""
        with self.place.view.parts.database.transaction() as session:
            assert self.place.before is not None
            desk.release(session, self.place.before.held.token)

    def has_stopped(self) -> bool:
        """Whether the page says that it has stopped."""
        return "Stopped:" in self.told.content and 'data-do="take"' in self.told.content


class Room:
    """A hub with a queue of digits."""

    def __init__(self, database: Database, home: Path) -> None:
        self.database, self.home = database, home
        recipe = scene.vision_recipe("digits", scene.DIGITS)
        self.stack = scene.add_stack(database, "digits", "vision", recipe)

    def receive_call(self, answer: Any, recipe: str) -> str:
        stack = scene.add_stack(self.database, "hotline", "text", recipe)
        [key] = scene.send_calls(self.database, self.home, 1, stack, answer=answer)
        return key

    def receive(self, number: int, **more: Any) -> list[str]:
        return scene.send_digits(self.database, self.home, number, self.stack, **more)

    def open(self, who: str = "mei", served_as: str = "") -> Tab:
        return Tab(self, who, served_as)

    def sample(self, key: str) -> Sample:
        with self.database.reading() as session:
            return samples.find(session, key)


@pytest.fixture
def room(database: Database, tmp_path: Path) -> Room:
    return Room(database, tmp_path)


def test_an_undo_that_is_refused_leaves_what_was_typed(room: Room) -> None:
    [key] = room.receive(1)
    tab = room.open()
    drawn = tab.place.num_drawn
    tab.ask("undo", label="5")
    assert "nothing yet that could be taken back" in tab.told.content
    assert (tab.sample, tab.given) == (key, {"label": "5"})
    assert tab.place.num_drawn == drawn + 1  # the page takes keys again
    tab.ask("save")
    assert room.sample(key).label == "5"


def test_the_page_takes_keys_again_whatever_was_asked(room: Room) -> None:
    [key] = room.receive(1)
    tab = room.open()
    tab.ask("save")
    assert tab.place.before is None
    for what in ("save", "skip", "nonsense"):
        drawn = tab.place.num_drawn
        tab.ask(what)
        assert tab.place.num_drawn == drawn + 1
    asyncio.run(tab.send({"what": "save"}))
    assert tab.place.num_drawn == drawn + 2
    tab.ask("undo")
    assert tab.sample == key


def test_what_was_judged_elsewhere_meanwhile_is_told_and_passed_over(room: Room) -> None:
    one, two = room.receive(2)
    tab = room.open()
    with room.database.transaction() as session:
        review.judge(session, room.home, one, review.Verdict("1"), "operator:ann")
    tab.ask("save", label="5")
    assert "operator:ann has already said" in tab.told.content
    assert tab.sample == two
    assert tab.given == {"label": "3"}


def test_a_forgotten_page_only_stops_and_takes_nothing(room: Room) -> None:
    [key] = room.receive(1)
    forgotten, used = room.open(), room.open()
    assert forgotten.sample == used.sample == key
    for _ in range(2):
        forgotten.renew()
        used.renew()
        assert (forgotten.has_stopped(), used.has_stopped()) == (True, False)
    used.ask("save", label="5")
    assert room.sample(key).label == "5"
    forgotten.ask("take")
    assert forgotten.place.before is None
    assert not forgotten.has_stopped()
    assert "What you typed for it was not saved" in forgotten.told.content


def test_a_forgotten_page_with_another_filter_lets_go_of_nothing(room: Room) -> None:
    [one] = room.receive(1, served_as="one")
    [other] = room.receive(1, served_as="other")
    forgotten, used = room.open(served_as="other"), room.open(served_as="one")
    forgotten.renew()
    assert forgotten.has_stopped()
    assert room.open("lin", "one").place.before is None  # it is still before mei
    assert (forgotten.sample, used.sample) == (other, one)


def test_a_stopped_page_keeps_what_was_typed_until_it_is_taken_up_again(room: Room) -> None:
    [key] = room.receive(1)
    first, second = room.open(), room.open()
    for key_pressed in ("save", "unusable", "undo"):
        first.ask(key_pressed, label="5")
        assert first.has_stopped()
        assert (first.sample, first.given) == (key, {"label": "5"})
    assert room.sample(key).state == "returned"
    first.ask("take")
    assert not first.has_stopped()
    assert (first.sample, first.given) == (key, {"label": "5"})
    second.renew()
    assert second.has_stopped()
    first.ask("save")
    assert room.sample(key).label == "5"


def test_what_was_typed_for_a_sample_stands_there_when_it_comes_back(room: Room) -> None:
    one, two = room.receive(2)
    tab = room.open()
    tab.ask("save", label="1")
    tab.ask("undo", label="5")
    assert (tab.sample, tab.given) == (one, {"label": "1"})
    tab.ask("save")
    assert (tab.sample, tab.given) == (two, {"label": "5"})
    tab.ask("unusable", label="6")
    tab.ask("undo")
    assert (tab.sample, tab.given) == (two, {"label": "6"})


def test_what_was_typed_and_not_saved_is_kept_when_nothing_is_left(room: Room) -> None:
    [key] = room.receive(1)
    tab = room.open()
    tab.let_go()
    theirs = room.open("lin")
    tab.ask("save", label="5")
    assert tab.has_stopped()
    tab.ask("take")
    assert tab.place.before is None
    assert "What you typed for it was not saved" in tab.told.content
    theirs.let_go()
    with room.database.transaction() as session:
        review.judge(session, room.home, key, review.Verdict("1"), "person:mei")
    tab.ask("undo")  # what was said goes before what was typed
    assert (tab.sample, tab.given) == (key, {"label": "1"})


def test_only_so_much_of_what_was_typed_is_kept(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labelling, "_NUM_LAID_ASIDE", 2)
    room.receive(4)
    tab = room.open()
    shown = []
    for label in "0125":
        assert tab.place.before is not None
        shown.append(tab.place.before.held.sample.id)
        tab.ask("skip", label=label)
    assert list(tab.place.laid_aside) == shown[2:]


def test_what_went_to_somebody_else_is_not_shown_again(room: Room) -> None:
    one, two = room.receive(2)
    mine = room.open()
    mine.let_go()
    theirs = room.open("lin")
    assert (mine.sample, theirs.sample) == (one, one)
    mine.renew()
    mine.ask("take")
    assert (mine.sample, mine.given) == (two, {"label": "3"})
    assert "here is the next one" in mine.told.content
    theirs.renew()
    assert not theirs.has_stopped()


def test_a_renewal_that_comes_while_a_label_is_kept_stops_nothing(room: Room) -> None:
    one, two = room.receive(2)
    tab = room.open()

    async def both() -> None:
        await asyncio.gather(tab.asking("save"), tab.place.renew())

    asyncio.run(both())
    assert room.sample(one).state == "reviewed"
    assert tab.sample == two
    assert not tab.has_stopped()
    tab.ask("save")
    assert room.sample(two).state == "reviewed"


CALL = {"category": "noise", "place": " Elm Street\r\n", "urgent": False, "people": 3}


@pytest.mark.parametrize(
    ("answer", "recipe"),
    [
        ("a text\n", ""),
        ({"a": [""], "b": None}, ""),
        (CALL | {"callers": []}, scene.text_recipe()),
        (CALL | {"callers": [{"name": "x", "phone": "", "age": 7}]}, scene.text_recipe()),
    ],
)
def test_to_confirm_an_answer_does_not_change_it(room: Room, answer: Any, recipe: str) -> None:
    key = room.receive_call(answer, recipe)
    room.open().ask("save")
    with room.database.reading() as session:
        found = samples.find_row(session, key, "default")
        assert (found.state, found.label, found.changed) == ("reviewed", answer, False)


def test_to_take_back_what_was_confirmed_shows_it_as_it_was(room: Room) -> None:
    answer = CALL | {"callers": [{"name": "x", "phone": ""}]}
    key = room.receive_call(answer, scene.text_recipe())
    tab = room.open()
    tab.ask("save")
    tab.ask("undo")
    assert room.sample(key).state == "returned"
    tab.ask("raw")
    tab.ask("raw")
    tab.ask("save")
    assert room.sample(key).label == answer


def test_what_is_slow_waits_until_the_transaction_is_over(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    count = samples.count

    def look(session: Session, sample: Sample) -> Asked:
        assert not Sight.writing
        looked.append(sample.digest)
        return asked_of(session, sample)

    def counting(session: Session, wanted: SampleFilter) -> dict[str, int]:
        assert not Sight.writing
        return count(session, wanted)

    monkeypatch.setattr(labelling, "asked_of", look)
    monkeypatch.setattr(samples, "count", counting)
    keys = room.receive(4)
    tab = room.open()
    for key in ("save", "skip", "unusable", "undo", "save"):
        tab.ask(key)
        assert tab.place.num_waiting
    assert looked == keys[:1]  # once for a stack


def test_a_stack_that_the_hub_does_not_know_yet_is_looked_up_again(room: Room) -> None:
    recipe = scene.vision_recipe("later", scene.DIGITS)
    room.stack = sha256_json(["default", "later", recipe])
    room.receive(2)
    tab = room.open()
    assert tab.place.entry.classes == ()
    assert scene.add_stack(room.database, "later", "vision", recipe) == room.stack
    tab.ask("skip")
    assert tab.place.entry.classes == scene.DIGITS
