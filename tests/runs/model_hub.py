"""A stand-in for a Hugging Face hub on loopback, as much of it as the library asks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN = "hf_test_of_dizuo_0123456789"


@dataclass
class ModelHub:
    """Repositories: files by name; each state of the files is a commit.

    `status` is what everything is answered with, if it is set. `asked` are the requests so far.
    """

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)
    status: int | None = None
    asked: list[str] = field(default_factory=list)

    def commit(self, repository: str) -> str:
        digest = hashlib.sha1(repository.encode())
        for name, data in sorted(self.repositories[repository].items()):
            digest.update(name.encode() + data)
        return digest.hexdigest()

    def app(self) -> Starlette:
        model = "/api/models/{owner}/{name}"
        return Starlette(
            routes=[
                Route(f"{model}/revision/{{revision:path}}", self._info),
                Route(f"{model}/tree/{{revision}}", self._tree),
                Route("/{owner}/{name}/resolve/{revision}/{path:path}", self._file),
            ]
        )

    def _refusal(self, request: Request) -> Response | None:
        self.asked.append(f"{request.method} {request.url.path}")
        if self.status is not None:
            return Response(status_code=self.status)
        repository = self._repository(request)
        if repository not in self.repositories:
            return Response(status_code=404, headers={"X-Error-Code": "RepoNotFound"})
        if repository in self.gated and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response(status_code=403, headers={"X-Error-Code": "GatedRepo"})
        if request.path_params["revision"] not in ("main", self.commit(repository)):
            return Response(status_code=404, headers={"X-Error-Code": "RevisionNotFound"})
        return None

    def _repository(self, request: Request) -> str:
        return f"{request.path_params['owner']}/{request.path_params['name']}"

    async def _info(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        repository = self._repository(request)
        files = self.repositories[repository]
        siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
        sha = self.commit(repository)
        return JSONResponse({"id": repository, "sha": sha, "siblings": siblings})

    async def _tree(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        files = self.repositories[self._repository(request)]
        return JSONResponse(
            [
                {"type": "file", "path": name, "size": len(data), "oid": _etag(data)}
                for name, data in files.items()
            ]
        )

    async def _file(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        repository = self._repository(request)
        data = self.repositories[repository].get(request.path_params["path"])
        if data is None:
            return Response(status_code=404, headers={"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": self.commit(repository), "ETag": f'"{_etag(data)}"'}
        return Response(data, headers=headers, media_type="application/octet-stream")


def _etag(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()
