"""Curves of runs as charts that grow, each with its figures as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup
from nicegui import ui

from dizuo.console.elements.markup import Column, table
from dizuo.console.elements.telling import num_bytes, number
from dizuo.console.messages import Words, catalogue
from dizuo.runs.curves import Curve, Point, Story

COLOURS = ("var(--accent)", "var(--l2)")
"""Of the first run's lines and of the second's; as SVG they follow the page's colours."""
_DASHES = ("solid", "dashed")
_NUM_ROWS = 20
_FEW_POINTS = 3


def metric_words(words: Words, name: str) -> str:
    """What a figure is called; its own name where the catalogue does not know it."""
    return words(f"metric.{name}") if f"metric.{name}" in catalogue() else name


def loss_first(name: str) -> bool:
    """A key to sort figures by: the loss before all others, which keep their order."""
    return name != "loss"


def figure(value: float, name: str = "") -> str:
    """A measured value, short; counts and sizes, which the name tells, as such."""
    if name.startswith("num_"):
        return number(value)
    return num_bytes(int(value)) if name.endswith("_bytes") else f"{value:.4g}"


@dataclass
class _Chart:
    """One figure's chart and its table."""

    drawn: ui.echart
    rows: ui.html
    shown: Mapping[str, Curve]


class CurveBoard:
    """One chart for each figure, made when it first appears.

    Args:
        words: the person's language.
        holder: the element that the charts are put into.
    """

    def __init__(self, words: Words, holder: ui.element) -> None:
        self._words = words
        self._holder = holder
        self._charts: dict[str, _Chart] = {}

    @property
    def is_empty(self) -> bool:
        """Whether no run has told a figure yet."""
        return not self._charts

    def show(self, stories: Mapping[str, Story]) -> None:
        """Draw what runs have said by now, each under its own label."""
        names = dict.fromkeys(curve.name for one in stories.values() for curve in one.curves)
        for name in sorted(names, key=loss_first):
            self._show(name, {label: _curve(story, name) for label, story in stories.items()})

    def _show(self, name: str, found: Mapping[str, Curve | None]) -> None:
        curves = {label: curve for label, curve in found.items() if curve is not None}
        labels = list(found)
        if name not in self._charts:
            self._charts[name] = self._new(name)
        chart = self._charts[name]
        if chart.shown == curves:
            return
        chart.shown = curves
        title = metric_words(self._words, name)
        chart.drawn.options.clear()
        chart.drawn.options.update(_options(self._words, title, labels, curves))
        chart.drawn.update()
        chart.rows.set_content(_table(self._words, title, labels, curves))

    def _new(self, name: str) -> _Chart:
        with self._holder, ui.element("div").classes("curve"):
            title = metric_words(self._words, name)
            ui.html(title, sanitize=False, tag="h3")
            drawn = ui.echart({}, renderer="svg").classes("chart")
            with ui.element("details"):
                ui.html(self._words("curves.table"), sanitize=False, tag="summary")
                rows = ui.html("", sanitize=False)
        return _Chart(drawn, rows, {})


def _curve(story: Story, name: str) -> Curve | None:
    return next((curve for curve in story.curves if curve.name == name), None)


def _options(
    words: Words, title: str, labels: Sequence[str], curves: Mapping[str, Curve]
) -> dict[str, Any]:
    axis = {
        "axisLine": {"lineStyle": {"color": "var(--line)"}},
        "axisTick": {"show": False},
        "axisLabel": {"color": "var(--muted)", "hideOverlap": True},
        "splitLine": {"lineStyle": {"color": "var(--line)", "opacity": 0.5}},
    }
    plain = {**axis, "splitLine": {"show": False}}
    last = ", ".join(f"{label}: {figure(curve.last[1])}" for label, curve in curves.items())
    return {
        "animation": False,
        "aria": {
            "enabled": True,
            "label": {"description": words("curves.told", figure=title, last=last)},
        },
        "grid": {"left": 8, "right": 18, "top": 34 if len(labels) > 1 else 12, "bottom": 4}
        | {"containLabel": True},
        "legend": {
            "show": len(labels) > 1,
            "left": 0,
            "top": 0,
            "textStyle": {"color": "var(--ink)"},
        },
        "tooltip": {
            "trigger": "axis",
            "confine": True,
            "backgroundColor": "var(--panel)",
            "borderColor": "var(--line)",
            "textStyle": {"color": "var(--ink)"},
            "axisPointer": {"lineStyle": {"color": "var(--muted)"}},
        },
        "xAxis": {"type": "value", "min": "dataMin", "max": "dataMax", "minInterval": 1, **plain},
        "yAxis": {"type": "value", "scale": True, **axis},
        "series": [_series(place, label, curves.get(label)) for place, label in enumerate(labels)],
    }


def _series(place: int, label: str, curve: Curve | None) -> dict[str, Any]:
    colour = COLOURS[place % len(COLOURS)]
    points: Sequence[Point] = curve.points if curve else ()
    return {
        "type": "line",
        "name": label,
        "data": [list(point) for point in points],
        "symbol": "circle",
        "showSymbol": len(points) < _FEW_POINTS,
        "lineStyle": {"width": 2, "color": colour, "type": _DASHES[place % len(_DASHES)]},
        "itemStyle": {"color": colour},
        "emphasis": {"disabled": True},
    }


def _table(words: Words, title: str, labels: Sequence[str], curves: Mapping[str, Curve]) -> Markup:
    """The figures at some twenty steps, the last of each run among them."""
    steps = sorted({point[0] for curve in curves.values() for point in curve.points})
    every = max(1, -(-len(steps) // _NUM_ROWS))
    wanted = {*steps[::every], *(curve.last[0] for curve in curves.values())}
    values = {label: dict(curve.points) for label, curve in curves.items()}
    rows = [
        (f"{step:g}", *(_cell(values.get(label, {}).get(step)) for label in labels))
        for step in steps
        if step in wanted
    ]
    named = labels if len(labels) > 1 else [title]
    columns = [Column(words("curves.step")), *(Column(one, is_number=True) for one in named)]
    return table(columns, rows, words("curves.of", figure=title))


def _cell(value: float | None) -> str:
    return "–" if value is None else figure(value)
