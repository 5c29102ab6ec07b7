"""The addresses of the form: what it asks, what it comes to, the folders of pictures, the start and how that stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from foundation.errors import ConfigError, DataError, UserError, first_line
from foundation.files.documents import as_mapping, parse_json
from sweeper.holdings import studies_in
from sweeper.page.live import Studies
from sweeper.page.start.check import FormChecker
from sweeper.page.start.fields import chosen_groups, paths, searchable, values
from sweeper.page.start.folders import Folders
from sweeper.page.start.forecast import Pace, pace_of
from sweeper.page.start.overrides import by_field
from sweeper.page.start.process import Starts, full_forecast
from sweeper.page.study_file import read_study_file


def start_routes(studies: Studies, data: Sequence[Path]) -> list[Route]:
    """Return the routes below `/api/start`; `data` are the folders that may be looked into."""
    pages = _StartPages(studies, Folders(data))
    return [
        Route("/api/start", pages.fields),
        Route("/api/start", pages.start, methods=["POST"]),
        Route("/api/start/check", pages.check, methods=["POST"]),
        Route("/api/start/forecast", pages.forecast, methods=["POST"]),
        Route("/api/start/folder", pages.folder),
        Route("/api/start/picture", pages.picture),
        Route("/api/start/going/{name}", pages.going),
    ]


class _StartPages:
    """The answers to requests."""

    def __init__(self, studies: Studies, folders: Folders) -> None:
        self._studies = studies
        self._folders = folders
        self._checker = FormChecker(studies.folder, folders, self._pace_on)
        self._starts = Starts(studies.folder)

    async def fields(self, _: Request) -> Response:
        """What the form asks for."""
        return _json(await run_in_threadpool(self._fields))

    def _fields(self) -> dict[str, Any]:
        groups = {"groups": chosen_groups(), "values": values(), "search": searchable()}
        found: dict[str, Any] = {name: [asdict(each) for each in group] for name, group in groups.items()}
        return {**found, "roots": [str(root) for root in self._folders.roots]}

    async def check(self, request: Request) -> Response:
        """What a form comes to; nothing is started or written."""
        try:
            form = as_mapping(parse_json(await request.body(), "the form"), "the form")
        except UserError as error:
            return PlainTextResponse(first_line(error), 409)
        return _json(asdict(await run_in_threadpool(self._checker.check, form)))

    async def start(self, request: Request) -> Response:
        """Start the form's study: its name; or 409 and, for JSON, the mistakes by field."""
        try:
            form = as_mapping(parse_json(await request.body(), "the form"), "the form")
            checked = await run_in_threadpool(self._checker.check, form)
            if checked.problems:
                return JSONResponse({"problems": checked.problems}, 409)
            await run_in_threadpool(self._starts.start, checked.name, checked.overrides)
        except (UserError, OSError) as error:
            return JSONResponse({"problems": by_field([first_line(error)], paths())}, 409)
        return _json({"name": checked.name})

    async def forecast(self, request: Request) -> Response:
        """What the command itself foretells of the form's study; or 409 and the mistakes by field."""
        try:
            form = as_mapping(parse_json(await request.body(), "the form"), "the form")
            checked = await run_in_threadpool(self._checker.check, form)
            if checked.problems:
                return JSONResponse({"problems": checked.problems}, 409)
            lines = await run_in_threadpool(full_forecast, checked.overrides)
        except (UserError, OSError) as error:
            said = error.problems if isinstance(error, ConfigError) else [first_line(error)]
            return JSONResponse({"problems": by_field(said, paths())}, 409)
        return _json({"lines": lines})

    async def folder(self, request: Request) -> Response:
        """What is in a folder of pictures; 409 with why not."""
        try:
            return _json(await run_in_threadpool(self._preview, request.query_params.get("path", "")))
        except (UserError, OSError) as error:
            return PlainTextResponse(first_line(error), 409)

    def _preview(self, path: str) -> dict[str, Any]:
        return asdict(self._folders.preview(self._folders.find(path) if path else self._folders.roots[0]))

    async def picture(self, request: Request) -> Response:
        """A picture of such a folder, in small."""
        try:
            small = await run_in_threadpool(self._folders.thumbnail, request.query_params.get("path", ""))
        except (DataError, OSError):
            return PlainTextResponse("there is no such thing here", 404)
        return Response(small, media_type="image/webp", headers={"Cache-Control": "private, max-age=60"})

    async def going(self, request: Request) -> Response:
        """How the start of a study stands."""
        found = await run_in_threadpool(self._starts.state, request.path_params["name"])
        if found is None:
            return PlainTextResponse("there is no such thing here", 404)
        state, lines = found
        mistakes = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        problems = by_field(mistakes or lines[-1:], paths()) if state == "failed" else {}
        return _json({"state": state, "lines": lines, "problems": problems})

    def _pace_on(self, base: str) -> Pace | None:
        """What the latest study on a base took that was judged at all."""
        found = [study for study in studies_in(self._studies.folder) if read_study_file(study).base == base]
        for study in sorted(found, key=lambda each: (each / "study.yaml").stat().st_mtime, reverse=True):
            live = self._studies.find(study.name)
            pace = pace_of(live.view(), study) if live is not None else None
            if pace is not None:
                return pace
        return None


def _json(value: object) -> Response:
    return JSONResponse(value, headers={"Cache-Control": "no-store"})
