"""Pictures come in bounded and whole, or not at all."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.families.vision.factory import chunk, png_16

from dizuo.core.errors import InvalidInput
from dizuo.families.vision.imaging import (
    MAX_IMAGE_BYTES,
    centre_crop,
    decode,
    encode_png,
    shrink_to,
    with_channels,
)

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8, 1)
COLOUR = np.arange(144, dtype=np.uint8).reshape(6, 8, 3)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def saved(picture: Any, kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format=kind)
    return stream.getvalue()


@pytest.mark.parametrize("picture", [GREY, COLOUR], ids=["grey", "colour"])
def test_png_keeps_every_pixel(picture: Any) -> None:
    assert np.array_equal(decode(encode_png(picture), picture.shape[2]), picture)


@given(st.data())
def test_png_keeps_every_pixel_of_any_picture(data: st.DataObject) -> None:
    shape = data.draw(
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])), label="shape"
    )
    size = shape[0] * shape[1] * shape[2]
    pixels = data.draw(st.binary(min_size=size, max_size=size), label="pixels")
    picture = np.frombuffer(pixels, dtype=np.uint8).reshape(shape)
    assert np.array_equal(decode(encode_png(picture), shape[2]), picture)


def test_decoding_gives_the_channels_asked_for() -> None:
    assert decode(encode_png(GREY), 3).shape == (6, 8, 3)
    assert decode(encode_png(COLOUR), 1).shape == (6, 8, 1)
    assert decode(saved(COLOUR, "JPEG"), 3).shape == (6, 8, 3)


DEEP = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040


@pytest.mark.parametrize("num_channels", [1, 3])
def test_16_bit_grey_keeps_its_upper_bytes(num_channels: int) -> None:
    seen = decode(png_16(DEEP), num_channels)
    assert seen.shape == (8, 8, num_channels)
    assert (seen == (DEEP >> 8)[:, :, None]).all()
    assert len(np.unique(seen)) == 64


def test_16_bit_colour_is_scaled_as_grey_is() -> None:
    colour = np.repeat(DEEP[:, :, None], 3, axis=2)
    assert np.array_equal(decode(png_16(colour), 3), decode(png_16(DEEP), 3))
    assert np.array_equal(decode(png_16(colour), 1), decode(png_16(DEEP), 1))


def test_8_bits_written_as_16_come_back() -> None:
    assert np.array_equal(decode(png_16(GREY[:, :, 0].astype(np.uint16) * 257), 1), GREY)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_deeper_pixels_are_refused(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No PNG or JPEG is opened as one by this Pillow; another might."""
    monkeypatch.setattr(Image, "open", lambda *_args, **_options: Image.new(mode, (4, 4)))
    with pytest.raises(InvalidInput, match="32 bits a pixel") as caught:
        decode(b"any", 1)
    assert "8 or 16 bits" in caught.value.next_step


BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "cannot be read"),
    "text": (b"not a picture at all", "cannot be read"),
    "cut short": (saved(np.zeros((64, 64, 3), np.uint8) + COLOUR[:1, :1], "PNG")[:60], "be read"),
    "a JPEG cut short": (saved(COLOUR.repeat(20, 0), "JPEG")[:-200], "cannot be read"),
    "a GIF": (saved(GREY[:, :, 0], "GIF"), "cannot be read"),
    "more bytes than allowed": (b"\0" * (MAX_IMAGE_BYTES + 1), "at most 8,000,000 are taken"),
    "more pixels than allowed": (png_header(5000, 5000), "more than 16,777,216 pixels"),
    "a small bomb": (png_header(10_000, 10_000), "more than 16,777,216 pixels"),
    "a big bomb": (png_header(60_000, 60_000), "more than 16,777,216 pixels"),
    "no pixels behind the header": (png_header(8, 8), "cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_a_picture_is_refused_in_one_sentence(name: str) -> None:
    data, says = BAD[name]
    with pytest.raises(InvalidInput, match=says) as caught:
        decode(data, 1)
    assert caught.value.message.count(".") == 1
    assert caught.value.next_step


def test_grey_is_the_same_luma_as_pillows() -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)
    by_pillow = np.asarray(Image.fromarray(picture).convert("L"))
    assert np.array_equal(with_channels(picture, 1)[:, :, 0], by_pillow)


def test_channels_are_repeated_or_left_alone() -> None:
    assert np.array_equal(with_channels(GREY, 3), np.repeat(GREY, 3, axis=2))
    assert with_channels(COLOUR, 3) is COLOUR


@pytest.mark.parametrize(
    ("share", "shape", "first"),
    [(None, (6, 8, 1), 0), (1.0, (6, 6, 1), 1), (0.5, (3, 3, 1), 10), (0.01, (1, 1, 1), 19)],
)
def test_the_central_square(share: float | None, shape: tuple[int, ...], first: int) -> None:
    cropped = centre_crop(GREY, share)
    assert cropped.shape == shape
    assert int(cropped[0, 0, 0]) == first
    assert np.array_equal(centre_crop(GREY[None], share)[0], cropped)


def test_only_large_pictures_shrink() -> None:
    large = np.zeros((100, 50, 3), dtype=np.uint8)
    assert shrink_to(large, 100) is large
    assert shrink_to(large, 40).shape == (40, 20, 3)
    assert shrink_to(large[:, :1, :1], 10).shape == (10, 1, 1)
