"""The hub's `/v2/`: the OCI distribution API, read only, over a layout.

Whoever calls sees the repositories of one project. A blob or manifest is served only through a
repository whose tags lead to it, so a digest alone opens nothing. Files are streamed, never read
whole; `Range` works on manifests and blobs. Errors have the form of the OCI specification.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from dizuo.artifacts.errors import BlobCorrupt, BlobMissing, StackRefused
from dizuo.artifacts.graph import BLOB_MEDIA_TYPE, reachable
from dizuo.artifacts.layout import Layout
from dizuo.core.digests import DIGEST_PATTERN
from dizuo.core.errors import DizuoError, Forbidden, IntegrityError, Unauthenticated

Authorise = Callable[[Request], str | None]
"""Which project the caller of a request may read, or None for nobody we know. May also raise
`Unauthenticated` or `Forbidden`. Runs in a thread, so it may ask a database."""

MAX_PAGE = 1000
_VERSION_HEADER = {"Docker-Distribution-Api-Version": "registry/2.0"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="dizuo", charset="UTF-8"'}
_READING = ["GET", "HEAD"]
_WRITING = ["POST", "PUT", "PATCH", "DELETE"]
_CACHED_VERSIONS = 4096
_LOG = logging.getLogger(__name__)


class RegistryError(Exception):
    """An answer in the error form of the OCI distribution specification."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> Response:
        """The answer."""
        headers = _VERSION_HEADER | (_CHALLENGE if self.status == 401 else {})
        body = {"errors": [{"code": self.code, "message": str(self), "detail": {}}]}
        return JSONResponse(body, status_code=self.status, headers=headers)


def registry_routes(layout: Layout, authorise: Authorise) -> list[BaseRoute]:
    """The routes under `/v2/`, for a Starlette or FastAPI application's router.

    The order matters: the last one answers everything else below `/v2/`.
    """
    registry = _Registry(layout, authorise)
    return [
        Route("/v2/", registry.answer(registry.base), methods=_READING),
        Route("/v2/_catalog", registry.answer(registry.catalog), methods=_READING),
        Route("/v2/{name:path}/tags/list", registry.answer(registry.tags), methods=_READING),
        Route(
            "/v2/{name:path}/manifests/{reference}",
            registry.answer(registry.manifest),
            methods=_READING,
        ),
        Route("/v2/{name:path}/blobs/{digest}", registry.answer(registry.blob), methods=_READING),
        Route("/v2/{rest:path}", registry.answer(registry.nothing), methods=_READING + _WRITING),
    ]


Endpoint = Callable[[Request], Response]


class _Registry:
    """The endpoints. Each is called with `request.state.project` set."""

    def __init__(self, layout: Layout, authorise: Authorise) -> None:
        self._layout = layout
        self._authorise = authorise
        # An index never changes under its digest, so what it leads to is worked out once.
        self._reachable = lru_cache(maxsize=_CACHED_VERSIONS)(self._find_reachable)

    def answer(self, endpoint: Callable[[Request, str], Response]) -> Endpoint:
        """The route's function: recognise the caller, answer, put errors into OCI's form."""

        @wraps(endpoint)
        def respond(request: Request) -> Response:
            try:
                return endpoint(request, self._project(request))
            except RegistryError as error:
                return error.response()
            except IntegrityError as error:
                _LOG.error("the registry cannot answer %s: %s", request.url.path, error)
                return RegistryError(500, "UNKNOWN", error.message).response()

        return respond

    def _project(self, request: Request) -> str:
        try:
            project = self._authorise(request)
        except Unauthenticated as error:
            raise RegistryError(401, "UNAUTHORIZED", error.message) from error
        except Forbidden as error:
            raise RegistryError(403, "DENIED", error.message) from error
        except DizuoError as error:
            raise RegistryError(error.http_status, "UNAVAILABLE", error.message) from error
        if project is None:
            raise RegistryError(401, "UNAUTHORIZED", "A credential for the registry is needed.")
        return project

    def base(self, _request: Request, _project: str) -> Response:
        """`/v2/`: the caller is let in."""
        return JSONResponse({}, headers=_VERSION_HEADER)

    def catalog(self, request: Request, project: str) -> Response:
        """`/v2/_catalog`: the project's repositories."""
        names = [n for n in self._layout.repositories() if n.startswith(f"{project}/")]
        return _page(request, {}, "repositories", names)

    def tags(self, request: Request, project: str) -> Response:
        """`/v2/<name>/tags/list`."""
        name, tags = self._repository(request, project)
        return _page(request, {"name": name}, "tags", sorted(tags))

    def manifest(self, request: Request, project: str) -> Response:
        """`/v2/<name>/manifests/<tag or digest>`."""
        name, tags = self._repository(request, project)
        reference: str = request.path_params["reference"]
        digest = reference if ":" in reference else tags.get(reference, "")
        media_type = self._media_type(tags, digest)
        if media_type in (None, BLOB_MEDIA_TYPE):
            raise RegistryError(
                404, "MANIFEST_UNKNOWN", f"{name} has no manifest {reference[:200]}."
            )
        return self._file(digest, media_type, "MANIFEST_UNKNOWN")

    def blob(self, request: Request, project: str) -> Response:
        """`/v2/<name>/blobs/<digest>`."""
        name, tags = self._repository(request, project)
        digest: str = request.path_params["digest"]
        if not DIGEST_PATTERN.fullmatch(digest):
            raise RegistryError(400, "DIGEST_INVALID", "That is not a sha256 digest.")
        if self._media_type(tags, digest) is None:
            raise RegistryError(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}.")
        return self._file(digest, BLOB_MEDIA_TYPE, "BLOB_UNKNOWN")

    def nothing(self, request: Request, _project: str) -> Response:
        """Everything else."""
        if request.method in _WRITING:
            raise RegistryError(405, "UNSUPPORTED", "This registry is read only.")
        raise RegistryError(404, "NAME_UNKNOWN", "There is nothing at this address.")

    def _repository(self, request: Request, project: str) -> tuple[str, Mapping[str, str]]:
        """Name and tags; a repository of another project is not told from one that is not there."""
        name: str = request.path_params["name"]
        tags = self._layout.tags(name) if name.startswith(f"{project}/") else {}
        if not tags:
            raise RegistryError(404, "NAME_UNKNOWN", f"There is no repository {name[:200]}.")
        return name, tags

    def _media_type(self, tags: Mapping[str, str], digest: str) -> str | None:
        """What a digest is in the repository with these tags; None if none of them leads to it."""
        for index_digest in set(tags.values()):
            try:
                found = self._reachable(index_digest).get(digest)
            except (BlobCorrupt, BlobMissing, StackRefused) as error:
                _LOG.warning("the registry cannot serve %s: %s", index_digest, error)
                continue
            if found is not None:
                return found
        return None

    def _find_reachable(self, digest: str) -> Mapping[str, str]:
        return reachable([digest], self._layout.read)

    def _file(self, digest: str, media_type: str | None, absent: str) -> Response:
        path = self._layout.path(digest)
        try:
            found = path.stat()
        except FileNotFoundError as error:
            raise RegistryError(404, absent, f"This registry does not hold {digest}.") from error
        headers = _VERSION_HEADER | {"Docker-Content-Digest": digest, "ETag": f'"{digest}"'}
        return FileResponse(path, headers=headers, media_type=media_type, stat_result=found)


def _page(request: Request, body: dict[str, object], key: str, values: list[str]) -> Response:
    """A list in pages, as OCI has it: `n` values after `last`, and a link to the next page."""
    try:
        size = min(int(request.query_params.get("n", MAX_PAGE)), MAX_PAGE)
    except ValueError as error:
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", "n is not a number.") from error
    if size < 0:
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", "n is negative.")
    last = request.query_params.get("last", "")
    after = [value for value in values if value > last]
    page = after[:size]
    headers = dict(_VERSION_HEADER)
    if page and len(after) > size:
        next_url = f"{request.url.path}?n={size}&last={quote(page[-1], safe='')}"
        headers["Link"] = f'<{next_url}>; rel="next"'
    return JSONResponse({**body, key: page}, headers=headers)
