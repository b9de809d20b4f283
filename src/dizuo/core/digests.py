"""Content digests, written `sha256:<64 hex>` everywhere, as OCI writes them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from dizuo.core.errors import InvalidInput

DIGEST_PATTERN = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


def sha256_bytes(data: bytes) -> str:
    """The digest of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """The digest of a file's bytes, read in pieces."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK_BYTES):
            hasher.update(piece)
    return "sha256:" + hasher.hexdigest()


def canonical_json(value: Any) -> bytes:
    """The one byte form of a JSON value: sorted keys, no spaces, UTF-8, no NaN.

    Raises:
        ValueError: the value holds a NaN or an infinity.
        TypeError: the value is not JSON.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def sha256_json(value: Any) -> str:
    """The digest of a JSON value in its canonical form."""
    return sha256_bytes(canonical_json(value))


def require_digest(text: str) -> str:
    """`text`, if it is a digest in our form.

    Raises:
        InvalidInput: it is not.
    """
    if not DIGEST_PATTERN.fullmatch(text):
        raise InvalidInput(
            f"{text[:80]!r} is not a digest.", next_step="Write sha256: and 64 hex digits."
        )
    return text


def short(digest: str) -> str:
    """The first twelve hex digits, for people."""
    return digest.removeprefix("sha256:")[:12]
