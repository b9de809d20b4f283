"""What there is to review: two stacks with their recipes, and samples that a site returned."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from dizuo.artifacts.model import Level
from dizuo.core.clock import now_ms
from dizuo.core.digests import sha256_json
from dizuo.core.ids import new_id
from dizuo.database.engine import Database
from dizuo.datasets import samples
from dizuo.edge import wire
from dizuo.stacks import store as stack_store
from dizuo.stacks.model import StackVersion

DIGITS = tuple("0123456")
PLANTS = tuple(f"plant {number:02}" for number in range(40))
TICKET: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["category", "place", "urgent", "people"],
    "properties": {
        "category": {"enum": ["flooding", "noise", "streetlight"]},
        "place": {"type": "string", "description": "As the caller said it."},
        "urgent": {"type": "boolean"},
        "people": {"type": "integer", "minimum": 0},
        "callers": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "phone": {"type": "string"}},
            },
        },
    },
}
_VISION = """
name: {name}
level: L1
family: vision
from: base:1
data: {{train: digits@1}}
method: {{kind: lora, rank: 4, epochs: 1, learning_rate: 0.01}}
task: {{kind: classify, labels: {labels}}}
gates: [{{suite: digits-test@1, metric: accuracy, at_least: 0.5}}]
targets: [safetensors, onnx]
"""
_TEXT = """
name: hotline
level: L1
family: text
from: qwen:1
data: {{train: tickets@1}}
method: {{kind: lora, rank: 4, epochs: 1, learning_rate: 0.01}}
task: {{kind: extract, schema: {schema}}}
gates: [{{suite: tickets-test@1, metric: exact_match, at_least: 0.5}}]
targets: [safetensors, gguf-f16]
"""


def vision_recipe(name: str, labels: Sequence[str]) -> str:
    return _VISION.format(name=name, labels=json.dumps(list(labels)))


def text_recipe(schema: Mapping[str, Any] = TICKET) -> str:
    return _TEXT.format(schema=json.dumps(schema))


def add_stack(
    database: Database,
    name: str,
    family: str,
    recipe: str,
    *,
    project: str = "default",
    **more: Any,
) -> str:
    """A stack version as a run registers it; returns its digest."""
    digest = sha256_json([project, name, recipe])
    stack = StackVersion(
        id=new_id(),
        project_id=project,
        name=name,
        version=1,
        level=Level.L1,
        family=family,
        digest=digest,
        index_size_bytes=1000,
        targets=("safetensors",),
        parent_digest=more.get("parent_digest"),
        input_digest=sha256_json([name, "inputs"]),
        run_id=new_id(),
        recipe=recipe,
        datasets=more.get("datasets", ()),
        bytes_total=5000,
        bytes_added=500,
        created_ms=now_ms(),
    )
    with database.transaction() as session:
        stack_store.add(session, stack)
    return digest


def digit(number: int, text: str) -> bytes:
    """A small grey picture of a digit, like no other."""
    picture = Image.new("L", (28, 28), 20)
    ImageDraw.Draw(picture).text((9, 7), text, fill=230)
    noise = np.random.default_rng(number).integers(0, 25, (28, 28), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.asarray(picture) + noise).save(stream, format="PNG")
    return stream.getvalue()


def send(
    database: Database,
    home: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    project: str = "default",
    site: str = "mine-3",
    **changes: Any,
) -> list[str]:
    """Samples as a site returns them; returns their digests in the order of the queue."""
    sent = []
    for number, row in enumerate(rows):
        values: dict[str, Any] = {
            "confidence": 0.31 + 0.01 * number,
            "reason": "uncertain",
            "taken_ms": now_ms() - 3_600_000,
            **changes,
            "row": dict(row),
        }
        values["digest"] = wire.sample_digest(values["row"], values["stack_digest"])
        sent.append(wire.Sample(**values))
    receipt = samples.receive(database, home, site, sent, project_id=project)
    assert not receipt.refused
    return sorted(receipt.accepted)


def send_digits(database: Database, home: Path, number: int, stack: str, **more: Any) -> list[str]:
    first = zlib.crc32(json.dumps(more).encode())
    rows = [
        {"image": {"base64": base64.b64encode(digit(first + one, str(one % 7))).decode()}}
        for one in range(number)
    ]
    values = {"answer": "3", "family": "vision", "served_as": "digits", **more}
    return send(database, home, rows, stack_digest=stack, **values)


def send_calls(database: Database, home: Path, number: int, stack: str, **more: Any) -> list[str]:
    road = more.get("served_as", "人民路")
    rows = [{"prompt": f"{road} {one} 号门前积水很深，已有三人打电话。"} for one in range(number)]
    answer = {"category": "noise", "place": "人民路", "urgent": False, "people": 3}
    values = {"answer": answer, "family": "text", "served_as": "hotline", **more}
    return send(database, home, rows, stack_digest=stack, **values)
