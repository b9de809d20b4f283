"""Whether a person must approve what the loop made: the project's word, or else the hub's setting.

It is looked up twice: when an improvement starts, and when its gates were passed, which may be
weeks later. Approval asked for at either time is asked for.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from dizuo.audit import service as audit
from dizuo.core.clock import now_ms
from dizuo.improvements import store
from dizuo.improvements.model import Policy


def policy(session: Session, project_id: str, *, default: bool) -> Policy:
    """What counts for a project; `default` is the hub's setting, for one that has said nothing."""
    return store.policy(session, project_id) or Policy(default)


def set_policy(session: Session, project_id: str, actor: str, *, require_approval: bool) -> Policy:
    """Say it for a project, whatever the hub's setting is; the same again changes nothing."""
    known = store.policy(session, project_id)
    if known is not None and known.require_approval == require_approval:
        return known
    said = Policy(require_approval, actor)
    store.put_policy(session, project_id, said, now_ms())
    audit.record(
        session,
        actor,
        "improvement_policy.set",
        f"project:{project_id}",
        {"require_approval": require_approval},
        project_id=project_id,
    )
    return said
