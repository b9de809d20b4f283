"""Passwords: which may be chosen, and how they are kept (argon2id, by argon2-cffi).

Hashing takes tens of megabytes and a good part of a second on purpose; call it outside of
transactions. No error, repr or log here ever holds a password.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass, field
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from dizuo.core.errors import InvalidInput

MIN_CHARACTERS = 10
MAX_BYTES = 1024
_SURROGATES = re.compile("[\ud800-\udfff]")
_HASHER = PasswordHasher()
_TURNS = threading.BoundedSemaphore(4)
"""So many are hashed at the same time; whoever knocks, 64 MiB each is all they take."""


class PasswordRefused(InvalidInput):
    """A password that is too short, too long, or the name of its account; nothing was changed."""

    code = "password_refused"


@dataclass(frozen=True, slots=True)
class HashedPassword:
    """A password that may be chosen, in the form in which it is kept."""

    encoded: str = field(repr=False)


def hashed(name: str, password: str) -> HashedPassword:
    """The password of the account `name`, checked and hashed.

    Raises:
        PasswordRefused: it is too short, too long, the name, or not Unicode.
    """
    text = _normal(password)
    if _SURROGATES.search(text):
        raise PasswordRefused("A password is Unicode text.", next_step="Choose another.")
    if len(text) < MIN_CHARACTERS:
        raise PasswordRefused(
            f"A password has at least {MIN_CHARACTERS} characters.",
            next_step="Choose a longer one; a few words do well.",
        )
    if len(text.encode()) > MAX_BYTES:
        raise PasswordRefused(
            f"A password has at most {MAX_BYTES:,} bytes.", next_step="Choose a shorter one."
        )
    if text.strip().casefold() == name.casefold():
        raise PasswordRefused(
            "A password is not the name of its account.", next_step="Choose another."
        )
    return HashedPassword(_hash(text))


def is_right(kept: str | None, password: str) -> bool:
    """Whether `password` is the one that `kept` is the hash of.

    Without a hash it is not; that takes as long to find out as with one.

    Raises:
        argon2.exceptions.InvalidHashError: `kept` is no hash.
    """
    stand_in = _stand_in(_HASHER)
    try:
        with _TURNS:
            _HASHER.verify(kept or stand_in, _normal(password).encode(errors="surrogatepass"))
    except VerificationError:
        return False
    return kept is not None


def renewed(kept: str, password: str) -> str:
    """The hash to keep from now on of a password that was right: `kept`, unless it was made with
    other parameters than are used today."""
    return _hash(_normal(password)) if _HASHER.check_needs_rehash(kept) else kept


@cache
def _stand_in(hasher: PasswordHasher) -> str:
    """The hash that is verified where there is none."""
    with _TURNS:
        return hasher.hash(b"nobody's")


def _hash(text: str) -> str:
    with _TURNS:
        return _HASHER.hash(text)


def _normal(password: str) -> str:
    """What counts of a password: not how a keyboard composes its letters (NFKC, as NIST SP 800-63B
    wants it)."""
    return unicodedata.normalize("NFKC", password)
