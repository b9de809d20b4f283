"""Rows as what a model learns from, and as questions to ask it. Light.

A row with a prompt is learned on its answer only, plain text on all of it. Rows with answers are
held out of training where there are enough, so that what the model says about them is measured;
where there are not, the beginnings of held-out texts are what it is asked.

Preferences (`dpo`) are learned from rows with a rejected answer alone. Rows without one, such as
samples whose answer a reviewer confirmed, are left out of learning, but some of them are held out
too: what the model does right belongs to what is measured.

Replayed rows are all learned from and never held out: they are answered as the parent was taught,
so they say nothing about how well this task is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from dizuo.core.errors import InvalidInput
from dizuo.families.base import Row
from dizuo.families.text import excerpts, spec
from dizuo.families.text.conformity import label_fault
from dizuo.families.text.messages import (
    Message,
    answer_text,
    prompt_of,
    prompt_text,
    row_answer,
    row_messages,
    with_system,
)
from dizuo.families.text.patterns import pattern_fault
from dizuo.families.text.recipe import AnswerTask, ExtractTask
from dizuo.families.text.schema import key_order

MIN_ROWS = 20
_HELD_OUT_SHARE = 0.1
_MIN_HELD_OUT = 30
_MAX_HELD_OUT_SHARE = 1 / 3
_MAX_LONG_SHARE = 0.1
_ASKED_CHARACTERS = 64
"""Of a plain text's beginning, asked where no row has an answer."""


class Encoder(Protocol):
    """What texts are as token ids; see `dizuo.families.text.tokens.Tokens`."""

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """The tokens after which the assistant answers."""

    def answer(self, text: str) -> list[int]:
        """An answer to learn, its end included."""

    def text(self, text: str) -> list[int]:
        """A plain text to learn, its end included."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One sequence to learn; its first `num_given` tokens carry no loss."""

    ids: Sequence[int]
    num_given: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt, the answer to prefer, and the one it is preferred to."""

    prompt: Sequence[int]
    chosen: Sequence[int]
    rejected: Sequence[int]

    @property
    def length(self) -> int:
        """Tokens of the longer of the two sequences."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt to ask: as a row, as the messages that the model reads, and as its tokens."""

    row: Row
    messages: Sequence[Message]
    ids: Sequence[int]

    @property
    def said(self) -> str:
        """What users said, which excerpts are of."""
        return prompt_text(self.messages)


@dataclass(frozen=True, slots=True)
class Lot:
    """The rows of a job: those to learn from, of which the last `num_replayed` are replayed; those
    held out, and whether these have answers."""

    learned: tuple[Row, ...]
    held_out: tuple[Row, ...]
    answered: bool
    num_replayed: int = 0

    @property
    def own(self) -> tuple[Row, ...]:
        """Learned rows that are the task's."""
        return self.learned[: len(self.learned) - self.num_replayed]

    @property
    def replayed(self) -> tuple[Row, ...]:
        """Learned rows that keep what the parent knew, in no order."""
        return self.learned[len(self.own) :]


def check_rows(rows: Sequence[Row], kind: str, *, num_replayed: int = 0) -> None:
    """Refuse rows that a method cannot learn from; the last `num_replayed` are replayed.

    Raises:
        InvalidInput: there are too few that are not replayed, one does not hold what the method
            needs (says which), or too few have a rejected answer to learn preferences from.
    """
    num_own = len(rows) - num_replayed
    if num_own < MIN_ROWS:
        raise InvalidInput(
            f"There are {num_own} rows; training needs at least {MIN_ROWS}.",
            next_step="Add rows to the dataset.",
        )
    for number, row in enumerate(rows, start=1):
        fault = spec.check_row(row) or _lack(row, kind)
        if fault:
            raise InvalidInput(
                f"Row {number} cannot be learned from: {fault}.",
                next_step="Correct it, or leave it out of the dataset.",
            )
    num_pairs = sum("rejected" in row for row in rows)
    if kind == "dpo" and num_pairs < MIN_ROWS:
        raise InvalidInput(
            f"{num_pairs} of {len(rows)} rows have a rejected answer; dpo needs at least "
            f"{MIN_ROWS}.",
            next_step="Correct more returned samples, or learn from the labels with kind: lora.",
        )


def check_labels(rows: Sequence[Row], task: AnswerTask | ExtractTask) -> None:
    """Refuse rows whose labels are not what the task's schema says: the engine would never write
    them.

    Raises:
        InvalidInput: one is not; says which and why.
    """
    if not isinstance(task, ExtractTask):
        return
    for number, row in enumerate(rows, start=1):
        fault = _label_fault(row, task.schema_) if "label" in row else ""
        if fault:
            raise InvalidInput(
                f"Row {number} cannot be learned from: {fault}.",
                next_step="Correct the label, or task.schema.",
            )


def _label_fault(row: Row, schema: Mapping[str, Any]) -> str:
    answer = row_answer(row)
    return label_fault(answer, schema, pattern_fault=pattern_fault) or excerpts.answer_fault(
        answer, schema, prompt_text(row_messages(row))
    )


def _lack(row: Row, kind: str) -> str:
    if kind == "dpo" and "text" in row:
        return "it is a plain text, and dpo learns from a label and a rejected answer"
    if "text" in row:
        return ""
    return "" if "label" in row else "there is no label"


def divide(rows: Sequence[Row], seed: int, kind: str = "", *, num_replayed: int = 0) -> Lot:
    """Which rows to learn from and which to hold out, by the seed alone; see the module for what
    `kind: dpo` changes, and for the last `num_replayed` rows."""
    own, replayed = rows[: len(rows) - num_replayed], rows[len(rows) - num_replayed :]
    lot = _divide_pairs(own, seed) if kind == "dpo" else _divide(own, seed)
    order = np.random.default_rng(seed).permutation(num_replayed)  # not all of them may be embedded
    mixed = [replayed[int(index)] for index in order]
    return replace(lot, learned=(*lot.learned, *mixed), num_replayed=num_replayed)


def _divide(rows: Sequence[Row], seed: int) -> Lot:
    texts = [row for row in rows if "text" in row]
    answered = [row for row in rows if "text" not in row]
    enough = len(answered) >= MIN_ROWS
    pool, others = (answered, texts) if enough else (texts, answered)
    learned, held_out = split(len(pool), seed)
    return Lot(
        learned=(*(pool[index] for index in learned), *others),
        held_out=tuple(pool[index] for index in held_out),
        answered=enough,
    )


def _divide_pairs(rows: Sequence[Row], seed: int) -> Lot:
    """Pairs and other rows are divided apart, so that there are pairs among what is learned."""
    pairs = [row for row in rows if "rejected" in row]
    others = [row for row in rows if "rejected" not in row]
    learned, held_out = split(len(pairs), seed)
    _, also_held_out = split(len(others), seed) if others else ((), ())
    apart = [*(pairs[index] for index in held_out), *(others[index] for index in also_held_out)]
    order = np.random.default_rng(seed).permutation(len(apart))  # not all of them may be asked
    return Lot(
        learned=tuple(pairs[index] for index in learned),
        held_out=tuple(apart[int(index)] for index in order),
        answered=True,
    )


def split(num_rows: int, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Which rows to learn from and which to hold out.

    A tenth is held out, at least 30 rows, but never more than a third, and always one.
    """
    wanted = max(math.ceil(_HELD_OUT_SHARE * num_rows), _MIN_HELD_OUT)
    num_held_out = max(1, min(wanted, int(_MAX_HELD_OUT_SHARE * num_rows)))
    order = [int(index) for index in np.random.default_rng(seed).permutation(num_rows)]
    return tuple(order[num_held_out:]), tuple(order[:num_held_out])


def texts_of(rows: Iterable[Row], task: AnswerTask | ExtractTask) -> Iterator[str]:
    """Every text that a model of this task reads and writes, for a tokenizer to learn from."""
    order = _order(task)
    if task.system is not None:
        yield task.system
    for row in rows:
        if "text" in row:
            yield str(row["text"])
        else:
            yield from (message["content"] for message in row_messages(row))
            yield from (answer_text(row[key], order) for key in ("label", "rejected") if key in row)


@dataclass(frozen=True, slots=True)
class Reading:
    """How rows are read: by which tokenizer, for which task, up to how many tokens."""

    encoder: Encoder
    task: AnswerTask | ExtractTask
    max_length: int

    def lessons(self, rows: Sequence[Row]) -> tuple[list[Lesson], int]:
        """The rows as sequences to learn, and how many rows are left out because they are too long.

        A plain text that is too long is cut into several sequences.
        """
        found: list[Lesson] = []
        num_too_long = 0
        for row in rows:
            if "text" in row:
                found += self._pieces(self.encoder.text(str(row["text"])))
                continue
            prompt = self._prompt(row)
            lesson = Lesson([*prompt, *self._answer(row["label"])], len(prompt))
            if len(lesson.ids) > self.max_length:
                num_too_long += 1
            else:
                found.append(lesson)
        return found, num_too_long

    def _pieces(self, ids: Sequence[int]) -> list[Lesson]:
        """A text in sequences of at most `max_length`, each of two tokens at least."""
        starts = range(0, len(ids), self.max_length)
        pieces = [ids[start : start + self.max_length] for start in starts]
        return [Lesson(piece, 0) for piece in pieces if len(piece) > 1]

    def pairs(self, rows: Sequence[Row]) -> tuple[list[Pair], int]:
        """The rows as preferences, and how many are left out because they are too long."""
        found = [
            Pair(self._prompt(row), self._answer(row["label"]), self._answer(row["rejected"]))
            for row in rows
        ]
        short = [pair for pair in found if pair.length <= self.max_length]
        return short, len(found) - len(short)

    def questions(self, rows: Iterable[Row], most: int, window: int) -> list[Question]:
        """The first `most` rows as questions that leave room for an answer in `window` tokens."""
        found: list[Question] = []
        for row in rows:
            if len(found) == most:
                break
            asked = _asked(row)
            messages = with_system(asked, self.task.system)
            ids = self.encoder.prompt(messages)
            if len(ids) < window:
                kept = {key: value for key, value in row.items() if key == "label"}
                found.append(Question({"prompt": prompt_of(asked), **kept}, messages, ids))
        return found

    def _prompt(self, row: Row) -> list[int]:
        return self.encoder.prompt(with_system(row_messages(row), self.task.system))

    def _answer(self, label: Any) -> list[int]:
        return self.encoder.answer(answer_text(label, _order(self.task)))


def _order(task: AnswerTask | ExtractTask) -> tuple[str, ...]:
    return key_order(task.schema_) if isinstance(task, ExtractTask) else ()


def _asked(row: Row) -> list[Message]:
    if "text" not in row:
        return row_messages(row)
    return [{"role": "user", "content": str(row["text"]).strip()[:_ASKED_CHARACTERS]}]


def embedded_text(row: Row) -> str:
    """What the engine would embed of a row."""
    return str(row["text"]) if "text" in row else prompt_text(row_messages(row))


def check_lengths(num_too_long: int, num_rows: int, max_length: int) -> None:
    """Refuse rows of which more than a tenth would be left out.

    Raises:
        InvalidInput: they would.
    """
    if num_too_long > _MAX_LONG_SHARE * num_rows:
        raise InvalidInput(
            f"{num_too_long} of {num_rows} rows are longer than {max_length} tokens.",
            next_step="Raise method.max_length, or shorten the rows.",
        )
