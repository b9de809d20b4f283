"""Made-up places, open in number: a stem, a kind, mostly a number, sometimes a district.

A stem is in one split only, whichever desk, language or seed it is drawn for.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dizuo.demo.hotline.model import Language, Split

STEM_CHARACTERS = (
    "春晖安平兴华和泰康宁福禄寿喜金玉明光青松柏梅兰竹菊桂云天星月河江湖海山川林泉石岭红黄绿白"
    "东西南北中新长永文武仁义礼智信德胜利民生建设团结友谊朝阳晨曦丽景翠微锦绣清源"
)
_SYLLABLES = (
    "an bao chun dong fu guang hua jing kang liang ming nan ping qing rong shan tai wen xing yong "
    "zhong hai jiang lin mei song bei chang he xin yu zhao yun long feng de sheng tong cui lan"
)
SYLLABLES = tuple(_SYLLABLES.split())

_STREETS = ("路", "街", "大道", "巷", "胡同")
_GROUNDS = ("小区", "花园", "公寓", "新村")
_LANDMARKS = ("公园", "广场", "市场", "大桥", "中学")
_ENGLISH_STREETS = ("Road", "Street", "Avenue", "Lane")
_ENGLISH_GROUNDS = ("Estate", "Gardens", "Court", "Village")
_DISTRICT_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Place:
    """A place as a ticket writes it, and the made-up part of its name."""

    text: str
    stem: str


def split_of(stem: str) -> Split:
    """The one split that may use `stem`: a quarter of all are held out."""
    return Split.HELDOUT if zlib.crc32(stem.encode()) % 4 == 0 else Split.TRAIN


def draw_place(
    language: Language,
    split: Split,
    draw: random.Random,
    *,
    districts: Mapping[Language, tuple[str, ...]] | None = None,
    characters: str = STEM_CHARACTERS,
) -> Place:
    """A place of `split`, its Chinese stem made of `characters`."""
    district = ""
    if districts is not None and draw.random() < _DISTRICT_SHARE:
        district = draw.choice(districts[language])
    if language is Language.CHINESE:
        stem = _stem(split, draw, characters)
        return Place(district + stem + _chinese_rest(draw), stem)
    stem = _stem(split, draw, SYLLABLES).capitalize()
    rest = f", {district} District" if district else ""
    return Place(_english(stem, draw) + rest, stem)


def _stem(split: Split, draw: random.Random, parts: Sequence[str]) -> str:
    while True:
        stem = "".join(draw.choices(parts, k=2))
        if split_of(stem) is split:
            return stem


def _chinese_rest(draw: random.Random) -> str:
    kind = draw.random()
    if kind < 0.6:
        return draw.choice(_STREETS) + (f"{draw.randint(1, 399)}号" if draw.random() < 0.8 else "")
    if kind < 0.85:
        return draw.choice(_GROUNDS) + f"{draw.randint(1, 39)}{draw.choice(('栋', '号楼'))}"
    return draw.choice(_LANDMARKS)


def _english(stem: str, draw: random.Random) -> str:
    if draw.random() < 0.7:
        return f"{draw.randint(1, 399)} {stem} {draw.choice(_ENGLISH_STREETS)}"
    block = f"{draw.choice(('Block', 'Building'))} {draw.randint(1, 39)}"
    return f"{block}, {stem} {draw.choice(_ENGLISH_GROUNDS)}"
