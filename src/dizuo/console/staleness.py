"""The notice at a page's top while what the page follows cannot be read."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup
from nicegui import ui

from dizuo.console.elements.markup import EMPTY, tag
from dizuo.console.elements.telling import exactly
from dizuo.console.live import Trouble
from dizuo.console.messages import Words


class StaleNotice:
    """One notice for all feeds of a page. Made in the place that it stands in.

    Args:
        words: the person's language.
    """

    def __init__(self, words: Words) -> None:
        self._words = words
        self._troubles: dict[str, Trouble] = {}
        self._shown = ui.html("", sanitize=False).classes("stale").props("aria-live=polite")

    def move(self, place: ui.element) -> None:
        """Put it first in another place."""
        self._shown.move(place, target_index=0)

    def warn(self, key: str, trouble: Trouble | None) -> None:
        """One of the page's feeds cannot be read, or can be again."""
        self._troubles.pop(key, None)
        if trouble is not None:
            self._troubles[key] = trouble
        self._shown.set_content(told(self._words, self._troubles.values()))


def told(words: Words, troubles: Iterable[Trouble]) -> Markup:
    """That a page is old, or that its thing is gone, and since when; nothing without trouble."""
    found = list(troubles)
    if not found:
        return EMPTY
    is_gone = any(one.is_gone for one in found)
    as_of = exactly(min(one.as_of_ms for one in found))
    sentence = words("live.gone" if is_gone else "live.stale")
    look = "notice bad" if is_gone else "notice"
    return tag("p", sentence, " ", words("live.as_of"), " ", as_of, class_=look)
