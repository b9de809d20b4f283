"""What the demo does at the hub, each in the words of the story, through the API that all use."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from dizuo.client.hub import HubClient
from dizuo.core.errors import Conflict, Unavailable
from dizuo.core.progress import Reporter
from dizuo.gates.report import GateReport

_WAIT_SECONDS = 180.0
_LOOK_SECONDS = 0.2
FAMILY = "vision"
T = TypeVar("T")


class BuildFailed(Conflict):
    """A run, a gate, a rollout or the loop of the demo did not end well."""

    code = "demo_build_failed"


class TookTooLong(Unavailable):
    """Something the demo waits for did not happen."""

    code = "demo_timeout"


@dataclass(frozen=True, slots=True)
class Built:
    """A stack version that passed its gates, and whether it was found instead of built."""

    ref: str
    digest: str
    cached: bool

    @property
    def name(self) -> str:
        """Without the version."""
        return self.ref.partition(":")[0]

    @property
    def version(self) -> int:
        """The version."""
        return int(self.ref.partition(":")[2])


@dataclass(frozen=True, slots=True)
class DemoHub:
    """The demo's hub, seen by its operator."""

    client: HubClient
    scratch: Path
    no_cache: bool

    def add_images(
        self,
        name: str,
        rows: Iterable[tuple[bytes, str]],
        report: Reporter,
        *,
        holdout: float | None = None,
    ) -> dict[str, int]:
        """Import images as a user would, from a folder a label; the versions made, by dataset."""
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        for number, (image, label) in enumerate(rows):
            path = folder / label / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
        upload = self.client.upload(folder, report)
        body = {"upload": upload["digest"], "format": "images", "family": FAMILY, "mode": "replace"}
        if holdout is not None:
            body["holdout"] = holdout
        answer = self.client.add_dataset_version(name, body)
        return {one["name"]: one["version"] for one in answer["versions"]}

    def build(self, recipe: str, report: Reporter) -> Built:
        """Run a recipe and its gates.

        Raises:
            BuildFailed: the run failed, or a gate was not passed.
        """
        body = {"kind": "tune", "recipe": recipe, "no_cache": self.no_cache}
        run = self._follow(self.client.submit_run(body), report)
        stack = str(run["outcome"]["stack"])
        built = Built(stack, str(run["outcome"]["digest"]), bool(run["cached"]))
        self.gate(built, report)
        return built

    def gate(self, built: Built, report: Reporter) -> None:
        """Measure a stack against its gates.

        Raises:
            BuildFailed: one was not passed; says which and why.
        """
        self._follow(self.client.submit_run({"kind": "gate", "stack": built.ref}), report)
        answer = self.client.report(built.name, built.version)
        found = GateReport.from_dict({k: answer[k] for k in answer if k not in ("id", "digest")})
        if not found.passed:
            reasons = [rule.reason for rule in found.rules if not rule.passed]
            raise BuildFailed(f"{built.ref} did not pass its gates: {' '.join(reasons)}")

    def _follow(self, run: dict[str, Any], report: Reporter) -> dict[str, Any]:
        done = run if run["state"] == "succeeded" else self.client.follow_run(run["id"], report)
        if done["state"] != "succeeded":
            raise BuildFailed(f"The {done['kind']} run {done['state']}: {done['error']}")
        return done

    def roll_out(self, stack: str, sites: list[str] | str, served_as: str) -> dict[str, Any]:
        """Direct sites to a release and wait until all of them serve it.

        Raises:
            BuildFailed: a site fell back.
            TookTooLong: a site did not get there.
        """
        return self.wait_for_rollout(self.client.start_rollout(stack, sites, served_as)["id"])

    def wait_for_rollout(self, rollout_id: str) -> dict[str, Any]:
        """The rollout, once it is done; raises as `roll_out`."""

        def look() -> dict[str, Any] | None:
            rollout = self.client.rollout(rollout_id)
            if rollout["state"] in ("failed", "stopped"):
                raise BuildFailed(f"The rollout of {rollout['stack']} {rollout['state']}.")
            return rollout if rollout["state"] == "done" else None

        return wait_for("a rollout", look)

    def wait_for_improvement(self, improvement_id: str, report: Reporter) -> dict[str, Any]:
        """The improvement, once it is done, its run's progress shown meanwhile.

        Raises:
            BuildFailed: it ended otherwise.
        """
        followed: set[str] = set()

        def look() -> dict[str, Any] | None:
            one = self.client.improvement(improvement_id)
            for run_id in (one["tune_run_id"], one["gate_run_id"]):
                if run_id and run_id not in followed:
                    followed.add(run_id)
                    self.client.follow_run(run_id, report)
            if one["state"] in ("failed", "rejected"):
                raise BuildFailed(f"The improvement {one['state']}: {one['reason']}")
            return one if one["state"] == "done" else None

        return wait_for("the improvement", look)


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """What `look` returns, as soon as it returns something.

    Raises:
        TookTooLong: it did not, for minutes.
    """
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(_LOOK_SECONDS)
    raise TookTooLong(f"The demo waited {_WAIT_SECONDS:.0f} s for {what} in vain.")


def recipe_text(name: str, parent: Built | None = None) -> str:
    """A recipe that ships with the demo, made to build on `parent`."""
    text = files("dizuo.demo").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")
    if parent is None:
        return text
    return re.sub(rf"^from: {re.escape(parent.name)}:\d+$", f"from: {parent.ref}", text, flags=re.M)
