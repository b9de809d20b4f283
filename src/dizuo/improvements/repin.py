"""Moving a recipe's dataset pins to new versions; every other character stays as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dizuo.improvements.errors import ImprovementRefused


def repin(recipe: str, versions: Mapping[str, int]) -> str:
    """`recipe` with every pin `name@n` of a dataset in `versions` moved to that version.

    Raises:
        ImprovementRefused: the text is not YAML.
    """
    try:
        root = YAML().compose(recipe)
    except YAMLError as error:
        raise ImprovementRefused("The recipe is not YAML.") from error
    for node in reversed(list(_scalars(root))):  # from the end, so earlier positions still hold
        name, at, number = node.value.partition("@")
        if at and number.isdecimal() and name in versions:
            start, end = node.start_mark.index, node.end_mark.index
            pin = f"{name}@{versions[name]}"
            # A scalar may be written with escapes; then its quotes go with them.
            written = recipe[start:end].replace(node.value, pin)
            recipe = recipe[:start] + (written if pin in written else pin) + recipe[end:]
    return recipe


def _scalars(node: Node | None) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, MappingNode):
        for _key, value in node.value:
            yield from _scalars(value)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            yield from _scalars(value)
