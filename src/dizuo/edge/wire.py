"""The bodies of `/edge/v1`. All calls start at the agent; all are idempotent.

Limits are part of the contract: a body that breaks one is refused whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from dizuo.core.digests import sha256_json

MAX_SAMPLE_BYTES = 10_000_000
MAX_SAMPLES_PER_UPLOAD = 64
MAX_UPLOAD_BYTES = 32_000_000
"""Of one body of `/edge/v1/samples`; a site splits what is larger into several uploads."""
MAX_CHECK_IN_BYTES = 256_000
"""Of any other body of `/edge/v1`."""

DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
NameText = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$")]


def _not_a_file(name: str) -> str:
    if name.endswith(".json"):
        raise ValueError("it ends in .json, as the files that sites keep beside stacks do")
    return name


ServedAs = Annotated[NameText, AfterValidator(_not_a_file)]
"""The name under which a site serves a stack; sites lay the stack out in a folder of this name."""

MAX_GENERATION = 2**31 - 1
MAX_COUNT = 2**53 - 1
"""The largest integer that every JSON reader keeps exact, and every column that holds one."""

Generation = Annotated[int, Field(ge=0, le=MAX_GENERATION)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
UnixMillis = Annotated[int, Field(ge=0, le=MAX_COUNT)]
PlainText = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Without NUL, the one character that PostgreSQL keeps in no text."""


def _nul_replaced(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


Message = Annotated[str, Field(max_length=2000), AfterValidator(_nul_replaced)]
"""What went wrong, as the site's programs told it; no character in it may keep it from the hub."""


class Body(BaseModel):
    """Base of every body: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class EnrolRequest(Body):
    """A new site shows its one-time join secret.

    `nonce` is made by the site, of at least 128 random bits in URL-safe base64, and kept until it
    has its answer: whoever repeats secret, name and nonce is the site whose answer was lost.
    """

    secret: Annotated[str, Field(max_length=200)]
    site_name: NameText
    agent_version: Annotated[PlainText, Field(max_length=50)]
    nonce: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22,86}$")] | None = None


class EnrolReply(Body):
    """The site's own credentials: one for `/edge/v1`, one for `/v2` and `/tuf`."""

    site_id: str
    site_name: str
    project: str
    edge_credential: str
    registry_credential: str


class Direction(Body):
    """One stack a site shall run: under which name it is served, and which signed version it is."""

    served_as: ServedAs
    name: NameText
    version: Annotated[int, Field(ge=1, le=MAX_COUNT)]
    digest: DigestText
    family: NameText
    target: NameText


class DesiredState(Body):
    """The whole set a site shall run; `generation` grows with every change of the set."""

    generation: Generation
    stacks: tuple[Direction, ...] = ()

    @model_validator(mode="after")
    def _each_name_once(self) -> Self:
        if len({one.served_as for one in self.stacks}) < len(self.stacks):
            raise ValueError("two stacks would be served under one name")
        return self


class SiteError(Body):
    """Why the last attempt to reach the desired state failed."""

    generation: Generation
    step: Annotated[PlainText, Field(max_length=100)]
    code: Annotated[PlainText, Field(max_length=100)]
    message: Message
    at_ms: UnixMillis


class CheckIn(Body):
    """What a site says about itself. `running` is what really answers now."""

    state: Literal["empty", "updating", "serving", "fallen_back"]
    running: DesiredState
    error: SiteError | None = None
    bytes_first_install: Count = 0
    bytes_last_update: Count = 0
    egress_policy: NameText = "none"
    samples_waiting: Count = 0
    answers: Count = 0
    inference_url: Annotated[str, Field(pattern=r"^(https?://[^\s\x00]+)?$", max_length=200)] = ""
    agent_version: Annotated[PlainText, Field(max_length=50)] = ""


class CheckInReply(Body):
    """What the hub wants of the site."""

    desired: DesiredState
    poll_seconds: Annotated[float, Field(gt=0)]


class Sample(Body):
    """One input with the model's answer and confidence.

    `row` holds the input columns of the family, bytes as base64 under `{"base64": "…"}`.
    `digest` is the digest of the canonical JSON of `row` and `stack_digest`: the same input to the
    same stack is the same sample, however often it is sent.
    """

    digest: DigestText
    family: NameText
    served_as: NameText
    stack_digest: DigestText
    row: dict[str, Any]
    answer: Any
    confidence: Annotated[float, Field(ge=0, le=1)]
    reason: Literal["uncertain", "novel", "control"]
    taken_ms: UnixMillis


def sample_digest(row: Mapping[str, Any], stack_digest: str) -> str:
    """The digest that a sample of this row and stack must carry.

    Args:
        row: the input columns as `Sample.row` holds them.
        stack_digest: the stack that answered.

    Raises:
        ValueError, TypeError: the row is not JSON.
    """
    return sha256_json({"row": dict(row), "stack_digest": stack_digest})


class SampleUpload(Body):
    """Samples leaving a site."""

    samples: Annotated[tuple[Sample, ...], Field(max_length=MAX_SAMPLES_PER_UPLOAD)]


class RefusedSample(Body):
    """A sample the hub will never take, and why; the site drops it."""

    digest: str
    reason: str


class SampleReceipt(Body):
    """What became of each sample: `accepted` includes those the hub already had."""

    accepted: tuple[str, ...] = ()
    refused: tuple[RefusedSample, ...] = ()
