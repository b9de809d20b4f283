"""Moving a recipe's dataset pins to new versions; all else stays as its author wrote it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dizuo.improvements.errors import ImprovementRefused


def repin(recipe: str, versions: Mapping[str, int]) -> str:
    """`recipe` with every pin `name@n` of a dataset in `versions` moved to that version.

    Comments, order and layout stay. A pin that is not in `versions` stays too.

    Raises:
        ImprovementRefused: the text is not YAML.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    try:
        document = yaml.load(recipe)
    except YAMLError as error:
        raise ImprovementRefused("The recipe is not YAML.") from error
    moved = _moved(document, versions)
    output = io.StringIO()
    yaml.dump(moved, output)
    return output.getvalue()


def _moved(node: Any, versions: Mapping[str, int]) -> Any:
    if isinstance(node, dict):
        for key, value in node.items():
            node[key] = _moved(value, versions)
        return node
    if isinstance(node, list):
        for index, value in enumerate(node):
            node[index] = _moved(value, versions)
        return node
    if isinstance(node, str):
        name, at, number = node.partition("@")
        if at and number.isdecimal() and name in versions:
            return f"{name}@{versions[name]}"
    return node
