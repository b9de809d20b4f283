"""Histories by the hour, drawn as SVG on the server, each bar with its figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from dizuo.console.elements.markup import join, tag
from dizuo.console.elements.telling import number
from dizuo.console.messages import Words

_HEIGHT = 100.0


def counts(words: Words, values: Sequence[int | None], title: str) -> Markup:
    """How many there were in each hour; a dash at the bottom where nobody knows."""
    most = max((value for value in values if value), default=0)
    drawn = [_bar(words, place, value, most, len(values)) for place, value in enumerate(values)]
    total = sum(value or 0 for value in values)
    label = words("site.sum", title=title, number=number(total))
    return _figure(words, drawn, len(values), label, words("site.most", number=number(most)))


def _bar(words: Words, place: int, value: int | None, most: int, num_hours: int) -> Markup:
    if value is None:
        return tag("rect", x=place + 0.3, y=_HEIGHT - 1, width=0.4, height=1, class_="unknown")
    height = _HEIGHT * value / most if most else 0.0
    told = words("site.bar", hours=num_hours - 1 - place, value=number(value))
    return _rect(place, (_HEIGHT - height, height), told, "bar")


def _rect(place: int, span: tuple[float, float], told: str, look: str) -> Markup:
    top, height = f"{span[0]:.2f}", f"{span[1]:.2f}"
    bar = tag("rect", x=place + 0.12, y=top, width=0.76, height=height, class_=look)
    return tag("g", tag("title", told), bar)


def shares(
    words: Words,
    hours: Sequence[Mapping[str, int]],
    names: Mapping[str, str],
    title: str,
) -> Markup:
    """What each hour is made of, as parts of one; `names` are the parts from below, in words."""
    drawn = []
    for place, found in enumerate(hours):
        whole, top = sum(found.values()), _HEIGHT
        for index, (part, name) in enumerate(names.items()):
            height = _HEIGHT * found.get(part, 0) / whole if whole else 0.0
            if height:
                top -= height
                share = f"{name} {height:.0f} %"
                told = words("site.bar", hours=len(hours) - 1 - place, value=share)
                drawn.append(_rect(place, (top, height), told, f"part-{index}"))
    legend = tag(
        "ul",
        *(
            tag("li", tag("span", class_=f"swatch part-{index}"), name)
            for index, name in enumerate(names.values())
        ),
        class_="legend",
    )
    label = words("site.shares", title=title, shares=_overall(hours, names))
    return join([_figure(words, drawn, len(hours), label, "100 %"), legend])


def _overall(hours: Sequence[Mapping[str, int]], names: Mapping[str, str]) -> str:
    """What all hours together are made of, in words."""
    counts = {name: sum(hour.get(part, 0) for hour in hours) for part, name in names.items()}
    whole = sum(sum(hour.values()) for hour in hours) or 1
    return ", ".join(f"{name} {100 * count / whole:.0f} %" for name, count in counts.items())


def means(words: Words, values: Sequence[float | None], title: str) -> Markup:
    """A mean between 0 and 1 in each hour as a dot, with a line where hours follow each other."""
    drawn, commands, pen_down = [], [], False
    for place, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        y = _HEIGHT * (1 - value)
        commands.append(f"{'L' if pen_down else 'M'}{place + 0.5:.1f} {y:.1f}")
        pen_down = True
        span = (max(0.0, y - 2.5), 5.0)
        told = words("site.bar", hours=len(values) - 1 - place, value=f"{value:.2f}")
        drawn.append(_rect(place, span, told, "bar"))
    known = [value for value in values if value is not None]
    low, high = f"{min(known):.2f}", f"{max(known):.2f}"
    line = tag("path", d=" ".join(commands), class_="line", vector_effect="non-scaling-stroke")
    label = f"{title}: {words('gates.range', low=low, high=high)}"
    return _figure(words, [line, *drawn], len(values), label, "1.0")


def _figure(words: Words, drawn: Sequence[Markup], num_hours: int, label: str, top: str) -> Markup:
    picture = tag(
        "svg",
        *drawn,
        viewBox=f"0 0 {num_hours} {_HEIGHT:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )
    ends = tag("p", tag("span", words("site.hours_ago")), tag("span", words("site.hours_now")))
    return tag("div", tag("p", top, class_="top"), picture, ends, class_="hourly")
