"""A language model from a folder to an answer: imported, gated, signed, shipped, asked."""

from __future__ import annotations

import re

import openai
import pytest
from tests.cli.door import ok
from tests.e2e.language import GGUF_MODEL, MODEL, PROMPT
from tests.e2e.refusals import RunningHub
from tests.e2e.site import RunningSite


@pytest.mark.parametrize("name", [MODEL, GGUF_MODEL])
def test_an_imported_model_is_asked_at_a_site(
    at_hub: RunningHub, talker: RunningSite, name: str
) -> None:
    url = str(talker.http.base_url).rstrip("/") + "/v1"
    with openai.OpenAI(base_url=url, api_key="none") as client:
        answer = client.chat.completions.create(
            model=name,
            messages=[{"role": "user", "content": PROMPT}],
            max_tokens=8,
            temperature=0,
        )
    extra = answer.model_extra or {}
    assert extra["stack_digest"] == at_hub.client.stack(name, 1)["digest"]
    assert answer.choices[0].message.content
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{32}", answer.id)
    assert f"{name}:1" in ok("site", "show", talker.name).out
