"""The other side: llama.cpp's own servers, one for each model, in one process with nothing else.

`python -m benchmarks.rig.bare_llama THREADS CONTEXT MODEL...` prints one JSON list of the servers'
addresses, then serves until its standard input ends. They take as many answers at a time and as
many tokens for each as the engine does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import xllamacpp

SLOTS = 4
_BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class BareServers:
    """Servers that answer, in the order of their models."""

    urls: tuple[str, ...]
    pid: int


@contextmanager
def bare_servers(
    models: Sequence[Path], context_tokens: int, threads: int
) -> Iterator[BareServers]:
    """Serve models in a process of their own."""
    command = [sys.executable, "-m", "benchmarks.rig.bare_llama", str(threads), str(context_tokens)]
    with subprocess.Popen(
        [*command, *map(str, models)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        urls = json.loads(process.stdout.readline())
        try:
            yield BareServers(tuple(urls), process.pid)
        finally:
            process.stdin.close()
            process.wait()


def _open(model: str, threads: int, context_tokens: int) -> xllamacpp.Server:
    wanted = xllamacpp.CommonParams()
    wanted.model.path = model
    wanted.n_ctx = context_tokens * SLOTS
    wanted.n_parallel = SLOTS
    wanted.n_batch = wanted.n_ubatch = _BATCH_TOKENS
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = threads
    wanted.cache_ram_mib = 0
    wanted.fit_params = False
    wanted.verbosity = -1
    wanted.port = 0
    return xllamacpp.Server(wanted)


def _serve(threads: int, context_tokens: int, models: Sequence[str]) -> None:
    servers = [_open(model, threads, context_tokens) for model in models]
    print(json.dumps([server.listening_address for server in servers]), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
