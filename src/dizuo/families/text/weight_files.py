"""The weights of a Hugging Face model's folder: safetensors files, one or several. Light.

Pickled weights are never opened: unpickling runs whatever code they carry.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from safetensors import SafetensorError, safe_open

from dizuo.families.errors import ModelRefused
from dizuo.families.text.gguf_architecture import OUTPUT, Architecture
from dizuo.families.text.layer import WEIGHTS_INDEX_NAME, WEIGHTS_NAME

if TYPE_CHECKING:
    import torch

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_MAX_INDEX_BYTES = 20_000_000
_FLOATS = ("F32", "F16", "BF16")
_COMPUTED_ANEW = ".rotary_emb.inv_freq"


@dataclass(frozen=True, slots=True)
class Tensors:
    """Tensors of open files by name; none is read before it is asked for."""

    slices: Mapping[str, Any]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape a tensor has, from its file's header."""
        return tuple(self.slices[name].get_shape())

    def dtype(self, name: str) -> str:
        """The type of its numbers in safetensors' words: `F32`, `BF16`, …"""
        return str(self.slices[name].get_dtype())

    def rows(self, name: str, start: int, stop: int) -> torch.Tensor:
        """Some rows of a tensor (or numbers of a vector)."""
        read: torch.Tensor = self.slices[name][start:stop]
        return read


@contextmanager
def open_tensors(directory: Path, framework: Literal["pt", "numpy"] = "pt") -> Iterator[Tensors]:
    """The tensors of all weight files of a model's folder.

    With `numpy` headers are read without PyTorch, but no rows.

    Raises:
        ModelRefused: there are no safetensors files, or they are not whole.
    """
    with ExitStack() as stack:
        slices: dict[str, Any] = {}
        for path in weight_files(directory):
            try:
                file = stack.enter_context(safe_open(path, framework=framework))
            except (SafetensorError, OSError) as error:
                raise ModelRefused(
                    f"{path.name} is cut short or is not a safetensors file.",
                    next_step="Fetch the model again.",
                ) from error
            slices.update({name: file.get_slice(name) for name in file.keys()})  # noqa: SIM118 - not a dict
        yield Tensors(slices)


def check_tensors(tensors: Tensors, architecture: Architecture) -> None:
    """Refuse a checkpoint that is not exactly the one its configuration describes.

    Raises:
        ModelRefused: a tensor is missing, unknown, of another shape, or quantised.
    """
    expected = architecture.shapes()
    ignored = {OUTPUT} if architecture.tied else set()
    found = {name for name in tensors.slices if not name.endswith(_COMPUTED_ANEW)} - ignored
    if found != expected.keys():
        missing, extra = sorted(expected.keys() - found), sorted(found - expected.keys())
        reason = f"lack {missing[0]}" if missing else f"hold {extra[0][:80]!r}, which is unknown"
        raise _refused(f"{reason} in a {architecture.class_name}")
    for name, shape in expected.items():
        if tensors.shape(name) != shape:
            raise _refused(
                f"give {name} the shape {tensors.shape(name)}, not {shape} as config.json says"
            )
        if tensors.dtype(name) not in _FLOATS:
            raise _refused(f"keep {name} as {tensors.dtype(name)}, not as floating-point numbers")


def _refused(reason: str) -> ModelRefused:
    return ModelRefused(f"The model's weights {reason}.", next_step="Fetch the model again.")


def weight_files(directory: Path) -> tuple[Path, ...]:
    """The files that hold a model's weights.

    Raises:
        ModelRefused: there are none, or not all, or only pickled ones.
    """
    if (directory / WEIGHTS_NAME).is_file():
        return (directory / WEIGHTS_NAME,)
    if (directory / WEIGHTS_INDEX_NAME).is_file():
        return _shards(directory)
    pickled = sorted(path.name for pattern in _PICKLED for path in directory.glob(pattern))
    if pickled:
        raise ModelRefused(
            f"The weights are pickled ({pickled[0]}), and unpickling runs code that they carry.",
            next_step="Where you trust them, load the model with Transformers and save it again "
            "with save_pretrained, which writes model.safetensors.",
        )
    raise ModelRefused(
        "There are no weights in the model's folder.", next_step=f"Add {WEIGHTS_NAME}."
    )


def keep_file(source: Path, destination: Path) -> None:
    """Give a file a second name, or copy it where the file system allows no such."""
    real = source.resolve()  # a model hub's cache holds links
    try:
        os.link(real, destination)
    except OSError:
        shutil.copyfile(real, destination)


def _shards(directory: Path) -> tuple[Path, ...]:
    names = _shard_names(directory / WEIGHTS_INDEX_NAME)
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelRefused(
                f"{WEIGHTS_INDEX_NAME} names {name[:80]!r}, "
                "which is not a safetensors file beside it.",
                next_step="Fetch the model again.",
            )
        if not (directory / name).is_file():
            raise ModelRefused(f"The file {name} is missing.", next_step="Fetch the model again.")
    return tuple(directory / name for name in names)


def _shard_names(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MAX_INDEX_BYTES:
            raise ValueError
        return sorted({str(name) for name in json.loads(path.read_bytes())["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelRefused(
            f"{WEIGHTS_INDEX_NAME} does not say which files hold the weights.",
            next_step="Fetch the model again.",
        ) from error
