"""What a model in memory answers, and how it embeds prompts, as the engine does it. Heavy.

An answer that a schema holds takes the likeliest token that the grammar allows. llama.cpp tells
log-probabilities by text piece: of a character that is several tokens only the last one is told,
and the token that ends the answer is not. Prompts are embedded by the mean of the final norm's
outputs over their tokens, with unit length (its pooling `MEAN`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from dizuo.families.base import Cancelled, Distribution
from dizuo.families.golden import MAX_CHOICES, MAX_OUTCOMES, kept
from dizuo.families.quantiles import Floats
from dizuo.families.text.calibration import Token, token_of
from dizuo.families.text.holding import Hold, Rule
from dizuo.families.text.lessons import Question
from dizuo.families.text.network import Model
from dizuo.families.text.tokens import Tokens

_ROWS = 32
Watch = Callable[[int], None]
"""Told after every step how many rows are done; may raise Cancelled."""


@dataclass(slots=True)
class Answer:
    """An answer as it is written: its bytes, and the pieces that the engine would tell about.

    `num_told` of the bytes are told: the engine keeps back the beginning of a character until the
    rest is there, and drops it where the answer ends before. `choices` are the first MAX_CHOICES
    tokens, that which ends the answer too, with what else could have stood there.
    """

    spelled: bytes = b""
    pieces: list[Token] = field(default_factory=list)
    num_told: int = 0
    choices: list[Distribution] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What was told."""
        return self.spelled[: self.num_told].decode("utf-8", errors="replace")

    def note(self, taken: int, logprob: float, likeliest: dict[int, float]) -> None:
        """Note the choice of a token among the likeliest ones."""
        if len(self.choices) < MAX_CHOICES:
            told = {taken: logprob} | likeliest
            self.choices.append(kept(list(told), list(told.values())))

    def add(self, spelled: bytes, logprob: float, top: Sequence[float]) -> None:
        """Write one token."""
        self.spelled += spelled
        if whole(self.spelled):
            self.num_told = len(self.spelled)
            self.pieces.append(token_of(logprob, top))


def whole(spelled: bytes) -> bool:
    """Whether the bytes do not end within a character (`validate_utf8` in llama.cpp's server)."""
    for back in range(1, min(4, len(spelled)) + 1):
        byte = spelled[-back]
        wanted = 2 if byte >> 5 == 0b110 else 3 if byte >> 4 == 0b1110 else 4
        if byte >> 6 == 0b11 and byte >> 3 != 0b11111 and back < wanted:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Writer:
    """A model with what it reads and writes by.

    `max_tokens` bounds an answer, `window` prompt and answer together; `rule` is what every answer
    is held to, if anything.
    """

    model: Model
    tokens: Tokens
    max_tokens: int
    window: int
    rule: Rule | None = None

    def answers(self, questions: Sequence[Question], watch: Watch) -> list[Answer]:
        """The likeliest answer to each question, token by token; prompts of like length share a
        batch.

        Raises:
            Cancelled: `watch` raised it.
        """
        order = sorted(range(len(questions)), key=lambda index: len(questions[index].ids))
        found = [Answer() for _ in questions]
        for start in range(0, len(order), _ROWS):
            chosen = order[start : start + _ROWS]
            self._write(
                [questions[index] for index in chosen],
                [found[index] for index in chosen],
                partial(watch, start),
            )
        watch(len(questions))
        return found

    @torch.no_grad()
    def _write(
        self, questions: Sequence[Question], answers: Sequence[Answer], tick: Callable[[], None]
    ) -> None:
        prompts = [question.ids for question in questions]
        ids, mask = _padded(prompts, self.tokens, self.model.device, left=True)
        cache = DynamicCache()
        rooms = [min(self.max_tokens, self.window - len(prompt)) for prompt in prompts]
        holds = [self.rule.hold(one.said) if self.rule else None for one in questions]
        writing = {index for index, room in enumerate(rooms) if room > 0}
        while writing:
            tick()
            length = ids.shape[1]
            places = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
            logits = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
            chosen = self._take(logits.float(), answers, holds, rooms, writing)
            ids = chosen[:, None]
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)

    def _take(
        self,
        logits: Tensor,
        answers: Sequence[Answer],
        holds: Sequence[Hold | None],
        rooms: list[int],
        writing: set[int],
    ) -> Tensor:
        """Add the likeliest token that is allowed to each answer that is still being written."""
        logprobs = logits.log_softmax(dim=-1)
        top, likeliest = logprobs.topk(min(MAX_OUTCOMES, logprobs.shape[-1]), dim=-1)
        chosen = likeliest[:, 0].clone()
        for index in sorted(writing):
            hold = holds[index]
            if hold is not None:
                chosen[index] = hold.take(logprobs[index])
        told = logprobs.gather(1, chosen[:, None])[:, 0].tolist()
        for index in sorted(writing):
            taken, logprob, ends = int(chosen[index]), told[index], top[index].tolist()
            answers[index].note(
                taken, logprob, dict(zip(likeliest[index].tolist(), ends, strict=True))
            )
            if taken in self.tokens.stops:
                writing.discard(index)
                continue
            answers[index].add(self.tokens.spelled(taken), logprob, ends)
            rooms[index] -= 1
            if rooms[index] == 0:
                writing.discard(index)
        return chosen


@torch.no_grad()
def embed(model: Model, tokens: Tokens, texts: Sequence[str], window: int, watch: Watch) -> Floats:
    """The model's embeddings of texts, shape (texts, d), each of unit norm.

    Raises:
        Cancelled: `watch` raised it.
    """
    read = [tokens.plain(text)[:window] for text in texts]
    order = sorted(range(len(read)), key=lambda index: len(read[index]))
    found = np.zeros((len(read), model.config.hidden_size), dtype=np.float32)
    for start in range(0, len(order), _ROWS):
        watch(start)
        chosen = order[start : start + _ROWS]
        ids, mask = _padded([read[index] for index in chosen], tokens, model.device, left=False)
        states = model.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
        outputs = states.last_hidden_state.float() * mask[:, :, None]
        means = outputs.sum(dim=1) / mask.sum(dim=1, keepdim=True)
        found[chosen] = torch.nn.functional.normalize(means, dim=1).cpu().numpy()
    watch(len(texts))
    return found


def watching(cancelled: Callable[[], bool], tell: Watch) -> Watch:
    """A watch that tells how far the work is, and stops it when asked to."""

    def watch(done: int) -> None:
        if cancelled():
            raise Cancelled
        tell(done)

    return watch


def _padded(
    rows: Sequence[Sequence[int]], tokens: Tokens, device: torch.device, *, left: bool
) -> tuple[Tensor, Tensor]:
    """Rows side by side, and which of their tokens are their own."""
    longest = max(len(row) for row in rows)
    pad = tokens.tokenizer.pad_token_id
    ids = torch.full((len(rows), longest), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        place = slice(longest - len(row), None) if left else slice(0, len(row))
        ids[index, place] = torch.tensor(row)
        mask[index, place] = 1
    return ids.to(device), mask.to(device)
