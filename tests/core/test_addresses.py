"""Where credentials may go."""

from __future__ import annotations

import pytest

from dizuo.core.addresses import InsecureAddress, is_loopback, require_private


@pytest.mark.parametrize(
    "url",
    [
        "https://hub.example",
        "HTTPS://hub.example:8420/dizuo",
        "http://127.0.0.1:8420",
        "http://127.8.0.9",
        "http://[::1]:8420",
        "http://localhost:8420",
        "HTTP://LOCALHOST",
        "http://[::1",
        "http://",
        "no address",
        "",
    ],
)
def test_private(url: str) -> None:
    require_private(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://hub.example",
        "HTTP://hub.example",
        "http://10.0.0.7:8420",
        "http://0.0.0.0:8420",
        "http://[2001:db8::1]",
        "http://127.0.0.1.example",
        "http://localhost.example",
        "http://127.0.0.1@hub.example/",
        "http://localhost:x@hub.example/",
    ],
)
def test_in_the_clear(url: str) -> None:
    with pytest.raises(InsecureAddress) as refused:
        require_private(url)
    assert "https://" in refused.value.next_step


@pytest.mark.parametrize("host", ["", "hub", "::2", "127.0.0.256", "2130706433"])
def test_other_machines(host: str) -> None:
    assert not is_loopback(host)
