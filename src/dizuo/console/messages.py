"""The console's texts: one catalogue, every text in every language beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

from ruamel.yaml import YAML

CATALOGUE = "messages.yaml"


class Language(StrEnum):
    """What people can read the console in; the values are those that accounts keep."""

    ENGLISH = "en"
    CHINESE = "zh"

    @property
    def tag(self) -> str:
        """As HTML's `lang` has it."""
        return {"en": "en", "zh": "zh-CN"}[self.value]

    @property
    def own_name(self) -> str:
        """What it calls itself."""
        return {"en": "English", "zh": "中文"}[self.value]


@cache
def catalogue() -> Mapping[str, Mapping[str, str]]:
    """Every text by key and language."""
    text = files("dizuo.console").joinpath(CATALOGUE).read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, str]] = YAML(typ="safe").load(text)
    return found


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    language: Language

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key, with its fields filled in.

        Raises:
            KeyError: the catalogue has no such key, which is a fault of ours.
        """
        return catalogue()[key][self.language.value].format(**values)

    def knows(self, key: str) -> bool:
        """Whether the catalogue has this key: codes of errors may come from strangers' packages."""
        return key in catalogue()


def language_of(wanted: str, accepted: str) -> Language:
    """The language that a person chose, or else the first one that their browser would read.

    Args:
        wanted: a `Language`'s value, or anything else for no choice.
        accepted: an `Accept-Language` header.
    """
    with_choice = {language.value: language for language in Language}
    if wanted in with_choice:
        return with_choice[wanted]
    for part in accepted.split(","):
        name = part.partition(";")[0].strip().lower()
        if name.startswith("zh"):
            return Language.CHINESE
        if name.startswith("en"):
            return Language.ENGLISH
    return Language.ENGLISH
