"""What is asked of an import, as API and console both say it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dizuo.core.digests import short
from dizuo.datasets import service
from dizuo.datasets.bodies import AddVersionBody
from dizuo.datasets.model import Draft


def draft_of(session: Session, name: str, body: AddVersionBody, project_id: str) -> Draft:
    """The draft of an import of an upload.

    Raises:
        InvalidInput: the name cannot be.
        FamilyMissing: none was asked for, and there is no such dataset yet.
    """
    return Draft(
        name=name,
        family=service.choose_family(session, body.family, name, project_id),
        origin=body.origin or _origin(session, name, body, project_id),
        mode=body.mode,
        holdout=body.holdout,
        source_name=f"upload:{short(body.upload)}",
        project_id=project_id,
    )


def _origin(session: Session, name: str, body: AddVersionBody, project_id: str) -> str:
    """A repeated request finds what the first one made; a later one of equal content, after other
    versions came between, is a new wish."""
    newest = service.newest(session, name, project_id)
    holdout = "" if body.holdout is None else str(body.holdout)
    return f"import:{body.upload}:{body.format}:{body.mode}:{holdout}:after:{newest}"
