"""Pictures in and out: bounded decoding, channels, the central crop. Light.

Training and serving decode through the same functions, so what a layer learned from is what it
sees. Everything after the crop (resizing, scaling, normalising) is part of the network itself.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dizuo.core.errors import InvalidInput

Picture = NDArray[np.uint8]
"""One picture, shape (height, width, channels), channels 1 or 3."""

MAX_IMAGE_BYTES = 8_000_000
MAX_IMAGE_PIXELS = 4096 * 4096
FORMATS = ("PNG", "JPEG")
_MODES = {1: "L", 3: "RGB"}
_SIXTEEN_BIT = "I;16"
_DEEPER = ("I", "F")


def decode(data: bytes, num_channels: int) -> Picture:
    """A PNG or JPEG as a picture with 1 (grey) or 3 (RGB) channels.

    Of 16 bits a channel the upper 8 are kept, in grey as in colour.

    Raises:
        InvalidInput: too many bytes or pixels (told from the header, before they are unpacked), cut
            short, or not a picture.
    """
    if len(data) > MAX_IMAGE_BYTES:
        raise InvalidInput(
            f"The image has {len(data):,} bytes; at most {MAX_IMAGE_BYTES:,} are taken.",
            next_step="Send a smaller picture.",
        )
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_pixels(image.width * image.height)
            return _as_picture(np.asarray(_eight_bit(image).convert(_MODES[num_channels])))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except (OSError, ValueError, SyntaxError) as error:
        raise InvalidInput(
            "The image cannot be read.", next_step="Send a whole PNG or JPEG file."
        ) from error


def _eight_bit(image: Image.Image) -> Image.Image:
    """The image with 8 bits a channel.

    Pillow brings 16-bit colour there as it reads it, by its upper bytes; 16-bit grey it leaves, and
    its `convert` would cut every value above 255 down to 255.
    """
    if image.mode == _SIXTEEN_BIT:
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in _DEEPER:
        raise InvalidInput(
            f"The image has 32 bits a pixel (mode {image.mode}), of no range that is known.",
            next_step="Save it with 8 or 16 bits a channel.",
        )
    return image


def _check_pixels(num_pixels: int) -> None:
    if num_pixels > MAX_IMAGE_PIXELS:
        raise _too_many_pixels()


def _too_many_pixels() -> InvalidInput:
    return InvalidInput(
        f"The image has more than {MAX_IMAGE_PIXELS:,} pixels.",
        next_step="Send a smaller picture.",
    )


def _as_picture(pixels: NDArray[np.uint8]) -> Picture:
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def encode_png(picture: Picture) -> bytes:
    """A picture as PNG bytes; no pixel changes."""
    stream = io.BytesIO()
    pixels = picture[:, :, 0] if picture.shape[2] == 1 else picture
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def with_channels(pictures: NDArray[np.uint8], num_channels: int) -> NDArray[np.uint8]:
    """Pictures, shape (..., 1 or 3), with the number of channels the network takes.

    Grey is the ITU-R 601 luma that Pillow uses.
    """
    given = pictures.shape[-1]
    if given == num_channels:
        return pictures
    if num_channels == 3:
        return np.repeat(pictures, 3, axis=-1)
    weighted = pictures.astype(np.uint32) @ np.array([19595, 38470, 7471], dtype=np.uint32)
    return ((weighted + 0x8000) >> 16).astype(np.uint8)[..., None]


def centre_crop(pictures: NDArray[np.uint8], share: float | None) -> NDArray[np.uint8]:
    """The central square of pictures, shape (..., height, width, channels), as a view.

    Its side is `share` of the shorter side, at least one pixel; without a share nothing is cut.
    """
    if share is None:
        return pictures
    height, width = pictures.shape[-3:-1]
    side = max(1, round(share * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    return pictures[..., top : top + side, left : left + side, :]


def shrink_to(picture: Picture, longest_side: int) -> Picture:
    """The picture, made smaller if a side is longer than `longest_side` pixels."""
    height, width = picture.shape[:2]
    if max(height, width) <= longest_side:
        return picture
    scale = longest_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = picture[:, :, 0] if picture.shape[2] == 1 else picture
    shrunk = Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BOX)
    return _as_picture(np.asarray(shrunk))
