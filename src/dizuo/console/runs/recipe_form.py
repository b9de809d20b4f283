"""A recipe's form: which fields it has now, and what typing into them does to the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from dizuo.artifacts.model import Level
from dizuo.console.runs.recipe_draft import RecipeDraft
from dizuo.console.runs.recipe_fields import (
    Bounds,
    Field,
    Input,
    Path,
    Schema,
    every,
    gate_fields,
    schema_fields,
    schema_of,
)
from dizuo.datasets import service as datasets
from dizuo.families import registry
from dizuo.gates.rules import CONDITION_KEYS, CONDITIONS, TRAINED_TARGET
from dizuo.stacks import service as stacks
from dizuo.stacks.recipe import KEYS, MAX_SEED, SCRATCH

NUM_SUGGESTED = 200
_SHAPING = ("family", "level", "kind")
"""Keys that decide which other fields there are."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What a project has that a recipe can name, the newest first."""

    datasets: Sequence[str] = ()
    parents: Sequence[str] = ()


def suggestions(session: Session, project_id: str, family: str, level: Level | None) -> Suggestions:
    """What can be named by a recipe of this family and level."""
    return Suggestions(
        datasets.newest_refs(session, family, limit=NUM_SUGGESTED, project_id=project_id),
        stacks.newest_parents(
            session, family, level or Level.L2, limit=NUM_SUGGESTED, project_id=project_id
        ),
    )


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate of the form; the condition is empty where it has none or several."""

    index: int
    condition: str
    fields: tuple[Field, ...]


class RecipeForm:
    """The form of a draft whose text can be read."""

    def __init__(self, draft: RecipeDraft) -> None:
        self.draft = draft

    @property
    def family(self) -> str:
        """The family, if it is one that is installed, or nothing."""
        named = self.draft.value(("family",))
        return named if isinstance(named, str) and named in registry.family_packages() else ""

    @property
    def level(self) -> Level | None:
        """The level, if it is one."""
        named = self.draft.value(("level",))
        return next((level for level in Level if level.value == named), None)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every target that the family has."""
        return registry.spec(self.family).TARGETS if self.family else ()

    @property
    def chosen_targets(self) -> Sequence[Any]:
        """The targets that the recipe names."""
        named = self.draft.value(("targets",))
        return named if isinstance(named, list) else []

    def basics(self) -> tuple[Field, ...]:
        """Who the layer is, and what it stands on."""
        families = tuple(sorted(registry.family_packages()))
        levels = tuple(level.value for level in Level)
        stands = Field(("from",), Input.TEXT, True, suggestions="parents")
        fields = (
            Field(("name",), Input.TEXT, True),
            Field(("family",), Input.CHOICE, True, choices=families),
            Field(("level",), Input.CHOICE, True, choices=levels),
            *(() if self.level is Level.L0 else (stands,)),
            Field(("description",), Input.LONG),
            Field(("seed",), Input.NUMBER, default=0, bounds=Bounds(0, MAX_SEED)),
        )
        return (*fields, *_stray((), self.draft.values(), KEYS))

    def data(self) -> tuple[Field, ...]:
        """What it learns from."""
        replay = ("data", "replay")
        return (
            Field(("data", "train"), Input.TEXT, True, suggestions="datasets"),
            Field((*replay, "dataset"), Input.TEXT, suggestions="datasets"),
            Field(
                (*replay, "share"),
                Input.NUMBER,
                bounds=Bounds(0, 1, is_low_open=True, is_high_open=True),
            ),
        )

    def method(self) -> tuple[Field, ...]:
        """How it learns."""
        return self._part("method")

    def task(self) -> tuple[Field, ...]:
        """What it is to do."""
        return self._part("task")

    def gates(self) -> tuple[Gate, ...]:
        """What it is held to."""
        value = self.draft.value(("gates",))
        return tuple(
            self._gate(index, gate)
            for index, gate in enumerate(value if isinstance(value, list) else [])
        )

    def fields(self) -> tuple[Field, ...]:
        """Every field, with those within others."""
        own = (*self.basics(), *self.data(), *self.method(), *self.task())
        gates = (field for gate in self.gates() for field in gate.fields)
        return tuple(every((*own, *gates)))

    def change(self, path: Path, text: str) -> bool:
        """Write what was typed into the field at a path; whether that changed which fields there
        are. A path that has no field (any more) is left alone."""
        field = next((one for one in self.fields() if one.path == path), None)
        if field is None:
            return False
        value = field.typed(text)
        is_condition = path[0] == "gates" and path[-1] in CONDITIONS
        self.draft.put(path, "" if value is None and is_condition else value)
        if path[-1] not in _SHAPING:
            return False
        self.settle()
        return True

    def choose_target(self, target: str, *, is_chosen: bool) -> None:
        """Build a target, or do not."""
        chosen = {*self.chosen_targets, target} if is_chosen else {*self.chosen_targets} - {target}
        self.draft.put(("targets",), [one for one in self.targets if one in chosen])

    def add_gate(self) -> None:
        """One more gate, of the first condition."""
        num_gates = len(self.gates())
        self.draft.put(("gates", num_gates), {"suite": "", "metric": "", CONDITIONS[0]: ""})

    def remove_gate(self, index: int) -> None:
        """One gate less."""
        self.draft.put(("gates", index), None)

    def set_condition(self, index: int, condition: str) -> None:
        """Let a gate ask for something else; what both ask for stays."""
        if condition not in CONDITIONS:
            return
        gate = self.draft.value(("gates", index))
        before = gate if isinstance(gate, Mapping) else {}
        kept = {
            key: before.get(key, "incumbent" if key == "not_worse_than" else "")
            for key in CONDITION_KEYS[condition]
            if key in before or key in ("suite", "metric", condition)
        }
        self.draft.put(("gates", index), kept)

    def settle(self) -> None:
        """Write what follows from family, level and kinds: values that have no alternative."""
        if self.level is Level.L0:
            self.draft.put(("from",), SCRATCH)
        elif self.draft.value(("from",)) == SCRATCH:
            self.draft.put(("from",), None)
        for part in ("method", "task"):
            kinds = self._schemas(part)
            if kinds and self.draft.value((part, "kind")) not in kinds:
                self.draft.put((part, "kind"), next(iter(kinds)))
            for field in every(self._part(part)):
                if field.constant is not None:
                    self.draft.put(field.path, field.constant)
        self._settle_targets()

    def _settle_targets(self) -> None:
        """Targets of another family go; without one that ships, the family's first comes."""
        known = [one for one in self.chosen_targets if one in self.targets]
        shipped = [one for one in self.targets if one != TRAINED_TARGET]
        if self.targets and not (known and known == list(self.chosen_targets)):
            enough = known if set(known) & set(shipped) else [TRAINED_TARGET, *shipped[:1]]
            self.draft.put(("targets",), enough)

    def _schemas(self, part: str) -> Mapping[str, Schema]:
        if not self.family or self.level is None:
            return {}
        schema = schema_of(self.family, self.level)
        return schema.methods if part == "method" else schema.tasks

    def _part(self, part: str) -> tuple[Field, ...]:
        schemas = self._schemas(part)
        kind_field = Field((part, "kind"), Input.CHOICE, True, choices=tuple(schemas))
        schema = schemas.get(str(self.draft.value((part, "kind"))))
        if schema is None:
            return (kind_field,)
        fields = schema_fields((part,), schema)
        known = ("kind", *(field.path[1] for field in fields))
        return (kind_field, *fields, *_stray((part,), self.draft.value((part,)), known))

    def _gate(self, index: int, gate: Any) -> Gate:
        found = [key for key in CONDITIONS if isinstance(gate, Mapping) and key in gate]
        if len(found) != 1:
            return Gate(index, "", _stray(("gates", index), gate, ()))
        metrics = registry.scorer(self.family).METRICS if self.family else ()
        shipped = [one for one in self.chosen_targets if one != TRAINED_TARGET]
        fields = gate_fields(index, found[0], metrics, shipped)
        strange = _stray(("gates", index), gate, CONDITION_KEYS[found[0]])
        return Gate(index, found[0], (*fields, *strange))


def _stray(path: Path, values: Any, known: Sequence[object]) -> tuple[Field, ...]:
    """Fields for keys that nothing knows: they were typed, so they are shown."""
    if not isinstance(values, Mapping):
        return ()
    return tuple(
        Field((*path, key), Input.YAML if isinstance(value, Mapping | list) else Input.TEXT)
        for key, value in values.items()
        if key not in known
    )
