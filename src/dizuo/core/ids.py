"""Identifiers: UUIDv7 (RFC 9562, section 5.7), so that ids sort by the time they were made."""

from __future__ import annotations

import os
import time
import uuid


def new_id() -> str:
    """A fresh UUIDv7 in its canonical text form.

    48 bits of Unix milliseconds, 12 bits of the fraction of the millisecond (section 6.2, method 3:
    ids made one after the other in a process sort in that order, even within a millisecond), and 62
    random bits.
    """
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (rest_ns << 12) // 1_000_000
    random_bits = int.from_bytes(os.urandom(8), "big") >> 2
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | fraction << 64
    return str(uuid.UUID(int=value | 0x2 << 62 | random_bits))
