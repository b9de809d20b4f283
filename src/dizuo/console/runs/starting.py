"""Starting runs from pages, as the API does."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool

from dizuo.access.model import Role
from dizuo.console.frame import View
from dizuo.runs import admission
from dizuo.runs.model import Run


async def start_run(view: View, kind: str, spec: dict[str, Any], key: str) -> Run:
    """Let a run in, as this person.

    Args:
        view: the page.
        kind: what is to be run.
        spec: the keys of that kind, without the project.
        key: makes asking twice the same as asking once.

    Raises:
        SessionEnded: sign in again.
        RoleMissing: this person may start none.
        DizuoError: the kind refuses it; nothing has changed.
    """
    principal = await view.act(Role.BUILDER, lambda _session, principal: principal)
    whole = {**spec, "project": principal.project_id}
    request = admission.RunRequest(
        kind, whole, f"console:{key}", principal.actor, principal.project_id
    )
    return await run_in_threadpool(partial(admission.admit, view.parts.supervisor, request))
