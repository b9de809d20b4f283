"""Who looks at a page, and in which language and colours: what every page is made for."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from dizuo.access.model import Person
from dizuo.console.messages import Language, Words, language_of

LANGUAGE_COOKIE = "dizuo_language"
THEME_COOKIE = "dizuo_theme"


class Theme(StrEnum):
    """The colours; AUTO follows the browser."""

    AUTO = "auto"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page. `person` is None where nobody has signed in."""

    person: Person | None
    language: Language
    theme: Theme

    @property
    def words(self) -> Words:
        """The texts in this visitor's language."""
        return Words(self.language)


CURRENT: ContextVar[Visit] = ContextVar("visit")
"""The visit that the current request belongs to; the gate sets it."""


def signed_in() -> Person:
    """Who makes the current request, behind the gate."""
    person = CURRENT.get().person
    assert person is not None, "the gate lets nobody else in"
    return person


def visit_of(person: Person | None, cookies: Mapping[str, str], accepted: str) -> Visit:
    """What an account prefers counts before the browser's cookies, and they before its language."""
    language = (person.language if person else "") or cookies.get(LANGUAGE_COOKIE, "")
    theme = (person.theme if person else "") or cookies.get(THEME_COOKIE, "")
    known = {one.value: one for one in Theme}
    return Visit(person, language_of(language, accepted), known.get(theme, Theme.AUTO))
