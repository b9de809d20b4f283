"""Small pictures of figures, drawn as SVG on the server."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, tag

_WIDTH, _HEIGHT = 160.0, 28.0


def sparkline(values: Sequence[float | None], title: str) -> Markup:
    """A short history as one line; where there was no value, the line is broken.

    Args:
        values: oldest first.
        title: what it shows, for those who cannot see it.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return EMPTY
    low, high = min(known), max(known)
    step = _WIDTH / max(1, len(values) - 1)
    rise = (_HEIGHT - 4) / (high - low) if high > low else 0.0
    commands, pen_down = [], False
    for index, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        y = _HEIGHT - 2 - (value - low) * rise if rise else _HEIGHT / 2
        commands.append(f"{'L' if pen_down else 'M'}{index * step:.1f} {y:.1f}")
        pen_down = True
    line = tag(
        "path",
        d=" ".join(commands),
        fill="none",
        stroke="currentColor",
        stroke_width="1.6",
        vector_effect="non-scaling-stroke",
        stroke_linejoin="round",
        stroke_linecap="round",
    )
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    drawn = tag("svg", line, viewBox=box, preserveAspectRatio="none", role="img", aria_label=title)
    return tag("div", drawn, class_="spark")
