"""`python -m dizuo.demo.hotline.rebuild`: take a pretrained base out of a hub's registry.

It becomes a Hugging Face directory, as the one in `dizuo/demo/hotline/base` that the demo imports.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.reference import parse_reference
from dizuo.artifacts.stacks import unpack
from dizuo.families.text import layer

FILES = (
    layer.CONFIG_NAME,
    layer.GENERATION_CONFIG_NAME,
    layer.WEIGHTS_NAME,
    layer.TOKENIZER_NAME,
    layer.TOKENIZER_CONFIG_NAME,
    layer.CHAT_TEMPLATE_NAME,
)


def rebuild(
    home: Annotated[Path, typer.Argument(help="The hub's home.", exists=True, file_okay=False)],
    stack: Annotated[str, typer.Argument(help="The base: hotline-base:1.")],
    folder: Annotated[Path, typer.Argument(help="Where to; files of these names are replaced.")],
) -> None:
    """Copy a base's files out of a hub's registry, on the hub's machine.

    Example: python -m dizuo.demo.hotline.rebuild ~/.dizuo hotline-base:1 ./hotline-base
    """
    layout = Layout(home / "layout")
    wanted = parse_reference(stack)
    digest = layout.resolve(wanted.repository, str(wanted.version))
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as scratch:
        base = unpack(layout, digest, "safetensors", Path(scratch) / "stack").base.directory
        for name in FILES:
            shutil.copyfile(base / name, folder / name)
    typer.echo(f"{stack} lies in {folder}.")


if __name__ == "__main__":
    typer.run(rebuild)
