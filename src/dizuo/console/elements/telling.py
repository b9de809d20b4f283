"""Numbers, sizes and times in a person's language."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from dizuo.cli.output import size
from dizuo.console.elements.markup import tag
from dizuo.console.messages import Words

_UNITS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000))


def number(value: float) -> str:
    """A count with its thousands apart."""
    return f"{value:,.0f}"


def num_bytes(value: int) -> str:
    """A size, in the units of the command line."""
    return size(value)


def ago(words: Words, then_ms: int, now_ms: int) -> str:
    """How long something is past; just now where that is less than a second."""
    past = max(0, now_ms - then_ms)
    for unit, length in _UNITS:
        if past >= length:
            count = past // length
            form = unit if count == 1 else f"{unit}s"
            return words(f"ago.{form}", count=count)
    return words("ago.now")


def when(words: Words, then_ms: int, now_ms: int) -> object:
    """`ago`, with the moment itself for machines and for who points at it; `times_script` keeps it
    true while the page is open."""
    moment = _moment(then_ms)
    said = ago(words, then_ms, now_ms)
    return tag("time", said, datetime=moment, title=moment, data_ago=True)


def times_script(words: Words, now_ms: int) -> str:
    """What keeps `when` true in a page that was made at `now_ms`: a browser's clock may be off."""
    forms = [form for unit, _ in _UNITS for form in (unit, f"{unit}s")]
    texts = {form: words(f"ago.{form}", count="{count}") for form in forms}
    texts |= {"now": words("ago.now")}
    source = "/console/static/times.js"
    return str(tag("script", src=source, defer=True, data_texts=json.dumps(texts), data_now=now_ms))


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exactly(then_ms: int) -> object:
    """The moment itself, to the second, in UTC."""
    moment = _moment(then_ms)
    return tag("time", moment.replace("T", " ").replace("Z", " UTC"), datetime=moment)
