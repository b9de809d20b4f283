"""Which parameters of a request a text model takes, OpenAI's and those of local servers. Light.

What is TAKEN counts. What is PASSED_OVER cannot change which answer is right to give, whatever it
says. Everything else would change the answer, or might, and is refused, unless it asks for nothing:
null, or a value named in NEUTRAL. The same stands for people in `docs/asking.md`.
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dizuo.core.errors import InvalidInput
from dizuo.families.text.messages import TEMPLATE_ARGUMENTS

TAKEN = frozenset(
    {
        "model",
        "messages",
        "prompt",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "stop",
        "response_format",
        "logprobs",
        "top_logprobs",
        "stream",
        "stream_options",
    }
)
PASSED_OVER = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
    }
)
NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "best_of": (1,),
    "chat_template_kwargs": ({}, dict(TEMPLATE_ARGUMENTS)),
    "echo": (False,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "ignore_eos": (False,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "n": (1,),
    "reasoning_effort": ("none",),
    "repeat_penalty": (1, 1.0),
    "repetition_penalty": (1, 1.0),
    "suffix": ("",),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "verbosity": ("medium",),
}
"""What a parameter that is refused may say, since nothing follows from it. A model without tools
calls none by itself either, so `auto` is as good as `none`."""
_ONE_ANSWER = "This model gives one answer to a request, so {key} can only be 1."
_ANOTHER_GRAMMAR = "Answers are held to a JSON schema, and to no {key}."
_SCHEMA_INSTEAD = "Leave out {key}, and send a JSON schema as response_format."
_NO_PENALTY = "This model takes no {key}."
_PENALTY_INSTEAD = "Leave out {key}, or send a frequency_penalty."
_LEAVE_OUT = "Leave out {key}."
REFUSED: Mapping[str, tuple[str, str]] = {
    "audio": ("This model makes no sound.", _LEAVE_OUT),
    "best_of": (_ONE_ANSWER, "Leave out {key}, and ask again for each further answer."),
    "chat_template_kwargs": (
        "The chat template is given what it was given in training.",
        "Leave out {key}, and say in the messages what the model shall know.",
    ),
    "echo": ("This model does not repeat the prompt in its answer.", _LEAVE_OUT),
    "function_call": ("This model calls no functions.", _LEAVE_OUT),
    "functions": ("This model calls no functions.", _LEAVE_OUT),
    "grammar": (_ANOTHER_GRAMMAR, _SCHEMA_INSTEAD),
    "guided_json": (_ANOTHER_GRAMMAR, _SCHEMA_INSTEAD),
    "ignore_eos": ("An answer ends where the model ends it.", _LEAVE_OUT),
    "logit_bias": ("This model takes no bias on its tokens.", _LEAVE_OUT),
    "lora": (
        "The adapters follow from the model that is asked.",
        "Leave out {key}, and name as model the stack that shall answer.",
    ),
    "modalities": ("This model answers in text only.", _LEAVE_OUT),
    "moderation": ("This model moderates nothing.", _LEAVE_OUT),
    "n": (_ONE_ANSWER, "Leave out {key}, and send the request again for each further answer."),
    "reasoning_effort": ("This model does not reason before it answers.", _LEAVE_OUT),
    "repeat_penalty": (_NO_PENALTY, _PENALTY_INSTEAD),
    "repetition_penalty": (_NO_PENALTY, _PENALTY_INSTEAD),
    "requests": (
        "A request asks one question.",
        "Leave out {key}, and send each question in a request of its own.",
    ),
    "suffix": ("This model does not fill in the middle.", _LEAVE_OUT),
    "tool_choice": ("This model calls no tools.", _LEAVE_OUT),
    "tools": ("This model calls no tools.", _LEAVE_OUT),
    "verbosity": (
        "This model takes no verbosity.",
        "Leave out {key}, and say in the messages how long the answer shall be.",
    ),
    "web_search_options": ("This model searches nothing.", _LEAVE_OUT),
}
"""Those with a word of their own: why, and the next step."""
_UNKNOWN = (
    "This model takes no parameter {key!r}.",
    "Leave it out, since it could change the answer.",
)
_NAMED_CHARACTERS = 80


def check_parameters(body: Mapping[str, Any]) -> None:
    """Refuse every parameter that would change the answer, or might, and is not honoured.

    Raises:
        InvalidInput: there is one.
    """
    for key, value in body.items():
        if value is not None and key not in TAKEN | PASSED_OVER and not _is_neutral(key, value):
            reason, step = REFUSED.get(key, _UNKNOWN)
            named = key[:_NAMED_CHARACTERS]
            raise InvalidInput(reason.format(key=named), next_step=step.format(key=named))


def _is_neutral(key: str, value: object) -> bool:
    return any(type(value) is type(one) and value == one for one in NEUTRAL.get(key, ()))
