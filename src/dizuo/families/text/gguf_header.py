"""The metadata of a GGUF file, read from its header. Light: without the package `gguf`.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Nothing is believed that does
not lie inside the file: a header that claims more is refused, before anything is reserved for what
it claims.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_VERSIONS = (2, 3)
_MAX_NESTING = 2
_STRING, _ARRAY = 8, 9
_SCALARS: Mapping[int, str] = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
"""By the number of a value's type, as the format counts them."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata: only how long it is."""

    length: int


class Malformed(Exception):
    """Why a file is not a whole GGUF, one clause."""


def shown(name: str) -> str:
    """A name that may be anything, on one line."""
    return name[:80] if name and name.isprintable() else repr(name[:80])


@dataclass(slots=True)
class HeaderReader:
    """Reads a header from front to back, never past the end; `data` is the whole file."""

    data: mmap.mmap
    position: int = 4
    num_tensors: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)

    def read_metadata(self) -> None:
        """Everything before the list of tensors.

        Raises:
            Malformed: the file ends before, or says what is not allowed.
        """
        version = self.scalar("<I")
        if version not in _VERSIONS:
            raise Malformed(f"it is of version {version}; versions 2 and 3 are known")
        self.num_tensors, num_values = self.scalar("<Q"), self.scalar("<Q")
        for _ in range(num_values):
            key = self.text()
            if key in self.metadata:
                raise Malformed(f"it sets {shown(key)} twice")
            self.metadata[key] = self._value(self._value_type(), 0)

    def scalar(self, form: str) -> Any:
        """The next number, in a form of `struct`."""
        start = self.position
        self._skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, start)[0]

    def text(self) -> str:
        """The next string."""
        length = self.scalar("<Q")
        start = self.position
        self._skip(length)
        return self.data[start : self.position].decode("utf-8", errors="replace")

    def _skip(self, num_bytes: int) -> None:
        if num_bytes > len(self.data) - self.position:
            raise Malformed("it is cut short")
        self.position += num_bytes

    def _value_type(self) -> int:
        number = int(self.scalar("<I"))
        if number not in (*_SCALARS, _STRING, _ARRAY):
            raise Malformed(f"it has a value of the unknown type {number}")
        return number

    def _value(self, kind: int, depth: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        if depth == _MAX_NESTING:
            raise Malformed("it nests arrays too deeply")
        inner, length = self._value_type(), self.scalar("<Q")
        if inner in _SCALARS:
            self._skip(length * struct.calcsize(_SCALARS[inner]))
        elif inner == _STRING:
            for _ in range(length):
                self._skip(self.scalar("<Q"))
        else:
            for _ in range(length):
                self._value(inner, depth + 1)
        return Array(length)
