"""Bytes as pictures, and values of rows as markup."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from tests.datasets.scene import png

from dizuo.console.elements.pictures import (
    SIDE,
    SmallPictures,
    picture_answer,
    picture_type,
    small_picture,
)
from dizuo.console.elements.values import shown
from dizuo.console.messages import Language, Words

WORDS = Words(Language.ENGLISH)


def picture(kind: str, size: tuple[int, int] = (400, 100), mode: str = "RGB") -> bytes:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("kind", "media"),
    [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "bmp")],
)
def test_pictures_are_told_and_made_small(kind: str, media: str) -> None:
    data = picture(kind)
    assert picture_type(data) == f"image/{media}"
    small = small_picture(data)
    assert small is not None
    with Image.open(io.BytesIO(small)) as opened:
        assert (opened.format, opened.size) == ("PNG", (SIDE, SIDE // 4))


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "LA", "RGBA"])
def test_pictures_of_every_depth_are_made_small(mode: str) -> None:
    assert small_picture(picture("PNG", mode=mode)) is not None


@pytest.mark.parametrize(
    "value", [b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF", "text", None, 7]
)
def test_what_is_none_is_told(value: object) -> None:
    assert picture_type(value) is None


@pytest.mark.parametrize("data", [png(1)[:40], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff nonsense"])
def test_broken_ones_have_no_small_one(data: bytes) -> None:
    assert picture_type(data) is not None
    assert small_picture(data) is None


def test_one_of_too_many_pixels_is_not_unpacked() -> None:
    assert small_picture(picture("PNG", (8001, 8001), "1")) is None


def test_a_browser_gets_a_picture_by_its_kind_and_keeps_it_to_itself() -> None:
    data = picture("WEBP")
    answer = picture_answer(data)
    assert (answer.status_code, answer.media_type, answer.body) == (200, "image/webp", data)
    assert answer.headers["cache-control"].startswith("private, max-age=")


@pytest.mark.parametrize("value", [None, "text", b"<svg/>", b"", 7])
def test_a_browser_is_given_nothing_but_pictures(value: object) -> None:
    answer = picture_answer(value)
    assert (answer.status_code, answer.media_type) == (404, "text/plain")
    assert "cache-control" not in answer.headers


def test_only_the_last_small_pictures_are_kept() -> None:
    kept = SmallPictures()
    for number in range(1000):
        kept.keep((str(number),), b"x")
    assert kept.get(("0",)) == b"x"
    kept.keep(("new",), b"y")
    assert kept.get(("0",)) == b"x"
    assert kept.get(("1",)) is None


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("<script>", "&lt;script&gt;"),
        ({"a": "中"}, "{\n  &#34;a&#34;: &#34;中&#34;\n}"),
        ([{"role": "user", "content": "Hi"}], '<span class="role">user</span>'),
        ([{"role": "user"}], "&#34;role&#34;"),
        (b"12345", "bytes"),
        (True, "true"),
        (7, "7"),
        (None, "–"),
        ("x" * 21_000, "1,000 more characters"),
        ("word " * 100, "<details"),
    ],
)
def test_values_are_shown_as_what_they_are(value: object, part: str) -> None:
    assert part in shown(WORDS, value)
