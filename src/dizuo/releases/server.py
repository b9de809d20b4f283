"""`/tuf`: the signed metadata, read only, for agents and any other TUF client.

Target files are served too, under the consistent-snapshot names a TUF client asks for
(`/tuf/targets/<project>/<name>/<sha256>.<version>.json`): they are the stacks' OCI indexes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from dizuo.core.errors import NotFound

_METADATA = re.compile(r"[0-9]+\.[a-z0-9._-]+\.json|timestamp\.json")
_TARGET = re.compile(r"[a-z0-9._-]+/[a-z0-9._-]+/(?P<hex>[0-9a-f]{64})\.[0-9]+\.json")


class MetadataNotFound(NotFound):
    """No metadata or target of this name; a TUF client takes that as "no newer root"."""

    code = "metadata_not_found"


def routes(
    directory: Path,
    authorise: Callable[[Request], object],
    blob_path: Callable[[str], Path],
    *,
    prefix: str = "/tuf",
) -> list[Route]:
    """The routes that serve a repository.

    Args:
        directory: the repository's folder.
        authorise: raises unless the request carries a registry credential; it may touch the
            database, so it is called on a worker thread.
        blob_path: where a digest's bytes lie; the path need not exist.
        prefix: what every address begins with.
    """

    def metadata(request: Request) -> FileResponse:
        authorise(request)
        name = request.path_params["name"]
        return _file(directory / name if _METADATA.fullmatch(name) else None)

    def target(request: Request) -> FileResponse:
        authorise(request)
        match = _TARGET.fullmatch(request.path_params["path"])
        return _file(blob_path(f"sha256:{match['hex']}") if match else None)

    return [
        Route(f"{prefix}/targets/{{path:path}}", target),
        Route(f"{prefix}/{{name}}", metadata),
    ]


def _file(path: Path | None) -> FileResponse:
    if path is None or not path.is_file():
        raise MetadataNotFound("There is no signed metadata of this name here.")
    return FileResponse(path, media_type="application/json", headers={"Cache-Control": "no-cache"})
