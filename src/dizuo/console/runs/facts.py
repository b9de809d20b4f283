"""What is told of a run: its state, what it does, how far it is, what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from dizuo.console.elements.markup import EMPTY, badge, facts, join, link, panel, tag
from dizuo.console.elements.telling import num_bytes, number, when
from dizuo.console.messages import Words, catalogue
from dizuo.console.runs.curves import figure, metric_words
from dizuo.console.runs.recipe_draft import RecipeDraft
from dizuo.console.runs.recipe_fields import written
from dizuo.console.runs.recipe_markup import key_words
from dizuo.console.sentences import spoken
from dizuo.core.clock import now_ms
from dizuo.runs.about import about, recipe_of
from dizuo.runs.curves import Stage
from dizuo.runs.model import Run, RunState
from dizuo.stacks.errors import RecipeRefused

_TONES = {
    RunState.QUEUED: "neutral",
    RunState.RUNNING: "busy",
    RunState.SUCCEEDED: "good",
    RunState.FAILED: "bad",
    RunState.CANCELLED: "warn",
}
_TOLD_OF_RECIPE = (
    ("level",),
    ("family",),
    ("from",),
    ("data", "train"),
    ("data", "replay", "dataset"),
    ("method", "kind"),
    ("task", "kind"),
    ("targets",),
)
_TOLD_OF_SPEC = ("stack", "name", "source", "family", "targets")


def kind_words(words: Words, kind: str) -> str:
    """What a kind of run does; its own name where the catalogue does not know it."""
    return words(f"run.kind_{kind}") if f"run.kind_{kind}" in catalogue() else kind


def run_title(words: Words, run: Run) -> str:
    """What a run is called: what it does to what."""
    named = about(run)
    return f"{kind_words(words, run.kind)} {named}" if named else kind_words(words, run.kind)


def short_id(run: Run) -> str:
    """The end of a run's id: what tells two runs of one name apart."""
    return run.id[-6:]


def state_badge(words: Words, run: Run) -> Markup:
    """Where a run is."""
    if run.cancel_ms is not None and run.state is RunState.RUNNING:
        return badge(words("run.stopping"), "warn")
    shown = badge(words(f"run.state_{run.state.value}"), _TONES[run.state])
    return join([shown, badge(words("run.cached"))], " ") if run.cached else shown


def took(words: Words, run: Run) -> str:
    """How long an ended run worked."""
    if run.started_ms is None or run.finished_ms is None:
        return "–"
    return length(words, run.finished_ms - run.started_ms)


def length(words: Words, span_ms: int) -> str:
    """A span of time in its two largest units."""
    seconds = span_ms / 1000
    if seconds < 60:
        digits = 1 if seconds < 10 else 0
        return words("length.seconds", seconds=f"{seconds:.{digits}f}")
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return words("length.minutes", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return words("length.hours", hours=hours, minutes=minutes)


def run_facts(words: Words, run: Run) -> Markup:
    """What a run does, for whom, and when."""
    now = now_ms()
    pairs: list[tuple[object, object]] = [*_spec_facts(words, run)]
    pairs.append((words("column.actor"), run.actor))
    pairs.append((words("column.submitted"), when(words, run.created_ms, now)))
    if run.started_ms is not None:
        pairs.append((words("column.started"), when(words, run.started_ms, now)))
    if run.finished_ms is not None:
        pairs.append((words("column.took"), took(words, run)))
    pairs.append((words("column.attempts"), run.fence))
    pairs.append((words("run.id"), tag("code", run.id)))
    return panel(words("run.what"), facts(pairs))


def _spec_facts(words: Words, run: Run) -> list[tuple[object, object]]:
    if recipe_of(run):
        found = _of_recipe(recipe_of(run))
    else:
        found = {key: run.spec[key] for key in _TOLD_OF_SPEC if run.spec.get(key)}
    return [(key_words(words, key), _named(key, value)) for key, value in found.items()]


def _named(key: str, value: Any) -> object:
    text = written(value)
    name, _, version = text.partition(":")
    if key in ("from", "stack") and version.isdecimal():
        return link(text, f"/stacks/{name}/{version}")
    name, _, version = text.partition("@")
    if key in ("train", "dataset") and version.isdecimal():
        return link(text, f"/data/{name}/{version}")
    return text


def _of_recipe(text: str) -> Mapping[str, Any]:
    """The facts of a recipe that people ask for first."""
    draft = RecipeDraft(text)
    try:
        values = {path: draft.value(path) for path in _TOLD_OF_RECIPE}
    except RecipeRefused:  # a run that was queued before the text was refused
        return {}
    return {
        path[0] if path[-1] == "kind" else path[-1]: value
        for path, value in values.items()
        if value is not None
    }


def stage_bars(words: Words, stages: Sequence[Stage]) -> Markup:
    """How far each stage is."""
    if not stages:
        return tag("p", words("run.nothing_said"), class_="muted")
    return tag("ul", *(_bar(words, stage) for stage in stages), class_="stages")


def _bar(words: Words, stage: Stage) -> Markup:
    name = words(f"stage.{stage.name}") if f"stage.{stage.name}" in catalogue() else stage.name
    count = tag("span", _count(words, stage), class_="count") if stage.total else EMPTY
    bar = (
        tag("progress", max=stage.total, value=stage.done, aria_label=name)
        if stage.total
        else EMPTY
    )
    said = tag("span", spoken(words, stage.message), class_="muted") if stage.message else EMPTY
    return tag("li", tag("span", name, class_="stage"), bar, count, said)


def _count(words: Words, stage: Stage) -> str:
    if stage.unit == "byte":
        return f"{num_bytes(stage.done)} / {num_bytes(stage.total)}"
    known = f"unit.{stage.unit}" in catalogue()
    unit = words(f"unit.{stage.unit}") if known else stage.unit
    return f"{number(stage.done)} / {number(stage.total)} {unit}"


def outcome(words: Words, run: Run) -> Markup:
    """What came of an ended run; nothing before."""
    if run.error is not None:
        return _failure(words, run.error)
    if run.outcome is None:
        return EMPTY
    return panel(words("run.outcome"), facts(_outcome_facts(words, run.outcome)))


def _failure(words: Words, error: Mapping[str, Any]) -> Markup:
    sentence = tag("p", spoken(words, str(error.get("message", ""))))
    step = tag("p", spoken(words, str(error["next_step"]))) if error.get("next_step") else EMPTY
    code = tag("p", tag("code", str(error.get("code", ""))), class_="muted")
    title = tag("h2", words("run.failure"))
    return tag("section", title, sentence, step, code, class_="notice bad", role="alert")


def _outcome_facts(words: Words, made: Mapping[str, Any]) -> list[tuple[object, object]]:
    found: list[tuple[object, object]] = []
    for key, value in made.items():
        if key in ("name", "version"):  # the stack says both
            continue
        if key == "metrics" and isinstance(value, Mapping):
            found += [
                (metric_words(words, name), figure(float(one), name))
                for name, one in value.items()
                if isinstance(one, int | float)
            ]
        elif isinstance(value, bool):
            passed = badge(words("gate.passed"), "good")
            found.append(
                (_outcome_word(words, key), passed if value else badge(words("gate.failed"), "bad"))
            )
        elif isinstance(value, str | int | float):
            shown = _named(key, value) if key != "digest" else tag("code", value)
            found.append((_outcome_word(words, key), shown))
    return found


def _outcome_word(words: Words, key: str) -> str:
    return words(f"run.made_{key}") if f"run.made_{key}" in catalogue() else key
