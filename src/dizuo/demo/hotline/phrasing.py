"""How tickets are phrased: templates of each split, and what says how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from dizuo.demo.hotline import chinese, english
from dizuo.demo.hotline.model import Language, Phrasing, Split

PHRASINGS: Mapping[tuple[Language, Split], Phrasing] = MappingProxyType(
    {
        (Language.CHINESE, Split.TRAIN): chinese.TRAIN,
        (Language.CHINESE, Split.HELDOUT): chinese.HELDOUT,
        (Language.ENGLISH, Split.TRAIN): english.TRAIN,
        (Language.ENGLISH, Split.HELDOUT): english.HELDOUT,
    }
)
"""By language and split; the splits have no text in common."""

URGENCY: Mapping[Language, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {Language.CHINESE: chinese.URGENCY, Language.ENGLISH: english.URGENCY}
)
"""What a ticket says about its urgency; saying nothing is normal."""


def urgency_phrases(language: Language, level: str, category: str, split: Split) -> tuple[str, ...]:
    """The phrases for `level` that `split` may put beside `category`; held out is one in five."""
    turn = sum(category.encode())
    return tuple(
        phrase
        for index, phrase in enumerate(URGENCY[language][level])
        if ((turn + index) % 5 == 0) == (split is Split.HELDOUT)
    )
