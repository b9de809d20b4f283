"""`HubClient`: one method for each route of `/api/v1`.

Every method raises `HubError` with the hub's own words when the hub refuses, `HubUnreachable` when
it does not answer and `NotAHub` when something else does. Answers are JSON, as the hub gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dizuo.client.credentials import Credentials
from dizuo.client.events import Patience, follow_run
from dizuo.client.packing import Parcel, pack, pack_alone
from dizuo.client.transport import Params, Transport, api_path
from dizuo.core.ids import new_id
from dizuo.core.progress import Progress, Reporter, silent

Json = dict[str, Any]
_PAGE = 1000


class HubClient(AbstractContextManager["HubClient"]):
    """A hub, for one operator. Close it, or use it as a context manager.

    Args:
        url: the hub's address, `http://127.0.0.1:8420`.
        token: an operator's token.
    """

    def __init__(self, url: str, token: str) -> None:
        self._transport = Transport(Credentials(url, token))

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connection."""
        self._transport.close()

    @property
    def url(self) -> str:
        """The hub's address."""
        return self._transport.url

    def _get(self, *parts: str | int, params: Params | None = None) -> Json:
        answer: Json = self._transport.call("GET", api_path(*parts), params=params)
        return answer

    def _items(self, *parts: str | int, params: Params | None = None) -> list[Json]:
        items: list[Json] = self._get(*parts, params=params)["items"]
        return items

    def _post(self, *parts: str | int, body: Mapping[str, Any] | None = None) -> Json:
        answer: Json = self._transport.call("POST", api_path(*parts), body=body)
        return answer

    def _put(self, *parts: str | int, body: Mapping[str, Any]) -> Json:
        answer: Json = self._transport.call("PUT", api_path(*parts), body=body)
        return answer

    def _delete(self, *parts: str | int) -> Json:
        answer: Json = self._transport.call("DELETE", api_path(*parts))
        return answer

    # the hub itself

    def health(self) -> Json:
        """How the hub is."""
        return self._get("health")

    # uploads

    def upload(self, path: Path, report: Reporter = silent, *, in_folder: bool = False) -> Json:
        """Send a file, or a folder as one tar archive: `{"digest", "size_bytes"}`.

        With `in_folder` a file is sent as the only one of a folder. Sending the same bytes again
        changes nothing.

        Raises:
            CannotSend: it cannot be read, or holds nothing.
        """
        parcel = pack_alone(path) if in_folder else pack(path)
        pieces = _reported(parcel, path.name, report)
        answer: Json = self._transport.send(api_path("uploads"), pieces, parcel.size_bytes)
        return answer

    # datasets

    def add_dataset_version(self, name: str, body: Mapping[str, Any]) -> Json:
        """Make a version from an upload.

        Args:
            name: the dataset.
            body: `upload`, `format` (jsonl, csv, parquet or images), `family`, `mode` (append or
                replace) and perhaps `holdout`.
        """
        return self._post("datasets", name, "versions", body=body)

    def datasets(self) -> list[Json]:
        """Every dataset with its newest version."""
        return self._items("datasets")

    def dataset(self, name: str) -> Json:
        """One dataset with its versions."""
        return self._get("datasets", name)

    def dataset_version(self, name: str, version: int) -> Json:
        """One version."""
        return self._get("datasets", name, "versions", version)

    def dataset_rejects(self, name: str, version: int) -> list[Json]:
        """Every row that was not taken into a version, each with why."""
        found: list[Json] = []
        while True:
            params = {"offset": len(found), "limit": _PAGE}
            page = self._items("datasets", name, "versions", version, "rejects", params=params)
            found += page
            if len(page) < _PAGE:
                return found

    def dataset_rows(
        self, name: str, version: int, *, offset: int = 0, limit: int = 100
    ) -> list[Json]:
        """Some rows of a version; bytes as `{"base64": "…"}`."""
        params = {"offset": offset, "limit": limit}
        return self._items("datasets", name, "versions", version, "rows", params=params)

    def dataset_diff(self, name: str, before: int, after: int) -> Json:
        """What changed from one version to another."""
        return self._get("datasets", name, "diff", params={"from": before, "to": after})

    # review

    def review_queue(self, params: Params | None = None) -> list[Json]:
        """Returned samples, a fair draw of what was unsure or new first; then those kept at random.

        Args:
            params: perhaps `state`, `site`, `reason`, `served_as`, `limit`, `offset`.
        """
        return self._items("review", params=params)

    def sample(self, sample_id: str) -> Json:
        """One returned sample with its row."""
        return self._get("review", sample_id)

    def review(self, sample_id: str, body: Mapping[str, Any]) -> Json:
        """Give a sample its verdict: `{"label": …}` or `{"unusable": true}`, perhaps `correct`."""
        return self._post("review", sample_id, body=body)

    def review_dataset(self, body: Mapping[str, Any]) -> Json:
        """Make a dataset version from reviewed samples."""
        return self._post("review", "dataset", body=body)

    # recipes and stacks

    def check_recipe(self, text: str, source_name: str = "recipe") -> Json:
        """Whether a recipe could run now, without running it; `source_name` is for the errors."""
        body = {"text": text, "source_name": source_name}
        return self._post("recipes", "check", body=body)

    def stacks(self) -> list[Json]:
        """The newest version of each stack."""
        return self._items("stacks")

    def stack_versions(self, name: str) -> list[Json]:
        """The versions of one stack."""
        return self._items("stacks", name)

    def find_stack(self, text: str) -> Json:
        """The stack version, in brief, that a reference or a bare digest names; every part of the
        reference must fit, and without version or digest it is the newest."""
        return self._get("references", params={"stack": text})

    def stack(self, name: str, version: int) -> Json:
        """One stack version."""
        return self._get("stacks", name, version)

    def trace(self, name: str, version: int) -> list[Json]:
        """Where a stack version comes from, step by step: from the sites that run it down to the
        samples it learned from."""
        return self._items("stacks", name, version, "trace")

    def report(self, name: str, version: int) -> Json:
        """The newest gate report of a stack version."""
        return self._get("stacks", name, version, "report")

    # runs

    def submit_run(self, body: Mapping[str, Any], *, key: str = "") -> Json:
        """Ask for a run; asking again with the same `key` changes nothing."""
        headers = {"Idempotency-Key": key or new_id()}
        answer: Json = self._transport.call("POST", api_path("runs"), body=body, headers=headers)
        return answer

    def runs(self, params: Params | None = None) -> list[Json]:
        """The newest runs; `params` may hold `kind`, `state`, `limit`."""
        return self._items("runs", params=params)

    def run(self, run_id: str) -> Json:
        """One run."""
        return self._get("runs", run_id)

    def follow_run(
        self, run_id: str, report: Reporter = silent, patience: Patience | None = None
    ) -> Json:
        """Report a run's progress as it happens, and return the run when it has ended."""
        return follow_run(self._transport, run_id, report, patience)

    def run_log(self, run_id: str) -> str:
        """What a run's processes printed."""
        return self._transport.text(api_path("runs", run_id, "log"))

    def cancel_run(self, run_id: str) -> Json:
        """Ask a run to stop."""
        return self._post("runs", run_id, "cancel")

    # releases and sites

    def release(self, stack: str) -> Json:
        """Sign a stack version, by a reference to it, as fit to run."""
        return self._post("releases", body={"stack": stack})

    def releases(self) -> list[Json]:
        """The newest releases."""
        return self._items("releases")

    def release_of(self, key: str) -> Json:
        """One release, by its id or a reference with its version or digest."""
        return self._get("releases", key)

    def withdraw_release(self, key: str) -> Json:
        """Take a release back, by its id or a reference with its version or digest."""
        return self._post("releases", key, "withdraw")

    def make_join_token(self, body: Mapping[str, Any]) -> Json:
        """A one-time token with which a new site can join: `{"token", "command", "expires_ms"}`.

        Args:
            body: perhaps `url`, under which the site reaches the hub, `ttl_seconds`, and `name`,
                which the command shall give to the site.
        """
        return self._post("join-tokens", body=body)

    def sites(self) -> list[Json]:
        """Every site."""
        return self._items("sites")

    def site(self, name: str) -> Json:
        """One site."""
        return self._get("sites", name)

    def remove_site(self, name: str) -> Json:
        """Cut a site off: its credentials are worthless from now on."""
        return self._delete("sites", name)

    def start_rollout(self, stack: str, sites: list[str] | str, served_as: str = "") -> Json:
        """Direct sites to a released stack, by a reference to it (without a version, the newest
        that is signed); `sites` are names, or the word `all`."""
        body: Json = {"stack": stack, "sites": sites, "key": new_id()}
        if served_as:
            body["served_as"] = served_as
        return self._post("rollouts", body=body)

    def rollouts(self) -> list[Json]:
        """The newest rollouts."""
        return self._items("rollouts")

    def rollout(self, rollout_id: str) -> Json:
        """One rollout, with where each site is."""
        return self._get("rollouts", rollout_id)

    def stop_rollout(self, rollout_id: str) -> Json:
        """Stop directing further sites."""
        return self._post("rollouts", rollout_id, "stop")

    def roll_back(self, rollout_id: str) -> Json:
        """Direct every site of a rollout back to what it had before."""
        return self._post("rollouts", rollout_id, "rollback")

    # the improve loop

    def start_improvement(self, body: Mapping[str, Any]) -> Json:
        """Start the loop; it begins as soon as enough samples are reviewed."""
        return self._post("improvements", body=body)

    def improvements(self) -> list[Json]:
        """Every improvement, newest first."""
        return self._items("improvements")

    def improvement(self, improvement_id: str) -> Json:
        """One improvement."""
        return self._get("improvements", improvement_id)

    def approve_improvement(self, improvement_id: str) -> Json:
        """Let it be released."""
        return self._post("improvements", improvement_id, "approve")

    def reject_improvement(self, improvement_id: str, reason: str = "") -> Json:
        """End it without a release, and say why."""
        return self._post("improvements", improvement_id, "reject", body={"reason": reason})

    def improvement_policy(self) -> Json:
        """Whether a person must approve the project's improvements."""
        return self._get("improvements", "policy")

    def set_improvement_policy(self, *, require_approval: bool) -> Json:
        """Say for the project whether a person must approve."""
        body = {"require_approval": require_approval}
        return self._put("improvements", "policy", body=body)

    # audit, tokens and accounts

    def audit(self, *, after: int | None = None, limit: int = 100) -> list[Json]:
        """Entries of the audit log: those after a sequence number, or else the newest."""
        return self._items("audit", params={"after": after, "limit": limit})

    def audit_verify(self, head: str = "") -> Json:
        """Whether the log is whole, and still holds the entry that once was its `head`."""
        return self._get("audit", "verify", params={"head": head or None})

    def tokens(self) -> list[Json]:
        """Every operator token, without its secret."""
        return self._items("tokens")

    def create_token(self, name: str, role: str) -> Json:
        """A new token; its secret is in this answer only."""
        return self._post("tokens", body={"name": name, "role": role})

    def revoke_token(self, name: str) -> Json:
        """Make a token worthless."""
        return self._delete("tokens", name)

    def accounts(self) -> list[Json]:
        """Every person's account."""
        return self._items("accounts")

    def create_account(self, name: str, role: str, password: str) -> Json:
        """A new account, with which somebody can sign in at the console."""
        return self._post("accounts", body={"name": name, "role": role, "password": password})

    def set_account_role(self, name: str, role: str) -> Json:
        """Give an account another role."""
        return self._put("accounts", name, "role", body={"role": role})

    def set_account_password(self, name: str, password: str) -> Json:
        """Give an account another password and end its sessions."""
        return self._put("accounts", name, "password", body={"password": password})

    def disable_account(self, name: str) -> Json:
        """Let nobody in by an account any more, and end its sessions."""
        return self._post("accounts", name, "disable")

    def enable_account(self, name: str) -> Json:
        """Let an account in again."""
        return self._post("accounts", name, "enable")


def _reported(parcel: Parcel, name: str, report: Reporter) -> Iterator[bytes]:
    done = 0
    report(Progress("upload", 0, parcel.size_bytes, "byte", name))
    for piece in parcel.pieces():
        yield piece
        done += len(piece)
        report(Progress("upload", done, parcel.size_bytes, "byte", name))
