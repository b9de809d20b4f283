"""`/tuf`: the signed metadata, read only, for agents and any other TUF client.

Metadata is open to every registry credential: what it says about one project's stacks is their
names, sizes and digests. Targets are served too, under the names a TUF client asks for
(`/tuf/targets/<project>/<name>/<sha256>.<version>.json`); they are the stacks' OCI indexes, and go
only to a caller of their own project and only while they are signed.

Root metadata needs no credential: a site holds it against its join token before it has one, and
before it shows its one-time secret to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dizuo.access.model import CredentialRefused
from dizuo.artifacts.layout import Layout
from dizuo.artifacts.server import Authorise
from dizuo.core.errors import DizuoError, NotFound, Unauthenticated
from dizuo.releases.repository import Repository

_ROOT = re.compile(r"[0-9]+\.root\.json")
_METADATA = re.compile(r"[0-9]+\.[a-z0-9._-]+\.json|timestamp\.json")
_TARGET = re.compile(r"(?P<stem>(?P<project>[^/]+)/[^/]+/)(?P<hex>[0-9a-f]{64})\.(?P<rest>[^/]+)")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="dizuo", charset="UTF-8"'}
_READING = ["GET", "HEAD"]


class MetadataNotFound(NotFound):
    """No metadata or target of this name; a TUF client takes that as "no newer root"."""

    code = "metadata_not_found"


def tuf_routes(repository: Repository, layout: Layout, authorise: Authorise) -> list[BaseRoute]:
    """The routes under `/tuf/`, for a Starlette or FastAPI application's router.

    Args:
        repository: whose metadata is served.
        layout: where the indexes lie.
        authorise: as for `/v2/`; the registry's credentials open both. Not asked about roots.
    """

    def metadata(request: Request, _project: str) -> Response:
        name = request.path_params["name"]
        return _file(repository.directory / name if _METADATA.fullmatch(name) else None)

    def target(request: Request, project: str) -> Response:
        match = _TARGET.fullmatch(request.path_params["path"])
        if match is None or match["project"] != project:
            return _file(None)
        digest = f"sha256:{match['hex']}"
        is_signed = repository.targets(project).get(match["stem"] + match["rest"]) == digest
        return _file(layout.path(digest) if is_signed else None)

    return [
        Route("/tuf/targets/{path:path}", _answer(target, authorise), methods=_READING),
        Route("/tuf/{name}", _answer(metadata, _unless_root(authorise)), methods=_READING),
    ]


def _unless_root(authorise: Authorise) -> Authorise:
    def for_root(request: Request) -> str | None:
        return "" if _ROOT.fullmatch(request.path_params["name"]) else authorise(request)

    return for_root


def _answer(
    endpoint: Callable[[Request, str], Response], authorise: Authorise
) -> Callable[[Request], Response]:
    @wraps(endpoint)
    def respond(request: Request) -> Response:
        try:
            project = authorise(request)
            if project is None:
                raise CredentialRefused("A credential for the registry is needed.")
            return endpoint(request, project)
        except DizuoError as error:
            headers = _CHALLENGE if isinstance(error, Unauthenticated) else None
            return JSONResponse(error.as_dict(), status_code=error.http_status, headers=headers)

    return respond


def _file(path: Path | None) -> FileResponse:
    if path is None or not path.is_file():
        raise MetadataNotFound("There is no signed metadata of this name here.")
    return FileResponse(path, media_type="application/json", headers={"Cache-Control": "no-cache"})
