"""Starting improvements, deciding on them, and keeping them moving whatever goes wrong.

A thread of its own looks for improvements whose rest is over (enough samples were reviewed, the
rollout has ended) and moves them on, and for those that have work ahead and sees that each has a
workflow: at the hub's start, when something was started or approved, and every few seconds, so that
none is forgotten, wherever a crash fell. What waits costs a look now and then, and no thread.
"""

from __future__ import annotations

import errno
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from sqlalchemy.orm import Session

from dizuo.access.model import Principal, Role
from dizuo.core.errors import DizuoError
from dizuo.datasets.errors import ReviewConflict
from dizuo.datasets.names import parse_ref
from dizuo.improvements import policy as policies
from dizuo.improvements import service, store
from dizuo.improvements.errors import ImprovementRefused
from dizuo.improvements.model import (
    RESTING_STATES,
    WATCHED_STATES,
    Improvement,
    ImprovementRequest,
    Policy,
)
from dizuo.improvements.service import Step
from dizuo.improvements.steps import Look, Parts, Steps
from dizuo.improvements.workflow import HubStopping, Workflows
from dizuo.sites import service as sites
from dizuo.stacks.recipe import DEFAULT_SOURCE_NAME, Recipe, parse_recipe

_STOP_SECONDS = 10.0
_SHORTAGES = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.EAGAIN,
        errno.EIO,
        errno.EROFS,
    }
)
"""What the operating system says when the machine, not the work, is at fault."""
_logger = logging.getLogger(__name__)


class Improver:
    """Starts improvements and moves them forward.

    Args:
        parts: the hub's parts that the loop uses.
        pause_seconds: how long to wait before what failed for now is tried again; doubled each
            time, up to a minute.
        look_seconds: how often to look for improvements whose rest is over or that nothing moves.
    """

    def __init__(
        self, parts: Parts, *, pause_seconds: float = 1.0, look_seconds: float = 2.0
    ) -> None:
        self._parts = parts
        self._steps = Steps(parts)
        self._workflows = Workflows(self.advance)
        self._pause_seconds = pause_seconds
        self._look_seconds = look_seconds
        self._stopping = threading.Event()
        self._look = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="improver", daemon=True)

    def launch(self, database_url: str) -> None:
        """Start the durable side, kept in that database, and go on with all that is unfinished."""
        self._workflows.launch(database_url)
        self._keeper.start()

    def interrupt(self) -> None:
        """Begin nothing more. Steps that wait for a run end when the supervisor stops."""
        self._stopping.set()
        self._look.set()

    def close(self) -> None:
        """Stop, after `interrupt` and after the supervisor; the next launch goes on."""
        self.interrupt()
        if self._keeper.ident is not None:  # else the launch did not get that far
            self._keeper.join()
        self._workflows.shut_down(_STOP_SECONDS)

    def start(
        self,
        request: ImprovementRequest,
        caller: Principal,
        *,
        source_name: str = DEFAULT_SOURCE_NAME,
    ) -> Improvement:
        """Start an improvement. What could not end well is refused here, and changes nothing.

        It begins at once where enough samples were reviewed, or else as soon as they are. Whoever
        may not release starts one that waits for approval, whatever the policy. A request without a
        family or a name to be served under means the recipe's; `source_name` is what people call
        that.

        Raises:
            RecipeRefused: the recipe is wrong; every problem with its line.
            ImprovementRefused: the request is wrong, or does not fit its recipe.
            SiteNotFound: a site that shall get the result is not there.
            KeysMissing: the hub could not sign the result.
        """
        recipe = parse_recipe(request.recipe, source_name, project_id=caller.project_id)
        request = replace(
            request,
            family=request.family or recipe.family,
            served_as=request.served_as or recipe.name,
        )
        _require_fit(request, recipe, caller.project_id)
        self._parts.repository.newest_root()
        may_release = caller.role is not None and caller.role >= Role.RELEASER
        with self._parts.database.transaction() as session:
            for name in request.sites:
                sites.show(session, name, project_id=caller.project_id)
            improvement = service.start(
                session,
                request,
                caller.actor,
                needs_approval=not may_release or self._parts.asks(session, caller.project_id),
                project_id=caller.project_id,
            )
            improvement = self._move_on(session, improvement, self._steps.look, caller.actor)
        self._look.set()
        return improvement

    def decide(
        self, improvement_id: str, caller: Principal, *, approve: bool, reason: str = ""
    ) -> Improvement:
        """A person's word on an improvement that waits for it, and why.

        Raises:
            ImprovementRefused: the reason is too long.
            ImprovementNotFound: the caller's project has none.
            TransitionRefused: it does not wait for that.
        """
        with self._parts.database.transaction() as session:
            decided = service.decide(
                session, improvement_id, caller, approve=approve, reason=reason
            )
        self.wake()
        return decided

    def wake(self) -> None:
        """Look now whether there is something to do: something was decided."""
        self._look.set()

    def policy(self, session: Session, project_id: str) -> Policy:
        """Whether a person must approve a project's improvements, and who said so."""
        return policies.policy(session, project_id, default=self._parts.require_approval)

    def advance(self, improvement_id: str) -> bool:
        """Do the work of the present state; whether there is more to do after it.

        What is wrong only for now (a locked database, a full disk) is tried again until it works,
        and the improvement says so meanwhile. Anything else ends it as failed, with a sentence.

        Raises:
            HubStopping: the hub stops; nothing was decided.
        """
        failure = ""
        for seconds in self._pauses():
            try:
                if failure:
                    return self._fail(improvement_id, failure)
                return self._go_on(improvement_id)
            except Exception as error:  # noqa: BLE001  the workflow's edge: told, and logged
                if _is_passing(error):
                    self._note(improvement_id, error)
                else:
                    failure, seconds = _sentence(error), 0  # noqa: PLW2901
            if self._stopping.wait(seconds):
                break
        raise HubStopping

    def _pauses(self) -> Iterator[float]:
        seconds = self._pause_seconds
        while not self._stopping.is_set():
            yield seconds
            seconds = min(60.0, seconds * 2)

    def _go_on(self, improvement_id: str) -> bool:
        with self._parts.database.reading() as session:
            improvement = service.get(session, improvement_id)
        if improvement.state in RESTING_STATES:
            return False
        self._steps.before(improvement)
        return self._change(improvement, self._steps.work(improvement.state))

    def _fail(self, improvement_id: str, reason: str) -> bool:
        with self._parts.database.reading() as session:
            improvement = service.get(session, improvement_id)
        if improvement.state in RESTING_STATES:
            return False
        _logger.warning("improvement %s failed: %s", improvement_id, reason)
        return self._change(improvement, lambda _session, _one: Step("fail", {}, reason))

    def _change(self, improvement: Improvement, work: Look) -> bool:
        """Work, and move on, in one transaction; nothing if somebody else has moved it already."""
        with self._parts.database.transaction() as session:
            current = service.get(session, improvement.id, lock=True)
            if current.state == improvement.state:
                current = self._move_on(session, current, work, f"workflow:{improvement.id}")
        self._parts.supervisor.wake()
        return current.state not in RESTING_STATES

    def _move_on(
        self, session: Session, improvement: Improvement, work: Look, actor: str
    ) -> Improvement:
        """The improvement after the work of its state, or with why it goes on resting."""
        step = work(session, improvement)
        if isinstance(step, Step):
            return service.move(session, improvement, step, actor)
        return service.note(session, improvement, step)

    def _note(self, improvement_id: str, error: Exception) -> None:
        """Say on the improvement why it waits, if even that can be written now."""
        if self._stopping.is_set():
            return
        reason = f"This is tried again: {error}"
        _logger.warning("improvement %s: %s", improvement_id, reason)
        try:
            with self._parts.database.transaction() as session:
                store.note(session, improvement_id, reason)
        except DizuoError as refused:
            _logger.warning("improvement %s: this cannot be noted: %s", improvement_id, refused)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            for work in (self._watch_all, self._ensure_all):
                _try(work)
            self._look.wait(self._look_seconds)
            self._look.clear()

    def _watch_all(self) -> None:
        """Move on whatever has rested long enough. One that fails keeps none of the others."""
        with self._parts.database.reading() as session:
            resting = store.in_states(session, WATCHED_STATES)
        for improvement in resting:
            if self._stopping.is_set():
                return
            try:
                self._watch(improvement)
            except DizuoError as error:
                _logger.warning("improvement %s cannot be looked at: %s", improvement.id, error)

    def _watch(self, improvement: Improvement) -> None:
        """Look without a lock first: nearly always, there is nothing to write."""
        with self._parts.database.reading() as session:
            seen = self._steps.look(session, improvement)
        if seen != improvement.reason:
            self._change(improvement, self._steps.look)

    def _ensure_all(self) -> None:
        with self._parts.database.reading() as session:
            pending = store.ids_outside(session, RESTING_STATES)
        for improvement_id in pending:
            if not self._stopping.is_set():
                self._workflows.ensure(improvement_id)


def _try(work: Callable[[], None]) -> None:
    try:
        work()
    except DizuoError as error:
        _logger.warning("cannot look at the improvements now: %s", error)
    except Exception:  # the thread's edge: logged, and tried again
        _logger.exception("looking at the improvements failed")


def _require_fit(request: ImprovementRequest, recipe: Recipe, project_id: str) -> None:
    if recipe.family != request.family:
        raise ImprovementRefused(
            f"The recipe is of the family {recipe.family}, the samples of {request.family}.",
            next_step="Name the recipe's family.",
        )
    train = parse_ref(recipe.train, project=project_id)
    if (train.project, train.name) != (project_id, request.dataset):
        raise ImprovementRefused(
            f"The recipe trains on {recipe.train}, so it would learn nothing from "
            f"{request.dataset}.",
            next_step=f"Let it train on {request.dataset}, or collect into {train.name}.",
        )
    if not recipe.gates:
        raise ImprovementRefused(
            "The recipe has no gates, so its result could never be released.",
            next_step="Add gates to the recipe.",
        )


def _is_passing(error: Exception) -> bool:
    """Whether the same work may succeed later without a change to the improvement."""
    if isinstance(error, DizuoError):
        # A sample was labelled anew while they were collected: collecting again takes it as it is.
        return error.retryable or isinstance(error, ReviewConflict)
    return isinstance(error, OSError) and error.errno in _SHORTAGES


def _sentence(error: Exception) -> str:
    if isinstance(error, DizuoError):
        return str(error)
    _logger.error("an improvement stopped on an unexpected error", exc_info=error)
    return (
        f"It stopped on an unexpected error: {type(error).__name__}: {str(error)[:500]}. "
        "See the hub's log."
    )
