"""What somebody asks of an import: a form's fields, what is wrong with each, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from sqlalchemy.orm import Session

from dizuo.console.elements.markup import address
from dizuo.core.digests import short
from dizuo.core.errors import InvalidInput
from dizuo.datasets import service
from dizuo.datasets.bodies import AddVersionBody
from dizuo.datasets.drafting import draft_of
from dizuo.datasets.errors import DatasetMissing
from dizuo.datasets.importing.base import Format
from dizuo.datasets.importing.recognising import likely_family, likely_format
from dizuo.datasets.model import Draft, Mode
from dizuo.datasets.names import MAX_NAME_LENGTH, require_name
from dizuo.families import registry

IMPORT = "/data/import"
MAX_PERCENT = 90
_MAX_TYPED = 200
Typed = Annotated[str, AfterValidator(lambda text: text.strip()[:_MAX_TYPED])]
"""What somebody typed: nobody types more than that."""


class Wish(BaseModel):
    """The fields as they were typed, by a form or in an address, so that nothing is lost; `upload`
    is a digest, `file` what the sender called it, `holdout` a percentage, or empty for what the
    dataset has."""

    model_config = ConfigDict(frozen=True)

    upload: Typed = ""
    file: Typed = ""
    name: Typed = ""
    format: Typed = ""
    family: Typed = ""
    mode: Typed = Mode.APPEND.value
    holdout: Typed = ""

    @property
    def fields(self) -> dict[str, str]:
        """Every field by its name."""
        return {name: getattr(self, name) for name in Wish.model_fields}

    def address(self, **more: object) -> str:
        """Where this wish is shown again."""
        return address(IMPORT, **self.fields, **more)


class ShownWish(Wish):
    """A wish on its page: whether somebody sent the form, and which work is under way for it."""

    checked: str = ""
    work: str = ""


def filled(wish: Wish, session: Session, path: Path, project_id: str) -> Wish:
    """The wish with suggestions where nothing was said: told by the file, and by the dataset."""
    name = wish.name or _name_of(wish.file)
    form = wish.format or (likely_format(path, wish.file) or "")
    family = wish.family or _family_there(session, name, project_id)
    if not family and form in set(Format):
        family = likely_family(path, Format(form))
    if not family:
        family = min(registry.family_packages(), default="")
    return wish.model_copy(update={"name": name, "format": str(form), "family": family})


def _name_of(file: str) -> str:
    """A dataset's name out of a file's; empty where nothing is left of it."""
    stem = file.lower().partition(".")[0]
    return re.sub(r"[^a-z0-9_-]+", "-", stem).strip("-_")[:MAX_NAME_LENGTH].rstrip("-_")


def faults(wish: Wish, session: Session, project_id: str) -> Mapping[str, str]:
    """What is wrong with which field: the catalogue's keys, in the order of the form."""
    found: dict[str, str] = {}
    if not _is_name(wish.name):
        found["name"] = "data.bad_name" if wish.name else "data.no_name"
    if wish.format not in set(Format):
        found["format"] = "data.bad_format"
    there = _family_there(session, wish.name, project_id)
    if wish.family not in registry.family_packages():
        found["family"] = "data.bad_family"
    elif there not in ("", wish.family):
        found["family"] = "data.other_family"
    if wish.mode not in set(Mode):
        found["mode"] = "data.bad_mode"
    if not _is_share(wish.holdout):
        found["holdout"] = "data.bad_holdout"
    return found


def draft(wish: Wish, session: Session, project_id: str) -> Draft:
    """What to ask of the import, of a wish without faults but perhaps in its name: for a look at
    what would come of it, any new name does."""
    name = wish.name if _is_name(wish.name) else f"unnamed-{short(wish.upload)}"
    percent = _percent(wish.holdout)
    body = AddVersionBody(
        upload=wish.upload,
        format=Format(wish.format),
        family=wish.family,
        mode=Mode(wish.mode),
        holdout=round(float(percent) / 100, 6) if percent else None,
    )
    return draft_of(session, name, body, project_id)


def _is_name(name: str) -> bool:
    try:
        return len(require_name(name)) <= MAX_NAME_LENGTH
    except InvalidInput:
        return False


def _family_there(session: Session, name: str, project_id: str) -> str:
    try:
        return service.show(session, name, project_id).family
    except DatasetMissing:
        return ""


def _percent(typed: str) -> str:
    """A percentage without its sign, as Python reads numbers."""
    return typed.rstrip("%％ ").replace(",", ".")


def _is_share(typed: str) -> bool:
    percent = _percent(typed)
    is_number = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{0,4})?", percent)
    return not percent or (is_number is not None and float(percent) <= MAX_PERCENT)
