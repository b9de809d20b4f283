"""One engine: a process that holds one base and a fixed set of stacks on it.

The agent starts it as `python -m dizuo.agent.engine_process --fd N` with one end of a socket pair
and speaks `dizuo.agent.frames` over it. The first call is `open`; after it come any number of
`infer` calls, answered in the order they finish by as many threads as the engine takes calls at
once; `cancel` says that nobody wants an answer any more. An engine that makes its answers bit by
bit shows a sign of life at least every second, so that the agent can tell a long answer from a hung
one. When the socket closes, for whatever reason, the process ends: an agent that was killed leaves
no engine behind.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dizuo.agent.errors import EngineFailed
from dizuo.agent.frames import Frame, error_header, read_frame
from dizuo.artifacts.model import LayerDirectory, Level, StackFiles
from dizuo.core.errors import DizuoError, InvalidInput
from dizuo.families import registry
from dizuo.families.base import CALLS_AT_ONCE, Answer, Engine

_SIGN_OF_LIFE_SECONDS = 1.0
_PROTOCOLS = {"open-inference": "the Open Inference Protocol", "openai": "OpenAI's protocol"}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """What one engine shall hold: stacks of one family on one base, by the names they serve."""

    family: str
    threads: int
    stacks: Mapping[str, StackFiles]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, read back by `parse_plan`."""
        return {
            "family": self.family,
            "threads": self.threads,
            "stacks": {name: _stack_dict(files) for name, files in self.stacks.items()},
        }


def _stack_dict(files: StackFiles) -> dict[str, Any]:
    layers = [{**asdict(layer), "directory": str(layer.directory)} for layer in files.layers]
    return {
        "name": files.name,
        "version": files.version,
        "digest": files.digest,
        "target": files.target,
        "layers": layers,
    }


def parse_plan(value: Mapping[str, Any]) -> EnginePlan:
    """The plan in its JSON form; both ends are of one installation, so its form is trusted."""
    return EnginePlan(
        value["family"],
        value["threads"],
        {name: _stack_files(stack) for name, stack in value["stacks"].items()},
    )


def _stack_files(value: Mapping[str, Any]) -> StackFiles:
    layers = tuple(
        LayerDirectory(Level(layer["level"]), layer["name"], Path(layer["directory"]))
        for layer in value["layers"]
    )
    return StackFiles(value["name"], value["version"], value["digest"], value["target"], layers)


class EngineServer:
    """Answers calls from a stream. `serve` returns when the stream ends."""

    def __init__(self, incoming: BinaryIO, outgoing: socket.socket) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._write_lock = threading.Lock()
        self._workers = _workers(1)
        self._engine: Engine | None = None
        self._stacks: Mapping[str, StackFiles] = {}
        self._protocol = ""
        self._unwanted: dict[int, threading.Event] = {}
        """Of each call under way, whether nobody wants its answer any more."""

    def serve(self) -> None:
        """Read calls until the other end is gone."""
        while (frame := read_frame(self._incoming)) is not None:
            if frame.header["call"] == "cancel":
                if unwanted := self._unwanted.get(frame.header["id"]):
                    unwanted.set()
                continue
            self._unwanted[frame.header["id"]] = threading.Event()
            self._workers.submit(self._answer, frame)
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _answer(self, frame: Frame) -> None:
        number = frame.header["id"]
        try:
            reply = self._dispatch(frame)
        except DizuoError as error:
            reply = Frame(error_header(error))
        except Exception:  # noqa: BLE001 - the edge of the process: whatever a family throws
            _log.exception("call %s failed", frame.header["call"])
            failed = EngineFailed(
                "The engine could not answer.", next_step="See engine.log in the agent's folder."
            )
            reply = Frame(error_header(failed))
        del self._unwanted[number]
        self._send(Frame({**reply.header, "id": number}, reply.body))

    def _send(self, frame: Frame) -> None:
        try:
            with self._write_lock:
                self._outgoing.sendall(frame.encode())
        except OSError:
            _log.info("the agent left before an answer was sent")

    def _dispatch(self, frame: Frame) -> Frame:
        if frame.header["call"] == "open":
            return self._open(parse_plan(frame.header["plan"]))
        return self._infer(frame)

    def _open(self, plan: EnginePlan) -> Frame:
        runtime = registry.runtime(plan.family)
        self._engine = runtime.open_engine(plan.stacks, threads=plan.threads)
        self._stacks = plan.stacks
        self._protocol = registry.spec(plan.family).PROTOCOL
        self._workers = _workers(getattr(self._engine, "calls_at_once", CALLS_AT_ONCE))
        described = {name: self._engine.describe(name) for name in plan.stacks}
        return Frame({"described": described})

    def _infer(self, frame: Frame) -> Frame:
        assert self._engine is not None, "the agent opens an engine before it asks"
        name, request = frame.header["stack"], parse_request(frame.body, self._protocol)
        stream = getattr(self._engine, "stream", None)
        if stream is None:
            answer: Answer = self._engine.infer(name, request)
        else:
            answer = stream(name, request, self._telling(frame.header["id"]))
        response = dict(answer.response)
        if self._protocol == "open-inference":
            response = _stamped(response, name, self._stacks[name])
        observations = [asdict(observation) for observation in answer.observations]
        return Frame({"observations": observations}, _strict_json(response))

    def _telling(self, number: int) -> Callable[[Mapping[str, Any] | None], bool]:
        """Sends what an engine tells of one answer, and says whether it is still wanted."""
        unwanted = self._unwanted[number]
        last = time.monotonic()

        def tell(chunk: Mapping[str, Any] | None) -> bool:
            nonlocal last
            if chunk is not None or time.monotonic() - last > _SIGN_OF_LIFE_SECONDS:
                body = b"" if chunk is None else _strict_json(chunk)
                self._send(Frame({"id": number, "more": True}, body))
                last = time.monotonic()
            return not unwanted.is_set()

        return tell


def _workers(number: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(number, thread_name_prefix="call")


def _stamped(response: dict[str, Any], name: str, files: StackFiles) -> dict[str, Any]:
    """An answer of the Open Inference Protocol with who gave it."""
    parameters = {**response.get("parameters", {}), "stack_digest": files.digest}
    identity = {"model_name": name, "model_version": str(files.version)}
    return {**response, **identity, "parameters": parameters}


def _strict_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def parse_request(body: bytes, protocol: str) -> dict[str, Any]:
    """A request body of an inference protocol as JSON.

    Raises:
        InvalidInput: it is not JSON, not an object, or holds text that is not Unicode.
    """
    step = f"Send a request of {_PROTOCOLS.get(protocol, protocol)}."
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("The request body is not JSON.", next_step=step) from error
    if not isinstance(value, dict):
        raise InvalidInput("The request body is not a JSON object.", next_step=step)
    if _SURROGATE.search(body) and not _is_unicode(value):
        raise InvalidInput(
            "The request body holds half a character.",
            next_step="Send both of its surrogates, or the character itself.",
        )
    return value


def _is_unicode(value: Any) -> bool:
    """Whether JSON can be written down again: JSON may name half a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def main(arguments: list[str] | None = None) -> None:
    """Serve on the inherited socket until it closes, then end at once, whatever still runs."""
    parser = argparse.ArgumentParser(prog="dizuo.agent.engine_process")
    parser.add_argument("--fd", type=int, required=True, help="the inherited socket")
    inherited = parser.parse_args(arguments).fd
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    faulthandler.enable()  # a native crash leaves its stack in the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the agent decides when to stop, not a terminal
    connection = socket.socket(fileno=inherited)
    with connection.makefile("rb") as incoming:
        EngineServer(incoming, connection).serve()
        os._exit(0)  # a worker that hangs in native code must not keep the process


if __name__ == "__main__":
    main()
