"""What a finished layer answers, from its files: calibration, golden set, scores. Heavy.

The base is loaded again and every adapter of the stack is merged from its file, the new one too, so
all that is said about a layer is true of what is shipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dizuo.core.errors import InvalidInput
from dizuo.core.progress import Progress, Reporter
from dizuo.families.base import Row
from dizuo.families.golden import (
    GOLDEN_NAME,
    MAX_GOLDEN_ROWS,
    TRAINED_ANSWERS_NAME,
    TrainedAnswer,
    write_golden,
    write_trained_answers,
)
from dizuo.families.quantiles import Floats
from dizuo.families.text import calibration, score, spec
from dizuo.families.text.adapter import read_adapter
from dizuo.families.text.calibration import Evidence, figures
from dizuo.families.text.generated_prompts import short
from dizuo.families.text.generation import Answer, Writer, embed, watching
from dizuo.families.text.holding import Rule
from dizuo.families.text.layer import Manifest, read_schema
from dizuo.families.text.lessons import Lot, Question, Reading, embedded_text
from dizuo.families.text.llama import EMBEDDED_CHARACTERS
from dizuo.families.text.messages import answer_of
from dizuo.families.text.network import Model, base_model, merge
from dizuo.families.text.teaching import threads_for
from dizuo.families.text.tokens import Tokens

MAX_ASKED = 256
MAX_COMPARED = 64
"""Of these, those that a gate asks the exported stack again."""
MAX_EMBEDDED = 1024
_STEP_ROWS = 32
_CONFIDENCE_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Examination:
    """What to ask a layer once it is trained: held-out rows first, then rows of the task that it
    learned, at most MAX_ASKED in all; and whose prompts show what it has learned.

    `answered` says whether the questions have right answers; `window` is how many tokens the engine
    reads and writes at once. `max_tokens` bounds an answer, where it is to be shorter than the
    layer's own.
    """

    questions: tuple[Question, ...]
    num_held_out: int
    learned: tuple[Row, ...]
    answered: bool
    window: int
    max_tokens: int | None = None


def plan(lot: Lot, reading: Reading, window: int) -> Examination:
    """The examination after a training, of prompts that leave room for an answer in a window of
    so many tokens.

    Raises:
        InvalidInput: no held-out row leaves room for an answer.
    """
    held_out = reading.questions(lot.held_out, MAX_ASKED, window)
    if not held_out:
        raise InvalidInput(
            f"No prompt leaves room for an answer within {window} tokens.",
            next_step="Shorten the prompts, raise task.context_tokens, or take a base that reads "
            "more at once.",
        )
    alike = (row for row in lot.own if ("text" in row) != lot.answered)
    learned = reading.questions(alike, MAX_ASKED - len(held_out), window)
    return Examination(
        questions=(*held_out, *learned),
        num_held_out=len(held_out),
        learned=_embedded(lot),
        answered=lot.answered,
        window=window,
    )


def _embedded(lot: Lot) -> tuple[Row, ...]:
    """At most MAX_EMBEDDED learned rows, replayed ones by their share."""
    num_learned = max(len(lot.learned), MAX_EMBEDDED)
    num_replayed = MAX_EMBEDDED * lot.num_replayed // num_learned
    return (*lot.own[: MAX_EMBEDDED - num_replayed], *lot.replayed[:num_replayed])


@dataclass(frozen=True, slots=True)
class Subject:
    """A stack to examine: the base's folder and manifest, then each adapter's file and manifest,
    its own last."""

    base: Path
    base_manifest: Manifest
    adapters: Sequence[tuple[Path, Manifest]]
    tokens: Tokens

    @property
    def max_tokens(self) -> int:
        """The longest answer of the top layer."""
        top = self.adapters[-1][1] if self.adapters else self.base_manifest
        return top.answering.max_tokens

    @property
    def rule(self) -> Rule | None:
        """What the top layer's answers are held to, if anything.

        Raises:
            LayerRefused: its schema is not the one that its manifest names.
            InvalidInput: the schema cannot be enforced.
        """
        folder, top = self.base, self.base_manifest
        if self.adapters:
            path, top = self.adapters[-1]
            folder = path.parent
        schema = read_schema(folder, top)
        return None if schema is None else Rule(self.tokens, schema)


def examine(
    planned: Examination,
    subject: Subject,
    output: Path,
    report: Reporter,
    cancelled: Callable[[], bool],
) -> dict[str, float]:
    """Ask a layer all questions, write its calibration, golden set and trained answers.

    Returns:
        The scores.

    Raises:
        Cancelled: `cancelled()` became true.
    """
    examiner = _Examiner(planned, subject, report, cancelled)
    model = base_model(subject.base, subject.base_manifest)
    if torch.cuda.is_available():
        model = model.to("cuda")
    with threads_for(model, _STEP_ROWS):
        learned, asked = examiner.embeddings(model)
        for path, manifest in subject.adapters:
            merge(model, read_adapter(path, manifest.modules))
        answers = examiner.answers(model)
    said = [answer_of(answer.text) for answer in answers]
    right = examiner.right(said)
    seen = np.stack([figures(answer.pieces) for answer in answers])
    held = slice(0, planned.num_held_out)
    evidence = Evidence(seen[held], right[held], asked[held])
    path = output / calibration.FILE_NAME
    fitted = (
        calibration.fit(learned, evidence, path)
        if planned.answered
        else calibration.fit_unlabelled(evidence, path)
    )
    _write_answers(planned, answers, fitted.confidences(seen), output)
    return _scores(planned, right)


@dataclass(frozen=True, slots=True)
class _Examiner:
    """Counts what is done across embedding and asking."""

    planned: Examination
    subject: Subject
    report: Reporter
    cancelled: Callable[[], bool]

    def _watch(self, before: int) -> Callable[[int], None]:
        total = len(self.planned.learned) + 2 * len(self.planned.questions)

        def tell(done: int) -> None:
            self.report(Progress("examine", before + done, total, unit="row"))

        return watching(self.cancelled, tell)

    def embeddings(self, model: Model) -> tuple[Floats, Floats]:
        """Those of learned rows and of questions, by the bare base."""
        planned = self.planned
        rows = [*planned.learned, *(question.row for question in planned.questions)]
        texts = [embedded_text(row)[:EMBEDDED_CHARACTERS] or " " for row in rows]
        found = embed(model, self.subject.tokens, texts, planned.window, self._watch(0))
        return found[: len(planned.learned)], found[len(planned.learned) :]

    def answers(self, model: Model) -> list[Answer]:
        """The answer to every question."""
        planned, subject = self.planned, self.subject
        most = planned.max_tokens or subject.max_tokens
        writer = Writer(model, subject.tokens, most, planned.window, subject.rule)
        before = len(planned.learned) + len(planned.questions)
        return writer.answers(planned.questions, self._watch(before))

    def right(self, said: Sequence[Any]) -> Any:
        """Which answers are right; none where nobody knows."""
        if not self.planned.answered:
            return np.zeros(len(said), dtype=np.bool_)
        truths = [spec.truth(question.row) for question in self.planned.questions]
        return np.array(
            [
                score.score("exact_match", [answer], [truth]) == 1
                for answer, truth in zip(said, truths, strict=True)
            ]
        )


def _write_answers(
    planned: Examination, answers: Sequence[Answer], confidences: Floats, output: Path
) -> None:
    rows = [
        TrainedAnswer(
            request=short(spec.request([{"prompt": question.row["prompt"]}]), planned.max_tokens),
            answer=answer_of(answer.text),
            confidence=round(min(float(sure), 1.0), _CONFIDENCE_DIGITS),
            given=tuple(question.ids),
            choices=tuple(answer.choices),
        )
        for question, answer, sure in zip(planned.questions, answers, confidences, strict=True)
    ]
    write_golden(output / GOLDEN_NAME, [row.golden() for row in rows[:MAX_GOLDEN_ROWS]])
    write_trained_answers(output / TRAINED_ANSWERS_NAME, rows[:MAX_COMPARED])


def _scores(planned: Examination, right: Any) -> dict[str, float]:
    found = {"num_asked": float(len(right))}
    if planned.answered:
        found["held_out_exact_match"] = float(right[: planned.num_held_out].mean())
        if len(right) > planned.num_held_out:
            found["trained_exact_match"] = float(right[planned.num_held_out :].mean())
    return found
