"""Teaching a network: pictures in memory, one optimiser, resumable to the same bits. Heavy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from dizuo.core.progress import Reporter
from dizuo.families.trainer import ReportSteps, SealCheckpoints, train
from dizuo.families.vision.calibration import Evidence
from dizuo.families.vision.imaging import centre_crop, decode
from dizuo.families.vision.network import Network, Preprocess
from dizuo.families.vision.recipe import Schedule

_WARM_UP_SHARE = 0.1
_CHECKPOINTS = 8
_CACHE_BYTES = 1 << 30
_EVALUATION_ROWS = 128
_SMALL_WORK = 10**10
"""Parameters times pixels below which a network counts as small; the demo's has 10**8."""


class Pictures(Dataset[dict[str, Tensor]]):
    """Labelled pictures as the backbone takes them, read a batch at a time.

    Preprocessed pixels are kept in memory when they fit in a gigabyte, else made on each read.
    """

    def __init__(
        self, images: Sequence[bytes], classes: Sequence[int], preprocess: Preprocess
    ) -> None:
        self.images = images
        self.classes = torch.tensor(classes, dtype=torch.long)
        self._preprocess = preprocess
        settings = preprocess.settings
        bytes_needed = 4 * len(images) * settings.channels * settings.height * settings.width
        fits = bytes_needed <= _CACHE_BYTES and len(images) > 0
        self._kept = self._read(range(len(images))) if fits else None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """A whole batch: `pixels` (n, c, height, width) and `classes` (n)."""
        chosen = list(indices)
        pixels = self._read(chosen) if self._kept is None else self._kept[chosen]
        return {"pixels": pixels, "classes": self.classes[chosen]}

    def _read(self, indices: Sequence[int]) -> Tensor:
        with torch.no_grad():
            return torch.cat([self._pixels(self.images[index]) for index in indices])

    def _pixels(self, image: bytes) -> Tensor:
        settings = self._preprocess.settings
        picture = centre_crop(decode(image, settings.channels), settings.centre_crop)
        pixels: Tensor = self._preprocess(torch.from_numpy(picture.copy())[None])
        return pixels


class Lesson(nn.Module):
    """A network with its loss; what is frozen is no part of its state."""

    def __init__(self, network: Network, augment: float) -> None:
        super().__init__()
        self.network = network
        self._augment = augment
        self.register_state_dict_post_hook(_keep_what_learns)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_frozen_is_not_missing)  # type: ignore[no-untyped-call]

    def forward(self, pixels: Tensor, classes: Tensor) -> dict[str, Tensor]:
        """The mean cross-entropy of a batch."""
        if self._augment:
            pixels = _distort(pixels, self._augment)
        logits = self.network.head(self.network.embed(pixels))
        return {"loss": F.cross_entropy(logits, classes)}


def _keep_what_learns(
    lesson: nn.Module, state: dict[str, Any], _prefix: str, _metadata: object
) -> None:
    """Leave out of a checkpoint what comes from the parent again."""
    frozen = {name for name, p in lesson.named_parameters() if not p.requires_grad}
    if frozen:
        for name in state.keys() - _learning(lesson):
            del state[name]


def _frozen_is_not_missing(lesson: nn.Module, keys: Any) -> None:
    """A checkpoint that holds all that learns is whole; Transformers resumes from no other."""
    learning = _learning(lesson)
    keys.missing_keys[:] = [name for name in keys.missing_keys if name in learning]


def _learning(lesson: nn.Module) -> set[str]:
    return {name for name, p in lesson.named_parameters() if p.requires_grad}


def _distort(pixels: Tensor, strength: float) -> Tensor:
    """Each picture under a random affine map near the identity."""
    identity = torch.eye(2, 3).expand(len(pixels), 2, 3)
    maps = identity + strength * torch.randn(len(pixels), 2, 3)
    grid = F.affine_grid(maps, list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


@contextmanager
def threads_for(network: Network) -> Iterator[None]:
    """One thread while a small network works, as many as there are for a large one.

    Small layers gain nothing from a second thread, and when other programs need the cores, threads
    that wait for each other made the demo's base 10 to 30 times slower.
    """
    settings = network.preprocess.settings
    num_parameters = sum(parameter.numel() for parameter in network.parameters())
    before = torch.get_num_threads()
    if num_parameters * settings.height * settings.width < _SMALL_WORK:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True, slots=True)
class Course:
    """How to teach: schedule, seed, the digest of the work, where checkpoints go."""

    schedule: Schedule
    seed: int
    work: str
    checkpoints: Path


def teach(
    network: Network,
    pictures: Pictures,
    course: Course,
    report: Reporter,
    cancelled: Callable[[], bool],
) -> None:
    """Train a network in place.

    A run that was killed goes on from its newest whole checkpoint and ends in the same bits.

    Raises:
        Cancelled: `cancelled()` became true.
    """
    lesson = Lesson(network, course.schedule.augment)
    trainer = Trainer(
        model=lesson,
        args=_arguments(course, len(pictures), moves_batch_norm=not network.freezes_batch_norm),
        train_dataset=pictures,
        data_collator=_as_it_is,
        callbacks=[SealCheckpoints(course.work), ReportSteps(report, cancelled)],
    )
    with threads_for(network):
        train(trainer, course.work)
    network.eval()


def _as_it_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    return batch


def _arguments(course: Course, num_pictures: int, *, moves_batch_norm: bool) -> TrainingArguments:
    """The trainer's arguments.

    Batch norm cannot tell a mean from one value, and one row is one value a channel where the
    feature map has shrunk to a point. So a last batch of one row is left out; which row that is
    changes with every epoch.
    """
    schedule = course.schedule
    leaves_one_out = moves_batch_norm and num_pictures % schedule.batch_size == 1
    num_batches = math.ceil(num_pictures / schedule.batch_size) - leaves_one_out
    steps = schedule.epochs * num_batches
    return TrainingArguments(
        output_dir=str(course.checkpoints),
        num_train_epochs=schedule.epochs,
        per_device_train_batch_size=schedule.batch_size,
        learning_rate=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=round(_WARM_UP_SHARE * steps),
        seed=course.seed,
        data_seed=course.seed,
        save_strategy="steps",
        save_steps=math.ceil(steps / _CHECKPOINTS),
        logging_steps=max(1, steps // 100),
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        dataloader_drop_last=leaves_one_out,
        log_level="error",
    )


def examine(network: Network, pictures: Pictures, indices: Sequence[int]) -> Evidence:
    """What the network in memory says about some of the pictures."""
    embeddings, logits = [], []
    network.eval()
    with torch.no_grad(), threads_for(network):
        for start in range(0, len(indices), _EVALUATION_ROWS):
            batch = pictures.__getitems__(indices[start : start + _EVALUATION_ROWS])
            embedding = network.embed(batch["pixels"])
            embeddings.append(embedding.numpy())
            logits.append(network.head(embedding).numpy())
    classes = pictures.classes[list(indices)].numpy()
    return Evidence(np.concatenate(embeddings), np.concatenate(logits), classes)
