"""The join token's text."""

from __future__ import annotations

import base64
import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dizuo.core.addresses import InsecureAddress
from dizuo.edge.join import PREFIX, JoinToken, JoinTokenMalformed, decode

ROOT = "sha256:" + "c" * 64
TOKEN = JoinToken(url="https://hub:8420", secret="s" * 43, root_sha256=ROOT)
SECRETS = st.text(string.ascii_letters + string.digits + "-_", min_size=16, max_size=200)
URLS = st.builds(
    "{}{}".format,
    st.sampled_from(["http://127.0.0.1/", "http://localhost:8420/", "https://"]),
    st.text(string.ascii_letters + string.digits + ".:/-_底座", min_size=1, max_size=80),
)
ROOTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)


def pack(value: object) -> str:
    packed = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    return PREFIX + packed.rstrip("=")


@given(url=URLS, secret=SECRETS, root=ROOTS)
def test_what_is_written_is_read(url: str, secret: str, root: str) -> None:
    token = JoinToken(url=url, secret=secret, root_sha256=root)
    text = token.encode()
    assert text.startswith("dizuo-join-")
    assert not set(text) - set(string.ascii_letters + string.digits + "-_")
    assert decode(text) == decode(f"  {text}\n") == token


def test_a_secret_is_never_sent_in_the_clear() -> None:
    token = TOKEN.model_copy(update={"url": "http://hub:8420"})
    with pytest.raises(InsecureAddress, match="unencrypted to http://hub:8420"):
        token.encode()
    with pytest.raises(InsecureAddress) as refused:
        decode(pack(token.model_dump()))
    assert token.secret not in str(refused.value)


@given(place=st.integers(min_value=0, max_value=200))
def test_a_token_that_was_cut_is_refused(place: int) -> None:
    text = TOKEN.encode()
    with pytest.raises(JoinTokenMalformed):
        decode(text[: place % len(text)])


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with pytest.raises(JoinTokenMalformed):
        decode(text)
    with pytest.raises(JoinTokenMalformed):
        decode(PREFIX + text)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {},
        {**TOKEN.model_dump(), "root_sha256": "sha256:short"},
        {**TOKEN.model_dump(), "root_sha256": ROOT.upper()},
        {**TOKEN.model_dump(), "url": "ftp://hub"},
        {**TOKEN.model_dump(), "url": "http://a hub"},
        {**TOKEN.model_dump(), "secret": "short"},
        {**TOKEN.model_dump(), "secret": 5},
        {**TOKEN.model_dump(), "more": 1},
        {**TOKEN.model_dump(), "url": "http://" + "x" * 3000},
    ],
)
def test_other_content_is_refused(value: object) -> None:
    with pytest.raises(JoinTokenMalformed) as caught:
        decode(pack(value))
    assert "dizuo site token" in caught.value.next_step


def test_the_secret_is_never_shown() -> None:
    assert TOKEN.secret not in repr(TOKEN)
    with pytest.raises(ValidationError) as wrong:
        JoinToken(url="nowhere", secret="a-very-secret-secret", root_sha256="a-very-secret-root")
    assert "a-very-secret" not in str(wrong.value)
    with pytest.raises(JoinTokenMalformed) as caught:
        decode(pack({**TOKEN.model_dump(), "more": 1}))
    assert TOKEN.secret not in str(caught.value)
