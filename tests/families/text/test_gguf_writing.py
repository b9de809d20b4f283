"""What bases and adapters have in common."""

from __future__ import annotations

import io

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as TensorType

from dizuo.families.text.gguf_writing import (
    add_tensor,
    fitting_type,
    header_bytes,
    num_bytes,
    quantise,
    write_tensor,
)


@pytest.mark.parametrize("kind", [TensorType.F32, TensorType.F16, TensorType.Q8_0, TensorType.Q4_0])
def test_quantised_numbers_have_the_size_that_was_announced(kind: TensorType) -> None:
    numbers = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    data = quantise(numbers, kind)
    assert len(data) == num_bytes(numbers.shape, kind)
    columns = len(data) // 6
    back = gguf.dequantize(np.frombuffer(data, np.uint8).reshape(6, columns), kind)
    steps = {TensorType.F32: 0, TensorType.F16: 2**-10, TensorType.Q8_0: 1 / 127}
    assert np.abs(back - numbers).max() <= np.abs(numbers).max() * steps.get(kind, 1 / 8)


def test_numbers_too_small_for_a_half_become_zero() -> None:
    tiny = np.full((1, 32), 1e-42, dtype=np.float32)
    for kind in (TensorType.Q8_0, TensorType.Q4_0):
        data = np.frombuffer(quantise(tiny, kind), np.uint8).reshape(1, -1)
        assert not gguf.dequantize(data, kind).any()


def test_rows_that_do_not_divide_into_blocks_stay_halves() -> None:
    assert fitting_type((3, 64), TensorType.Q4_0) is TensorType.Q4_0
    assert fitting_type((64, 40), TensorType.Q4_0) is TensorType.F16
    assert fitting_type((64, 40), TensorType.F16) is TensorType.F16


def test_a_header_ends_where_the_first_tensor_begins() -> None:
    writer = gguf.GGUFWriter(None, "llama")
    add_tensor(writer, "a", (2, 3), TensorType.F32)
    assert len(header_bytes(writer)) % gguf.GGUF_DEFAULT_ALIGNMENT == 0


def test_a_tensor_is_padded_to_where_the_next_begins() -> None:
    stream = io.BytesIO()
    write_tensor(stream, [b"12345", b"678"])
    write_tensor(stream, [b"x" * 32])
    assert stream.getvalue() == b"12345678" + bytes(24) + b"x" * 32
