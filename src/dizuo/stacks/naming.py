"""Which stack version a text names: a reference as people write it, or the bare digest of what
runs somewhere."""

from __future__ import annotations

from sqlalchemy.orm import Session

from dizuo.artifacts.reference import parse_reference
from dizuo.core.digests import DIGEST_PATTERN, short
from dizuo.database.tables import DEFAULT_PROJECT
from dizuo.stacks import service
from dizuo.stacks.errors import StackNotFound
from dizuo.stacks.model import StackVersion


def find_stack(session: Session, text: str, *, project_id: str = DEFAULT_PROJECT) -> StackVersion:
    """The stack version that a text names within a project.

    Every part that a reference gives must fit, its digest above all; without a version or a digest
    it names the newest.

    Raises:
        InvalidReference: the text is neither a reference nor a digest.
        StackNotFound: the project has no such stack.
    """
    if DIGEST_PATTERN.fullmatch(text):
        return _with_digest(session, text, project_id)
    reference = parse_reference(text, project_id)
    if reference.project != project_id:
        raise StackNotFound(
            f"There is no stack {reference} in the project {project_id}.",
            next_step="Use a token of the stack's own project.",
        )
    return service.get(session, reference)


def _with_digest(session: Session, digest: str, project_id: str) -> StackVersion:
    try:
        found = service.get_by_digest(session, digest)
    except StackNotFound:
        found = None
    if found is None or found.project_id != project_id:
        raise StackNotFound(
            f"There is no stack with the digest {short(digest)} in the project {project_id}.",
            next_step="See `dizuo model ls` for those there are.",
        )
    return found
