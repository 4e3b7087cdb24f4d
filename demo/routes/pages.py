"""The pages beside Explore, and what their scripts ask for: cards of runs, curves, lessons, facts of the models."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse

from core.search.errors import BadRequest
from demo import strings
from demo.about import facts
from demo.context import Context
from demo.gallery import Gallery
from demo.lessons import told_lessons
from demo.pages import POLICY, document
from demo.routes.reply import read_body
from demo.theme import STATIC

SHEETS = frozenset(path.name for path in STATIC.glob("*.css"))


def add_pages(app: FastAPI, context: Context) -> None:
    """The documents themselves."""
    def page(name: str) -> HTMLResponse:
        return HTMLResponse(document(name), headers={"Cache-Control": "no-cache", "Content-Security-Policy": POLICY})

    for name in strings.PAGES:
        if name != "explore":
            app.add_api_route(f"/{name}", _answering(page, name), methods=["GET", "HEAD"])


def _answering(page: Any, name: str) -> Any:
    def answer() -> HTMLResponse:
        return page(name)

    return answer


def add_sheets(app: FastAPI, _context: Context) -> None:
    """The style sheets, which Explore gets by way of Gradio and the other pages from here."""
    for name in SHEETS:
        app.add_api_route(f"/page/{name}", _sheet(name), methods=["GET"])


def _sheet(name: str) -> Any:
    def answer() -> FileResponse:
        return FileResponse(STATIC / name, media_type="text/css", headers={"Cache-Control": "no-cache"})

    return answer


def add_gallery(app: FastAPI, context: Context) -> None:
    """Lists of runs, and what their owner may do to them."""
    gallery, library, visitors = Gallery(context.library, context.models), context.library, context.visitors

    @app.get("/data/runs")
    def runs(request: Request, q: str = "") -> dict[str, Any]:
        return {"runs": gallery.cards(visitors.of(request), q)}

    @app.get("/data/compare")
    def compare(request: Request, runs: str = "") -> dict[str, Any]:
        return {"runs": gallery.compared(visitors.of(request), [run for run in runs.split(",") if run])}

    @app.post("/data/pin")
    async def pin(request: Request) -> dict[str, Any]:
        body = await read_body(request, "run", "pinned")
        if not isinstance(body["pinned"], bool):
            raise BadRequest(strings.BAD_REQUEST)
        library.require_owner(body["run"], visitors.of(request)).pin(body["run"], body["pinned"])
        return {"run": body["run"], "pinned": body["pinned"]}

    @app.post("/data/delete")
    async def delete(request: Request) -> dict[str, Any]:
        body = await read_body(request, "run")
        return {"deleted": library.require_owner(body["run"], visitors.of(request)).delete(body["run"])}


def add_lessons(app: FastAPI, context: Context) -> None:
    @app.get("/data/lessons")
    def lessons() -> dict[str, Any]:
        return {"lessons": told_lessons(context.library)}


def add_about(app: FastAPI, context: Context) -> None:
    @app.get("/data/about")
    def about() -> dict[str, Any]:
        return facts(context.models)
