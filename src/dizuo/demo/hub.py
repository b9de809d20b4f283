"""What the demo does at the hub, each in the words of the story, through the API that all use."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any

from dizuo.client.errors import HubError
from dizuo.client.hub import HubClient
from dizuo.core.errors import Conflict
from dizuo.core.progress import Progress, Reporter
from dizuo.demo.waiting import Patience, wait_for
from dizuo.gates.report import GateReport
from dizuo.improvements.model import IMPROVEMENT_MACHINE, State
from dizuo.sites.rollout_model import EntryState, RolloutState

Runs = Sequence[dict[str, Any]]
"""Runs that were submitted."""
Gates = Sequence[tuple["Built", dict[str, Any]]]
"""Stacks and the runs that measure them."""

_ON_THE_WAY = (RolloutState.PENDING, RolloutState.PROGRESSING)


class BuildFailed(Conflict):
    """A run, a gate, a rollout or the loop of the demo did not end well."""

    code = "demo_build_failed"


@dataclass(frozen=True, slots=True)
class Built:
    """A stack version, gated or not, and whether it was found instead of built."""

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
class Rollout:
    """A rollout on its way: of which stack, and its id."""

    stack: str
    id: str


@dataclass(frozen=True, slots=True)
class DemoHub:
    """The demo's hub, seen by its operator."""

    client: HubClient
    scratch: Path
    no_cache: bool
    patience: Patience = field(default_factory=Patience)

    def add_images(
        self,
        name: str,
        rows: Iterable[tuple[bytes, str]],
        report: Reporter,
        *,
        holdout: float | None = None,
    ) -> dict[str, int]:
        """Import images as a user would, from a folder a label; the versions made, by dataset."""
        shape = {"format": "images", "family": "vision"}
        return self._add(name, self._image_folder(name, rows), shape, report, holdout)

    def add_rows(
        self,
        name: str,
        rows: Iterable[Mapping[str, Any]],
        report: Reporter,
        *,
        holdout: float | None = None,
    ) -> dict[str, int]:
        """Import rows of text as a user would, from JSON lines; the versions made, by dataset."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        path = self.scratch / f"{name}.jsonl"
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return self._add(name, path, {"format": "jsonl", "family": "text"}, report, holdout)

    def _image_folder(self, name: str, rows: Iterable[tuple[bytes, str]]) -> Path:
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        for number, (image, label) in enumerate(rows):
            path = folder / label / f"{number:05}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(image)
        return folder

    def _add(
        self,
        name: str,
        source: Path,
        shape: Mapping[str, str],
        report: Reporter,
        holdout: float | None,
    ) -> dict[str, int]:
        upload = self.client.upload(source, report)
        body: dict[str, Any] = {"upload": upload["digest"], "mode": "replace", **shape}
        if holdout is not None:
            body["holdout"] = holdout
        answer = self.client.add_dataset_version(name, body)
        return {one["name"]: one["version"] for one in answer["versions"]}

    def import_model(
        self, name: str, folder: Path, targets: Sequence[str], report: Reporter
    ) -> Built:
        """Bring a text model in from a Hugging Face directory, and gate it.

        Raises:
            BuildFailed: it did not come in, or a gate was not passed.
        """
        upload = self.client.upload(folder, report)
        body = {
            "kind": "import",
            "name": name,
            "family": "text",
            "upload": upload["digest"],
            "targets": list(targets),
            "no_cache": self.no_cache,
        }
        built = self._stack_of(self._follow(self.client.submit_run(body), report))
        self._gate([built], report)
        return built

    def build(self, recipe: str, report: Reporter) -> Built:
        """Run a recipe and its gates.

        Raises:
            BuildFailed: the run failed, or a gate was not passed.
        """
        (built,) = self.finish(self.begin([recipe]), report)
        return built

    def begin(self, recipes: Sequence[str]) -> Runs:
        """Start recipes that do not need each other; they run side by side."""
        bodies = [
            {"kind": "tune", "recipe": recipe, "no_cache": self.no_cache} for recipe in recipes
        ]
        return [self.client.submit_run(body) for body in bodies]

    def finish(self, begun: Runs, report: Reporter) -> list[Built]:
        """Wait for recipes that were begun, and run their gates side by side.

        Raises:
            BuildFailed: a run failed, or a gate was not passed.
        """
        built = self.wait_for(begun, report)
        self._gate(built, report)
        return built

    def cancel(self, begun: Runs) -> None:
        """Stop recipes that were begun, but for those that have ended."""
        for run in begun:
            try:
                self.client.cancel_run(run["id"])
            except HubError as error:
                if error.status != HTTPStatus.CONFLICT:
                    raise

    def wait_for(self, begun: Runs, report: Reporter) -> list[Built]:
        """What recipes that were begun have made, before any gate.

        Raises:
            BuildFailed: a run failed.
        """
        return [self._stack_of(self._follow(run, report)) for run in begun]

    def _stack_of(self, run: Mapping[str, Any]) -> Built:
        outcome = run["outcome"]
        return Built(str(outcome["stack"]), str(outcome["digest"]), bool(run["cached"]))

    def begin_gates(self, stacks: Sequence[Built]) -> Gates:
        """Begin to measure stacks against their gates, but for those that have passed them."""
        asked = [one for one in stacks if not (one.cached and self._has_passed(one))]
        return [(one, self.client.submit_run({"kind": "gate", "stack": one.ref})) for one in asked]

    def finish_gates(self, begun: Gates, report: Reporter) -> None:
        """Wait until stacks have passed their gates.

        Raises:
            BuildFailed: one has not; says which gate and why.
        """
        if missed := self.gates_missed(begun, report):
            raise BuildFailed(missed[0])

    def gates_missed(self, begun: Gates, report: Reporter) -> list[str]:
        """Wait until gates are measured; a sentence for each stack that has not passed them, with
        the reasons.

        Raises:
            BuildFailed: they could not be measured.
        """
        for _, run in begun:
            self._follow(run, report)
        found = [(built, self._gate_report(built)) for built, _ in begun]
        return [
            f"{built.ref} did not pass its gates: "
            + " ".join(rule.reason for rule in gated.rules if not rule.passed)
            for built, gated in found
            if not gated.passed
        ]

    def _gate(self, stacks: Sequence[Built], report: Reporter) -> None:
        self.finish_gates(self.begin_gates(stacks), report)

    def _has_passed(self, stack: Built) -> bool:
        try:
            return self._gate_report(stack).passed
        except HubError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise

    def _gate_report(self, stack: Built) -> GateReport:
        answer = self.client.report(stack.name, stack.version)
        return GateReport.from_dict({k: answer[k] for k in answer if k not in ("id", "digest")})

    def _follow(self, run: dict[str, Any], report: Reporter) -> dict[str, Any]:
        done = run if run["state"] == "succeeded" else self.client.follow_run(run["id"], report)
        if done["state"] != "succeeded":
            raise BuildFailed(f"The {done['kind']} run {done['state']}: {done['error']}")
        return done

    def roll_out(
        self, stack: str, sites: list[str] | str, served_as: str, report: Reporter
    ) -> dict[str, Any]:
        """Direct sites to a release and wait until all of them serve it.

        Raises:
            BuildFailed: a site fell back.
            TookTooLong: a site did not get there.
        """
        return self.finish_rollout(self.begin_rollout(stack, sites, served_as), report)

    def begin_rollout(self, stack: str, sites: list[str] | str, served_as: str) -> Rollout:
        """Direct sites to a release."""
        return Rollout(stack, self.client.start_rollout(stack, sites, served_as)["id"])

    def finish_rollout(self, begun: Rollout, report: Reporter) -> dict[str, Any]:
        """Wait until all sites of a rollout serve it.

        Raises:
            BuildFailed: a site fell back.
            TookTooLong: a site did not get there.
        """

        def look() -> tuple[object, dict[str, Any] | None]:
            rollout = self._look_at_rollout(begun.id, report)
            if rollout["state"] == RolloutState.DONE:
                return rollout, rollout
            if rollout["state"] not in _ON_THE_WAY:
                raise BuildFailed(
                    f"The rollout of {begun.stack} ended as {rollout['state']}. {rollout['reason']}"
                )
            return rollout, None

        return wait_for(f"the rollout of {begun.stack}", look, self.patience)

    def _look_at_rollout(self, rollout_id: str, report: Reporter) -> dict[str, Any]:
        """A rollout as it is now, told to `report` as sites that have arrived of all."""
        rollout = self.client.rollout(rollout_id)
        states = {entry["site"]: entry["state"] for entry in rollout["sites"]}
        num_done = sum(state == EntryState.DONE for state in states.values())
        report(Progress("roll out", num_done, len(states), "site", _words(states)))
        return rollout

    def begin_improvement(self, body: Mapping[str, Any]) -> str:
        """Start the loop by `body`: reviewed samples → dataset version → tune → gate → release →
        rollout; the improvement's id."""
        # In a later run of the demo, what an earlier one labelled is used.
        asked = {**body, "no_cache": self.no_cache, "min_samples": 0}
        return str(self.client.start_improvement(asked)["id"])

    def finish_improvement(self, improvement_id: str, report: Reporter) -> Built:
        """Wait until the sites serve what an improvement made.

        Raises:
            BuildFailed: it ended otherwise.
            TookTooLong: it went nowhere.
        """
        done = self.wait_for_improvement(improvement_id, report)
        return self._stack_of(self.client.run(done["tune_run_id"]))

    def wait_for_improvement(self, improvement_id: str, report: Reporter) -> dict[str, Any]:
        """The improvement, once it is done; its runs and its rollout are shown meanwhile.

        Raises:
            BuildFailed: it ended otherwise.
            TookTooLong: it went nowhere.
        """
        followed: set[str] = set()

        def look() -> tuple[object, dict[str, Any] | None]:
            one = self.client.improvement(improvement_id)
            for run_id in (one["tune_run_id"], one["gate_run_id"]):
                if run_id and run_id not in followed:
                    followed.add(run_id)
                    self.client.follow_run(run_id, report)
            rollout_id = one["rollout_id"]
            rollout = self._look_at_rollout(rollout_id, report) if rollout_id else None
            if one["state"] == State.DONE:
                return one, one
            if one["state"] in IMPROVEMENT_MACHINE.final_states:
                raise BuildFailed(f"The improvement {one['state']}: {one['reason']}")
            return (one, rollout), None

        return wait_for("the improvement", look, self.patience)


def _words(states: Mapping[str, str]) -> str:
    """Where each site is: `site1 done, site2 progressing`."""
    return ", ".join(f"{site} {state}" for site, state in sorted(states.items()))


def recipe_text(name: str, parent: Built | None = None) -> str:
    """A recipe that ships with the demo, made to build on `parent`."""
    text = files("dizuo.demo").joinpath("recipes", f"{name}.yaml").read_text(encoding="utf-8")
    if parent is None:
        return text
    return re.sub(rf"^from: {re.escape(parent.name)}:\d+$", f"from: {parent.ref}", text, flags=re.M)
