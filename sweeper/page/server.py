"""The live page's server: our own files, the studies as JSON, their pictures. It reads, and serves one folder alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from foundation.errors import DataError, UserError, first_line
from foundation.files.documents import as_mapping, parse_json
from foundation.page.one_file import ICON, STYLE
from sweeper.page.access import Guard, Secrets
from sweeper.page.actions import choose, choose_voted, resume, stop
from sweeper.page.assets import SHARED, frame_with, read_asset
from sweeper.page.live import Studies
from sweeper.page.start.routes import start_routes
from sweeper.page.thumbnails import thumbnail_of
from sweeper.page.votes import Votes

_SCRIPTS: Final = (*SHARED, "actions.js", "votes.js", "folders.js", "searches.js", "start.js", "live.js")
_ACTIONS: Final[Mapping[str, Callable[[Path, Mapping[str, Any]], list[str]]]] = {
    "choose": choose,
    "choose-voted": lambda study, _: choose_voted(study),
    "stop": lambda study, _: stop(study),
    "resume": lambda study, _: resume(study),
}
_PICTURES: Final = {".png": "image/png", ".webp": "image/webp"}
_A_DAY: Final = "private, max-age=86400"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What a server needs to know of itself."""

    studies: Studies
    own: Secrets
    hosts: Sequence[str]
    """Its names with their port, as browsers say them."""
    port: int
    mlflow: str = ""
    """MLflow's address; empty where there is none."""
    data: Sequence[Path] = ()
    """Folders whose pictures may be looked at before a study starts."""


def make_app(site: Site) -> ASGIApp:
    """Return the application, guarded."""
    pages = _Pages(site)
    app = Starlette(
        routes=[
            Route("/", pages.index),
            Route("/static/{name}", pages.asset),
            Route("/api/studies", pages.list_studies),
            Route("/api/studies/{name}", pages.study),
            Route("/api/studies/{name}/votes", pages.ask),
            Route("/api/studies/{name}/{action}", pages.act, methods=["POST"]),
            Route("/pictures/{path:path}", pages.picture),
            Route("/thumbnails/{path:path}", pages.thumbnail),
            Route("/votes/{ticket}/{side}.png", pages.voted_picture),
            *start_routes(site.studies, site.data),
        ],
        middleware=[Middleware(GZipMiddleware, minimum_size=2000, compresslevel=5)],
    )
    return Guard(app, site.own, site.hosts, site.port)


class _Pages:
    """The answers to requests."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._studies = site.studies
        self._root = site.studies.folder.resolve()
        self._votes = Votes()
        self._actions = {**_ACTIONS, "vote": self._votes.answer}

    async def index(self, _: Request) -> Response:
        """The one HTML page."""
        scripts = "\n".join(f'<script src="/static/{name}"></script>' for name in _SCRIPTS)
        head = (
            f'<meta name="sweeper-token" content="{escape(self._site.own.csrf)}">\n'
            f'<meta name="sweeper-mlflow" content="{escape(self._site.mlflow)}">\n'
            f'<link rel="icon" href="/static/{ICON}"><link rel="stylesheet" href="/static/{STYLE}">'
        )
        return HTMLResponse(frame_with(head, scripts), headers={"Cache-Control": "no-store"})

    async def asset(self, request: Request) -> Response:
        """One of our own files."""
        name = request.path_params["name"]
        if name not in (STYLE, ICON, *_SCRIPTS):
            return _none()
        kind = {STYLE: "text/css", ICON: "image/svg+xml"}.get(name, "text/javascript")
        return Response(read_asset(name), media_type=kind, headers={"Cache-Control": "no-cache"})

    async def list_studies(self, _: Request) -> Response:
        """What the list shows."""
        return _json(await run_in_threadpool(self._studies.summaries))

    async def study(self, request: Request) -> Response:
        """What of a study is newer than the version `since`."""
        study = await run_in_threadpool(self._studies.find, request.path_params["name"])
        if study is None:
            return _none()
        since = request.query_params.get("since", "0")
        return _json(await run_in_threadpool(study.newer, int(since) if since.isdecimal() and len(since) < 16 else 0))

    async def act(self, request: Request) -> Response:
        """Do what a person wants of a study; what was said, or 409 with why not."""
        study = await run_in_threadpool(self._studies.find, request.path_params["name"])
        action = self._actions.get(request.path_params["action"])
        if study is None or action is None:
            return _none()
        try:
            wanted = as_mapping(parse_json(await request.body() or b"{}", "the request"), "the request")
            lines = await run_in_threadpool(action, study.folder, wanted)
        except (UserError, OSError) as error:
            return PlainTextResponse(first_line(error), 409)
        return _json({"lines": lines})

    async def ask(self, request: Request) -> Response:
        """A pair of pictures to vote on, and what the votes say; 409 with why there is none."""
        study = await run_in_threadpool(self._studies.find, request.path_params["name"])
        if study is None:
            return _none()
        try:
            return _json(await run_in_threadpool(self._votes.ask, study.folder))
        except (UserError, OSError) as error:
            return PlainTextResponse(first_line(error), 409)

    async def voted_picture(self, request: Request) -> Response:
        """A picture that is voted on."""
        file = self._votes.picture(request.path_params["ticket"], request.path_params["side"])
        inside = file and self._inside(file.resolve().relative_to(self._root).as_posix())
        return FileResponse(inside, headers={"Cache-Control": "no-store"}) if inside else _none()

    async def picture(self, request: Request) -> Response:
        """A picture as it is."""
        file = self._inside(request.path_params["path"])
        if file is None:
            return _none()
        return FileResponse(file, media_type=_PICTURES[file.suffix], headers={"Cache-Control": _A_DAY})

    async def thumbnail(self, request: Request) -> Response:
        """A picture in small, which is made now where it was not."""
        file = self._inside(request.path_params["path"])
        if file is None:
            return _none()
        try:
            small = await run_in_threadpool(thumbnail_of, file, self._studies.folder)
        except (DataError, OSError):
            return _none()
        return FileResponse(small, media_type="image/webp", headers={"Cache-Control": _A_DAY})

    def _inside(self, path: str) -> Path | None:
        """The picture at a path below the studies' folder; None where it is elsewhere, hidden, or none."""
        parts = Path(path).parts
        if not parts or any(part.startswith(".") or "\0" in part for part in parts) or Path(path).is_absolute():
            return None
        try:
            file = (self._root / path).resolve()
            is_there = file.is_file()
        except OSError:
            return None
        return file if is_there and file.is_relative_to(self._root) and file.suffix in _PICTURES else None


def _json(value: object) -> Response:
    return JSONResponse(value, headers={"Cache-Control": "no-store"})


def _none() -> Response:
    return PlainTextResponse("there is no such thing here", 404)
