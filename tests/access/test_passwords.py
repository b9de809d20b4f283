"""Which passwords may be chosen, and that they are kept as argon2id hashes and nothing else."""

from __future__ import annotations

import threading
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dizuo.access import passwords
from dizuo.access.passwords import HashedPassword, PasswordRefused, hashed, is_right, renewed


def test_a_password_is_kept_with_the_librarys_own_parameters() -> None:
    kept = hashed("ann", "correct horse")
    parameters = extract_parameters(kept.encoded)
    assert parameters == extract_parameters(PasswordHasher().hash("another"))
    assert parameters.type is Type.ID
    assert is_right(kept.encoded, "correct horse")
    assert not is_right(kept.encoded, "correct horsf")


def test_a_stranger_is_looked_at_with_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Watched(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            asked.append(str(hash))
            return super().verify(hash, password)

    monkeypatch.setattr(passwords, "_HASHER", Watched())
    kept = hashed("ann", "correct horse").encoded
    assert not is_right(None, "correct horse")
    assert not is_right(None, "nobody's")
    assert not is_right(kept, "nobody's")
    assert len(asked) == 3
    assert [extract_parameters(one) for one in asked] == [extract_parameters(kept)] * 3


def test_four_are_hashed_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    together, counting, here = threading.Barrier(4), threading.Lock(), [0, 0]

    class Counted(PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            with counting:
                here[0] += 1
                here[1] = max(here)
            together.wait(timeout=30)  # four have come in
            with counting:
                here[0] -= 1
            together.wait(timeout=30)
            return super().verify(hash, password)

    hasher = Counted(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    kept = hashed("ann", "correct horse").encoded
    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(lambda _: is_right(kept, "correct horse"), range(12)))
    assert here == [0, 4]


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("", "A password has at least 10 characters."),
        ("123456789", "A password has at least 10 characters."),
        ("电池马订书钉正确的", "A password has at least 10 characters."),
        ("x" * 1025, "A password has at most 1,024 bytes."),
        ("电" * 342, "A password has at most 1,024 bytes."),
        ("ann.of.the.mill", "A password is not the name of its account."),
        ("ANN.of.the.mill ", "A password is not the name of its account."),
        ("correct \ud800 horse", "A password is Unicode text."),
    ],
)
def test_what_may_not_be_chosen(password: str, sentence: str) -> None:
    with pytest.raises(PasswordRefused) as refused:
        hashed("ann.of.the.mill", password)
    assert refused.value.message == sentence
    assert refused.value.next_step
    assert not password or password not in str(refused.value)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "password", ["x" * 10, "x" * 1024, "电" * 341, "          ", "a\0b\nc" * 2]
)
def test_what_may_be_chosen(password: str) -> None:
    assert is_right(hashed("ann", password).encoded, password)


@pytest.mark.usefixtures("quick")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=10, max_size=40), st.text(max_size=40))
def test_a_password_is_right_however_it_is_composed_and_no_other_is(
    chosen: str, typed: str
) -> None:
    try:
        kept = hashed("ann", chosen).encoded
    except PasswordRefused:  # composed, it has fewer characters
        assert len(unicodedata.normalize("NFKC", chosen)) < passwords.MIN_CHARACTERS
        return
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert is_right(kept, unicodedata.normalize(form, chosen))
    same = unicodedata.normalize("NFKC", chosen) == unicodedata.normalize("NFKC", typed)
    assert is_right(kept, typed) == same


@pytest.mark.usefixtures("quick")
def test_text_that_is_not_unicode_is_wrong_and_no_fault() -> None:
    assert not is_right(hashed("ann", "correct horse").encoded, "correct \ud800 horse")


def test_a_hash_is_made_anew_when_the_parameters_change(quick: PasswordHasher) -> None:
    old = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash("correct horse")
    new = renewed(old, "correct horse")
    assert extract_parameters(new) == extract_parameters(quick.hash("x"))
    assert is_right(new, "correct horse")
    assert renewed(new, "correct horse") == new


@pytest.mark.usefixtures("quick")
def test_no_repr_shows_even_the_hash() -> None:
    assert repr(hashed("ann", "correct horse")) == "HashedPassword()"
    assert str(HashedPassword("x")) == "HashedPassword()"


@pytest.mark.usefixtures("quick")
def test_a_damaged_hash_is_a_fault_and_lets_nobody_in() -> None:
    with pytest.raises(InvalidHashError):
        is_right("not a hash", "correct horse")
