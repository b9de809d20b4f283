"""What a family is: a package whose modules satisfy these protocols, found by entry point.

A family named `vision` registers its package under the entry-point group `dizuo.families`; its
modules `spec`, `score`, `footprint` and `runtime` are light (no PyTorch: the agent imports them),
`tune` and `export` are heavy. `dizuo.families.registry` finds a family and hands out one module at
a time.

A *row* is one sample of a dataset: a mapping with the columns that the family's spec names. A
*request* is the JSON body of one call to an engine, an *answer* what the engine says about one row
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dizuo.artifacts.model import LayerFile, Level, StackFiles
from dizuo.core.progress import Reporter

Row = Mapping[str, Any]
"""One sample: `{"image": <PNG bytes>, "label": "7"}` in the vision family."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a recipe: `path` leads to the key in the YAML (`("method", "rank")`)."""

    path: tuple[str | int, ...]
    message: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What an engine says about one row of a request.

    `answer` is JSON; `confidence` is calibrated, 0 to 1; the percentiles say where this row lies
    among the held-out rows the layer was calibrated on, 0 to 1: a low `confidence_percentile` means
    unusually unsure, a high `novelty_percentile` unusually far from what was learned; None where
    the engine had no time to look.
    """

    answer: Any
    confidence: float
    confidence_percentile: float
    novelty_percentile: float | None


@dataclass(frozen=True, slots=True)
class Distribution:
    """How likely a model finds each outcome of one choice: the next token, or the class.

    `outcomes` are numbers (of tokens, of classes), at least one; `logprobs` the natural logarithms
    of their probabilities, none above 0. An engine tells the likeliest first, a kept choice
    (`golden.TrainedAnswer`) the one that was taken first, then the likeliest others. What is not
    listed shares the rest.
    """

    outcomes: tuple[int, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """An engine's reply: the response body for the caller, and one observation per row."""

    response: dict[str, Any]
    observations: tuple[Observation, ...]


CALLS_AT_ONCE = 4
"""How many calls an engine takes at once that does not say."""


class Engine(Protocol):
    """One base with a fixed set of stacks on it. Calls may come from several threads: as many at
    once as its attribute `calls_at_once` says, or CALLS_AT_ONCE where it has none. Further ones
    wait in the order they came."""

    def infer(self, stack: str, request: Mapping[str, Any]) -> Answer:
        """Answer a request with the stack served under this name.

        Raises:
            UnknownStack: the engine does not hold it.
            InvalidInput: the request does not have the family's form.
        """

    def describe(self, stack: str) -> dict[str, Any]:
        """The model's metadata in the protocol its family speaks (inputs, outputs, versions)."""

    def close(self) -> None:
        """Give back memory and files."""


class StreamingEngine(Engine, Protocol):
    """An engine that tells an answer while it is made, and can stop making it."""

    def stream(
        self,
        stack: str,
        request: Mapping[str, Any],
        emit: Callable[[Mapping[str, Any] | None], bool],
    ) -> Answer:
        """As `infer`; meanwhile `emit` is told each chunk of an answer that the request wants as a
        stream, and None as a sign of life where there is no chunk, so that it can say (False) that
        nobody wants the rest. It may be called from several threads.

        Raises:
            UnknownStack, InvalidInput: as `infer`.
        """


class ForeseeingEngine(Engine, Protocol):
    """An engine that tells how likely it finds each next outcome, whichever came before it."""

    def expect(
        self, stack: str, request: Mapping[str, Any], taken: Sequence[int], /
    ) -> Distribution:
        """What the stack expects next in its answer to a request of one row.

        Args:
            stack: the name it is served under.
            request: what is asked.
            taken: the outcomes so far, whoever chose them; a text begins with its prompt's tokens.

        Raises:
            UnknownStack, InvalidInput: as `infer`.
        """


@dataclass(frozen=True, slots=True)
class RecipeSchema:
    """What a family's recipes of one level may say under `method` and `task`: for each value of
    their key `kind`, the JSON schema of the mapping that it stands in."""

    methods: Mapping[str, Mapping[str, Any]]
    tasks: Mapping[str, Mapping[str, Any]]


class Spec(Protocol):
    """`<family>/spec.py`: what the family takes and refuses. Light.

    PROTOCOL is what applications speak to its engines: `open-inference` (the Open Inference
    Protocol v2, under `/v2/models`) or `openai` (under `/v1`).

    COLUMNS are what its rows may hold. Two mean the same in every family: `label`, the right
    answer, and `rejected`, one that a reviewer turned down. A family that names `rejected` finds
    there the model's own answer to a returned sample that the reviewer corrected. Neither is part
    of the input: two rows that differ in nothing else are the same input.

    CODE_VERSION is raised whenever the same recipe on the same data would train or export to other
    bytes than before; what was built under another one is not found again.
    """

    NAME: str
    CODE_VERSION: int
    PROTOCOL: Literal["open-inference", "openai"]
    TARGETS: tuple[str, ...]
    COLUMNS: tuple[str, ...]
    NEAR_DUPLICATE_SIMILARITY: float

    def check_recipe(
        self,
        level: Level,
        method: Mapping[str, Any],
        task: Mapping[str, Any],
        *,
        replays: bool = False,
    ) -> list[Problem]:
        """Every problem of a recipe's `method` and `task`, and of `data.replay` (which `replays`
        says it has) beside these; an empty list accepts it."""

    def recipe_schema(self, level: Level) -> RecipeSchema:
        """What a recipe of this level may say: what forms are made from. `check_recipe` decides."""

    def check_row(self, row: Row) -> str:
        """Why a row cannot be used (`the image cannot be read`), or an empty string."""

    def fingerprints(self, rows: Sequence[Row]) -> NDArray[np.float32]:
        """Unit vectors, shape (rows, d); a dot product at or above NEAR_DUPLICATE_SIMILARITY makes
        two rows near duplicates."""

    def truth(self, row: Row) -> Any:
        """The right answer that a row carries, in the form of `Observation.answer`."""

    def request(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The request that asks an engine about these rows."""

    def rows(self, request: Mapping[str, Any], indices: Sequence[int]) -> list[dict[str, Any]]:
        """The input columns of the rows at `indices` of a request, as a sample keeps them."""


class Scorer(Protocol):
    """`<family>/score.py`: metrics. Light."""

    METRICS: tuple[str, ...]

    def score(self, metric: str, answers: Sequence[Any], truths: Sequence[Any]) -> float:
        """The metric over paired answers and truths, 0 (worst) to 1 (best).

        Raises:
            InvalidInput: the family has no such metric, or there is nothing to score.
        """

    def agrees(self, expected: Mapping[str, Any], observed: Observation) -> bool:
        """Whether an observation equals an expected one (`answer`, `confidence`) within the
        family's stated tolerance."""


class Runtime(Protocol):
    """`<family>/runtime.py`: runs exported stacks. Light."""

    def open_engine(self, stacks: Mapping[str, StackFiles], *, threads: int) -> Engine:
        """One engine for stacks that share a base, keyed by the name they are served under.

        Raises:
            LayerRefused: a layer does not fit this base or this engine; says why.
        """


class Footprint(Protocol):
    """`<family>/footprint.py`: what an engine takes, told before it starts. Light.

    SMALLER is the next step where that is more than there is: one sentence that names what in a
    recipe makes an engine take less.
    """

    SMALLER: str

    def engine_bytes(self, stacks: Mapping[str, StackFiles], *, file_bytes: int) -> int:
        """Bytes of memory that one engine for these stacks takes once it answers, its process
        included, roughly and rather too much.

        Args:
            stacks: as `Runtime.open_engine` gets them; they share a base.
            file_bytes: of their files together, those that are the same counted once.

        Raises:
            LayerRefused: a file that tells it cannot be read.
        """


@dataclass(frozen=True, slots=True)
class TuneJob:
    """What a tuner is given.

    `parent` is the parent stack in the `safetensors` target, or None to start from scratch.
    `output` and `checkpoints` are folders the tuner may fill; `checkpoints` may hold those of an
    attempt that was killed, and the result must then be the same as without the kill. The last
    `num_replayed` of the rows are not the task's: they keep what the parent knew. `gated` says that
    an engine will be opened on the layer where it is made, so that a tuner can refuse one for which
    there is too little memory before it trains.
    """

    name: str
    level: Level
    seed: int
    method: Mapping[str, Any]
    task: Mapping[str, Any]
    rows: Sequence[Row]
    parent: StackFiles | None
    output: Path
    checkpoints: Path
    num_replayed: int = 0
    gated: bool = False


@dataclass(frozen=True, slots=True)
class TunedLayer:
    """What a tuner or importer returns: the layer's files, its metrics, and the target whose form
    the files have. Only from `safetensors` can a layer be exported to others."""

    files: tuple[LayerFile, ...]
    metrics: dict[str, float]
    target: str = "safetensors"


class Cancelled(Exception):
    """Raised inside long work when `cancelled()` says so; not an error."""


class Tuner(Protocol):
    """`<family>/tune.py`: makes a layer. Heavy."""

    def tune(self, job: TuneJob, report: Reporter, cancelled: Callable[[], bool]) -> TunedLayer:
        """Train one layer.

        Raises:
            Cancelled: `cancelled()` became true.
            InvalidInput: the rows cannot be trained on.
        """


class Exporter(Protocol):
    """`<family>/export.py`: turns a layer into a target's form. Heavy."""

    def export(
        self, stack: StackFiles, target: str, output: Path, report: Reporter
    ) -> tuple[LayerFile, ...]:
        """The files of the stack's own (last) layer in `target`'s form.

        Args:
            stack: all layers in the `safetensors` target.
            target: one of the spec's TARGETS other than `safetensors`.
            output: an empty folder to write to.
        """


class Importer(Protocol):
    """`<family>/importing.py`: brings an open model in as an L0 layer. Light but `import_model`.

    FILES are the names of those of a model's files that `import_model` reads; an asterisk stands
    for any characters. Of a model on a hub no others are fetched. HEADS says, by the ending of a
    file that is neither text nor safetensors, how many of its first bytes `inspect` needs.
    """

    FILES: tuple[str, ...]
    HEADS: Mapping[str, int]

    def check_config(self, directory: Path) -> dict[str, Any]:
        """Look at `config.json` alone, before more of a model is fetched.

        Returns:
            What it tells of what `inspect` tells.

        Raises:
            ModelRefused: it describes no model of this family; says why and what to do.
        """

    def inspect(self, directory: Path) -> dict[str, Any]:
        """What the directory holds (architecture, labels, number of parameters), from headers.

        The directory may be a sketch of a model: then its texts are whole, and its other files have
        their size but no content, save the headers of safetensors files and what HEADS asks for. A
        `target` in the answer says which one `import_model` will return, if it is not
        `safetensors`.

        Raises:
            ModelRefused: it cannot become a layer; says why and what to do.
        """

    def check_task(self, task: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Look at how an imported model is to answer, in the words of a recipe's `task`.

        Args:
            task: what is asked for; what it leaves out is as the family has it.
            found: what `check_config` or `inspect` tells of the model, or nothing.

        Raises:
            InvalidInput: the family cannot make such a layer of the model; says why.
        """

    def import_model(
        self,
        directory: Path,
        output: Path,
        report: Reporter,
        *,
        task: Mapping[str, Any] = MappingProxyType({}),
    ) -> TunedLayer:
        """The model as an L0 layer, in the `safetensors` target unless it comes in a form that
        nothing can be trained on.

        Raises:
            ModelRefused: as `inspect`.
            InvalidInput: as `check_task`.
        """
