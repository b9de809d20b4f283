"""Reading an HTTP answer within a total time and a number of bytes.

An HTTP client's own timeouts bound each wait, so a peer that sends a byte now and then holds a call
for ever, and none of them bounds what a body takes in memory. Bodies are asked for and taken as
they are: nothing is unpacked, so a small body stays small.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx2

from dizuo.core.errors import TooLarge

AS_IT_IS = {"Accept-Encoding": "identity"}
"""Headers of every request whose answer is read here."""


def pieces_in_time(response: httpx2.Response, deadline: float) -> Iterator[bytes]:
    """The pieces of a streamed body, as they came over the wire.

    Args:
        response: of a client's `stream`, not read yet.
        deadline: on the clock of `time.monotonic`.

    Raises:
        httpx2.ReadTimeout: the deadline has passed and there is more.
        httpx2.HTTPError: the transfer broke off.
    """
    for piece in response.iter_raw():
        if time.monotonic() > deadline:
            raise httpx2.ReadTimeout("The body did not arrive in time.", request=response.request)
        yield piece


def read_bounded(response: httpx2.Response, deadline: float, bytes_at_most: int) -> bytes:
    """The whole body of a streamed answer.

    Raises:
        TooLarge: it has more bytes.
        httpx2.ReadTimeout: it did not arrive by the deadline.
        httpx2.HTTPError: the transfer broke off.
    """
    body = bytearray()
    for piece in pieces_in_time(response, deadline):
        body += piece
        if len(body) > bytes_at_most:
            raise TooLarge(f"The answer is larger than {bytes_at_most} bytes.")
    return bytes(body)
