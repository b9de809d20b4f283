"""A small language model as a person brings one in, and rows for layers on it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.door import ok
from tests.families.text.tuning_factory import PRETRAIN, build, tickets

from dizuo.core.progress import silent
from dizuo.families.text.gguf_base import write_base

MODEL = "tongue"
GGUF_MODEL = "tongue-gguf"
PROMPT = "人民路3号路灯不亮，请处理"
CONTEXT_TOKENS = 128
_FILES = ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def trained(folder: Path) -> Path:
    """A directory as `save_pretrained` writes it, of a model that answers tickets."""
    method = {**PRETRAIN, "epochs": 16}
    layer = build(folder / "training", MODEL, tickets(320), None, method=method).base.directory
    model = folder / MODEL
    model.mkdir()
    for name in (*_FILES, "config.json"):
        (layer / name).rename(model / name)
    return model


def bring_in(home: Path, folder: Path) -> None:
    """Import the model twice, as its directory and as a GGUF file, and add 200 tickets."""
    model = trained(folder)
    gguf = folder / f"{MODEL}.gguf"
    write_base(model, gguf, "q8_0", silent)
    targets = ("--target", "safetensors", "--target", "gguf-f16")
    door = ("--home", str(home), "model", "import")
    ok(*door, str(model), "--name", MODEL, "--family", "text", *targets)
    ok(*door, str(gguf), "--name", GGUF_MODEL, "--family", "text")
    rows = folder / "tickets.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) for row in tickets(200, seed=5)]
    rows.write_text("\n".join(lines), encoding="utf-8")
    ok(
        *("--home", str(home), "data", "add", "tickets", str(rows)),
        *("--family", "text", "--holdout", "0.3"),
    )
