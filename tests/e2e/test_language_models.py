"""A language model from a folder to an answer: imported, gated, signed, shipped, asked."""

from __future__ import annotations

import re
from pathlib import Path

import openai
from tests.cli.door import ok
from tests.e2e.refusals import RunningHub
from tests.e2e.site import run_site
from tests.families.text.tuning_factory import PRETRAIN, build, tickets

from dizuo.core.progress import silent
from dizuo.families.text.gguf_base import write_base

FILES = ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def trained(folder: Path) -> Path:
    """A directory as `save_pretrained` writes it, of a model that answers tickets."""
    method = {**PRETRAIN, "epochs": 16}
    layer = build(folder / "training", "tongue", tickets(320), None, method=method).base.directory
    model = folder / "tongue"
    model.mkdir()
    for name in (*FILES, "config.json"):
        (layer / name).rename(model / name)
    return model


def test_imported_models_are_asked_at_a_site(at_hub: RunningHub, tmp_path: Path) -> None:
    model = trained(tmp_path)
    write_base(model, tmp_path / "tongue.gguf", "q8_0", silent)
    targets = ("--target", "safetensors", "--target", "gguf-f16")
    ok("model", "import", str(model), "--name", "tongue", "--family", "text", *targets)
    gguf = str(tmp_path / "tongue.gguf")
    ok("model", "import", gguf, "--name", "tongue-gguf", "--family", "text")
    with run_site(at_hub, tmp_path / "site", "talker") as site:
        for name in ("tongue", "tongue-gguf"):
            assert "passed" in ok("gate", f"{name}:1").out
            ok("release", f"{name}:1")
            ok("rollout", "start", f"{name}:1", "--site", "talker", "--as", name)
        site.wait(lambda shown: shown["state"] == "serving" and len(shown["stacks"]) == 2)
        url = str(site.http.base_url).rstrip("/") + "/v1"
        with openai.OpenAI(base_url=url, api_key="none") as client:
            for name in ("tongue", "tongue-gguf"):
                answer = client.chat.completions.create(
                    model=name,
                    messages=[{"role": "user", "content": "路灯不亮"}],
                    max_tokens=8,
                    temperature=0,
                )
                extra = answer.model_extra or {}
                assert extra["stack_digest"] == at_hub.client.stack(name, 1)["digest"]
                assert answer.choices[0].message.content
                assert re.fullmatch(r"chatcmpl-[0-9a-f]{32}", answer.id)
        shown = ok("site", "show", "talker").out
    assert "tongue:1" in shown
