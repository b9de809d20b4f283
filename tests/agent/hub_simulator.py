"""A hub in the test's own process that speaks the real HTTP surfaces on a loopback port.

`/tuf` and `/v2` are the hub's own routes over a real repository and a real layout, with keys made
by the hub's own code; only `/edge/v1` is kept in memory here. Faults are put between the routes and
the socket, so an agent meets them as it would on a bad line: an answer that is held back, cut,
changed or too long, a hub that is gone.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tests.agent.stacks import FAMILY, Built, build, build_base

from dizuo.artifacts.layout import Layout
from dizuo.artifacts.server import registry_routes
from dizuo.core.errors import DizuoError, Unauthenticated
from dizuo.edge.join import JoinToken
from dizuo.edge.wire import (
    MAX_UPLOAD_BYTES,
    Body,
    CheckIn,
    CheckInReply,
    DesiredState,
    Direction,
    EnrolReply,
    EnrolRequest,
    RefusedSample,
    Sample,
    SampleReceipt,
    SampleUpload,
    SiteError,
)
from dizuo.releases.keys import init_keys
from dizuo.releases.repository import Repository, StackTarget
from dizuo.releases.server import tuf_routes
from dizuo.sites.edge_api import bounded, parse

_T = TypeVar("_T")
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 20.0


@dataclass
class Hold:
    """Requests to `path` stop here until `release`; `reached` tells that one has come."""

    path: re.Pattern[str]
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> None:
        """Until a request has come."""
        assert self.reached.wait(PATIENCE_SECONDS), f"nobody asked for {self.path.pattern}"

    def release(self) -> None:
        """Let everybody through."""
        self.released.set()


@dataclass
class Faults:
    """What is wrong with the line now."""

    holds: list[Hold] = field(default_factory=list)
    changes: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    """Path pattern to what becomes of the body; its announced length goes with it."""
    cuts: dict[str, int] = field(default_factory=dict)
    """Path pattern to the number of bytes after which the connection ends."""
    statuses: dict[str, int] = field(default_factory=dict)
    """Path pattern to the status answered instead."""
    pages: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    """Path pattern to the status and body that somebody else, a proxy say, answers instead."""
    is_gone: bool = False
    """Whether the hub is: what was held back until then gets no byte of an answer."""


class FaultyLine:
    """ASGI middleware that applies `Faults`."""

    def __init__(self, app: ASGIApp, faults: Faults, requests: list[str]) -> None:
        self._app = app
        self._faults = faults
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        self._requests.append(f"{scope['method']} {path}")
        await self._hold(path)
        status = _match(self._faults.statuses, path)
        if status is not None:
            await Response(status_code=status)(scope, receive, send)
            return
        page = _match(self._faults.pages, path)
        if page is not None:
            await Response(page[1], status_code=page[0])(scope, receive, send)
            return
        change = _match(self._faults.changes, path)
        cut = 0 if self._faults.is_gone else _match(self._faults.cuts, path)
        if change is None and cut is None:
            await self._app(scope, receive, send)
        else:
            await self._damage(scope, receive, send, change, cut)

    async def _hold(self, path: str) -> None:
        for hold in list(self._faults.holds):
            if hold.path.search(path):
                hold.reached.set()
                await anyio.to_thread.run_sync(hold.released.wait, abandon_on_cancel=True)

    async def _damage(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        change: Callable[[bytes], bytes] | None,
        cut: int | None,
    ) -> None:
        start: Message = {}
        body = bytearray()

        async def gather(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
            else:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, gather)
        whole = bytes(body) if change is None else change(bytes(body))
        headers = [(k, v) for k, v in start["headers"] if k.lower() != b"content-length"]
        headers.append((b"content-length", str(len(whole)).encode()))
        await send({**start, "headers": headers})
        if cut is None or cut >= len(whole):
            await send({"type": "http.response.body", "body": whole})
            return
        await send({"type": "http.response.body", "body": whole[:cut], "more_body": True})
        raise ConnectionAbortedError("the simulated line was cut")


def _match(table: dict[str, _T], path: str) -> _T | None:
    return next((value for pattern, value in table.items() if re.search(pattern, path)), None)


@dataclass
class SimulatedSite:
    """A site as the simulator knows it."""

    name: str
    edge_credential: str
    registry_credential: str
    desired: DesiredState = field(default_factory=lambda: DesiredState(generation=0))
    check_ins: list[CheckIn] = field(default_factory=list)


class HubSimulator:
    """One hub. `start` and `stop` may be called again and again; port and state stay."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.layout = Layout(home / "layout")
        self.root_sha256 = init_keys(home).root_sha256
        self.repository = Repository(home)
        self.faults = Faults()
        self.requests: list[str] = []
        self.sites: dict[str, SimulatedSite] = {}
        self.secrets: set[str] = set()
        self.enrolments: set[tuple[str, str, str | None]] = set()
        """Secret, name and nonce of those that were let in."""
        self.samples: dict[str, Sample] = {}
        self.uploads: list[int] = []
        self.refuses: Callable[[Sample], str] = lambda _sample: ""
        self.upload_form: type[Body] = SampleUpload
        """What the hub of this version understands."""
        self.upload_bytes_at_most = MAX_UPLOAD_BYTES
        self.heard = threading.Condition()
        """Notified with every check-in and upload."""
        self.base = build_base(self.layout, home / "work")
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it is, running or not."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Answer from now on."""
        self.faults.is_gone = False
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app(), log_config=None, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._server.started:
            assert time.monotonic() < deadline, "the simulated hub did not start"
            time.sleep(0.005)

    def stop(self) -> None:
        """Be gone: connections are refused until `start`."""
        if self._server is None or self._thread is None:
            return
        self.faults.is_gone = True
        for hold in self.faults.holds:
            hold.release()
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the simulated hub did not stop"
        self._server = None

    def hold(self, path: str) -> Hold:
        """Keep requests whose path matches waiting."""
        hold = Hold(re.compile(path))
        self.faults.holds.append(hold)
        return hold

    def build(self, name: str = "meter", version: int = 1, **layer: Any) -> Built:
        """A signed L1 on the simulator's base."""
        built = build(
            self.layout, self.home / "work", self.base, name=name, version=version, **layer
        )
        self.sign(built)
        return built

    def sign(self, built: Built) -> None:
        """Put a stack under the project's signature."""
        self.repository.add_target(
            StackTarget(
                "default",
                built.name,
                built.version,
                built.digest,
                built.size_bytes,
                FAMILY,
                built.level.value,
            )
        )

    def token(self, **changes: str) -> str:
        """A join token for one site."""
        secret = f"secret-of-16-characters-{len(self.secrets)}"
        self.secrets.add(secret)
        fields = {"url": self.url, "secret": secret, "root_sha256": self.root_sha256, **changes}
        return JoinToken(**fields).encode()

    def direct(self, site_name: str, *directions: Direction) -> DesiredState:
        """Change what a site shall run."""
        site = self.sites[site_name]
        site.desired = DesiredState(
            generation=site.desired.generation + 1, stacks=tuple(directions)
        )
        return site.desired

    def wait_for(self, site_name: str, accepts: Callable[[CheckIn], bool]) -> CheckIn:
        """The first check-in from now on that is accepted."""
        seen = len(self.sites[site_name].check_ins)
        return self._wait(
            lambda: next((c for c in self.sites[site_name].check_ins[seen:] if accepts(c)), None)
        )

    def wait_for_error(self, site_name: str, generation: int) -> SiteError:
        """What the site says of an attempt at this generation that failed."""
        heard = self.wait_for(
            site_name,
            lambda said: (
                said.state in ("fallen_back", "empty")
                and said.error is not None
                and said.error.generation == generation
            ),
        )
        assert heard.error is not None
        return heard.error

    def wait_for_samples(self, number: int) -> None:
        """Until at least so many distinct samples have come."""
        self._wait(lambda: len(self.samples) >= number or None)

    def _wait(self, look: Callable[[], _T | None]) -> _T:
        deadline = time.monotonic() + PATIENCE_SECONDS
        with self.heard:
            while (found := look()) is None:
                left = deadline - time.monotonic()
                assert left > 0, "the site did not say what was waited for"
                self.heard.wait(left)
            return found

    def _app(self) -> Starlette:
        app = Starlette(
            routes=[
                Route("/edge/v1/enrol", self._enrol, methods=["POST"]),
                Route("/edge/v1/check-in", self._check_in, methods=["POST"]),
                Route("/edge/v1/samples", self._take_samples, methods=["POST"]),
                *tuf_routes(self.repository, self.layout, self._registry_project),
                *registry_routes(self.layout, self._registry_project),
            ],
            exception_handlers={DizuoError: _answer_error},
        )
        app.add_middleware(FaultyLine, faults=self.faults, requests=self.requests)
        return app

    def _site(self, request: Request, surface: str) -> SimulatedSite:
        secret = request.headers.get("authorization", "").removeprefix("Bearer ")
        for site in self.sites.values():
            if getattr(site, f"{surface}_credential") == secret:
                return site
        raise Unauthenticated("This credential is missing or not accepted here.")

    def _registry_project(self, request: Request) -> str:
        self._site(request, "registry")
        return "default"

    async def _enrol(self, request: Request) -> Response:
        body = EnrolRequest.model_validate_json(await request.body())
        enrolment = (body.secret, body.site_name, body.nonce)
        if body.secret not in self.secrets and enrolment not in self.enrolments:
            raise Unauthenticated(
                "The join token was used or has expired.", next_step="Ask for a new one."
            )
        self.secrets.discard(body.secret)
        if body.nonce is not None:
            self.enrolments.add(enrolment)
        site = SimulatedSite(body.site_name, f"edge-{body.site_name}", f"reg-{body.site_name}")
        self.sites[body.site_name] = site
        return _json(
            EnrolReply(
                site_id=f"id-{site.name}",
                site_name=site.name,
                project="default",
                edge_credential=site.edge_credential,
                registry_credential=site.registry_credential,
            )
        )

    async def _check_in(self, request: Request) -> Response:
        site = self._site(request, "edge")
        said = CheckIn.model_validate_json(await request.body())
        with self.heard:
            site.check_ins.append(said)
            self.heard.notify_all()
        return _json(CheckInReply(desired=site.desired, poll_seconds=POLL_SECONDS))

    async def _take_samples(self, request: Request) -> Response:
        self._site(request, "edge")
        body = await bounded(self.upload_bytes_at_most)(request)
        parse(self.upload_form, body)
        upload = SampleUpload.model_validate_json(body)
        refused = {s.digest: why for s in upload.samples if (why := self.refuses(s))}
        with self.heard:
            self.uploads.append(len(upload.samples))
            self.samples.update({s.digest: s for s in upload.samples if s.digest not in refused})
            self.heard.notify_all()
        return _json(
            SampleReceipt(
                accepted=tuple(s.digest for s in upload.samples if s.digest not in refused),
                refused=tuple(RefusedSample(digest=d, reason=why) for d, why in refused.items()),
            )
        )


def _json(body: EnrolReply | CheckInReply | SampleReceipt) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")


async def _answer_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, DizuoError)
    return JSONResponse(error.as_dict(), status_code=error.http_status)


def other_bytes(body: bytes) -> bytes:
    """As many bytes, one of them changed."""
    return bytes([body[0] ^ 0xFF]) + body[1:]
