"""How many bytes a training takes, told before it starts. Heavy.

Everything is single precision (4 bytes a number), as layers are trained. Per learning parameter: a
gradient (1 number) and AdamW's two moments (Loshchilov & Hutter 2019, algorithm 2). Activations are
counted as Korthikanti et al. 2022 (*Reducing Activation Recomputation in Large Transformer Models*,
section 4) count them, for the blocks that Transformers builds; see `_block_numbers`. With gradient
checkpointing only each block's input is kept, and one block at a time is computed again. The loss
goes over the vocabulary in tiles (TRL's fused output layer), or where there are at most
`teaching.MOST_LOGITS` of them, over whole logits; the larger of the two is counted.

Assumed: every sequence is as long as the longest, and attention keeps no square of the length
(PyTorch's fused kernels) unless that is small; see `teaching.holds_scores`. Under bfloat16 autocast
half of the activations' bytes go, and the weights have a second copy of half the size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dizuo.core import memory
from dizuo.core.errors import InvalidInput
from dizuo.families.text.gguf_architecture import Architecture
from dizuo.families.text.teaching import MOST_LOGITS, holds_scores

_NUMBER_BYTES = 4
_TILE_TOKENS = 4096
_TILE_VOCABULARY = 32768
_TILE_COPIES = 10
"""A tile's logits, what the loss makes of them, and their gradient, side by side on a processor
(`_backward_tile` of `trl.kernels.chunked_logprob`)."""
_WHOLE_COPIES = 3
"""Logits that are whole, what the loss makes of them, and their gradient; under autocast once more
in half the precision, which is counted as a fourth."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One step of a training.

    Args:
        architecture: of the model.
        num_learning: parameters that learn.
        rank: of the adapter; 0 where the whole model learns.
        num_sequences: that go through the model side by side.
        length: tokens of the longest of them.
        checkpointing: whether activations are computed again.
        half: whether under bfloat16 autocast.
        packed: whether rows lie behind each other in one sequence.
    """

    architecture: Architecture
    num_learning: int
    rank: int
    num_sequences: int
    length: int
    checkpointing: bool
    half: bool
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes, by what they are for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.logits


def num_adapter_parameters(architecture: Architecture, rank: int) -> int:
    """Parameters of an adapter on every linear weight of the blocks."""
    return sum(rank * (rows + columns) for rows, columns in architecture.linear_modules().values())


def estimate(workload: Workload) -> Estimate:
    """The bytes that a training takes at its peak, beside those of the program itself."""
    architecture, learning = workload.architecture, workload.num_learning
    weights = architecture.num_parameters + (learning if workload.rank else 0)
    num_tokens = workload.num_sequences * workload.length
    block = _block_numbers(architecture, workload.rank)
    if workload.checkpointing:
        numbers = num_tokens * (architecture.num_layers * architecture.hidden_size + block)
    else:
        numbers = num_tokens * architecture.num_layers * block
    tile = min(num_tokens, _TILE_TOKENS) * min(architecture.vocab_size, _TILE_VOCABULARY)
    whole = min(num_tokens * architecture.vocab_size, MOST_LOGITS)
    copies = _WHOLE_COPIES + workload.half
    share = 0.5 if workload.half else 1.0
    return Estimate(
        weights=int(_NUMBER_BYTES * weights * (1.5 if workload.half else 1.0)),
        gradients=_NUMBER_BYTES * learning,
        optimizer=2 * _NUMBER_BYTES * learning,
        activations=int(_NUMBER_BYTES * numbers * share) + _square_bytes(workload),
        logits=_NUMBER_BYTES * max(_TILE_COPIES * tile, copies * whole),
    )


def _block_numbers(architecture: Architecture, rank: int) -> int:
    """What the backward pass needs of one block, in numbers per token.

    Two norms keep their input, the normalised input, and their output; queries and keys of Qwen3
    have norms of their own; attention keeps queries, keys and values of every head, its output, and
    that output in the order of the next layer; the gated MLP keeps gate, activated gate, up, and
    their product. An adapter adds one vector of its rank to each of seven linear layers.
    """
    hidden, inner = architecture.hidden_size, architecture.intermediate_size
    queries = architecture.num_heads * architecture.head_size
    keys = architecture.num_key_value_heads * architecture.head_size
    norms = 6 * hidden + (2 * (queries + keys) if architecture.name == "qwen3" else 0)
    return norms + 5 * queries + 4 * inner + 7 * rank


def _square_bytes(workload: Workload) -> int:
    """What is the square of the length: the mask, and attention scores where they are kept, under
    autocast in half the precision too."""
    one, square = workload.architecture, workload.num_sequences * workload.length**2
    shape = (one.num_layers, one.num_heads, workload.num_sequences, workload.length)
    if workload.packed or not holds_scores(*shape):
        return square
    kept = 1 if workload.checkpointing else one.num_layers
    copies = 1.5 if workload.half else 1.0
    return square + int(_NUMBER_BYTES * copies * kept * one.num_heads * square)


def free_bytes() -> int:
    """The memory that a training may take here: the graphics processor's where there is one, else
    what the machine and the program's control group leave."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return memory.free_bytes()


def require(needed: Estimate, available_bytes: int, *, checkpointing: bool) -> None:
    """Refuse a training that does not fit.

    Raises:
        InvalidInput: it needs more than there is; says how much, and what lowers it.
    """
    if needed.total <= available_bytes:
        return
    lower = "method.batch_size (and raise gradient_accumulation) or method.max_length"
    if needed.weights + needed.gradients + needed.optimizer > available_bytes:
        step = "Train on a machine with more memory, or take a smaller base."
    elif checkpointing:
        step = f"Lower {lower}."
    else:
        step = f"Set method.gradient_checkpointing: true, or lower {lower}."
    raise InvalidInput(
        f"This training needs about {_gigabytes(needed.total)} of memory, and "
        f"{_gigabytes(available_bytes)} are free here.",
        next_step=step,
    )


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB"
